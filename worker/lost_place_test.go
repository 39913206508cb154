package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// What a worker counts for itself nobody else gives back: a place of a delivery that was lost, and which another worker gets, would be
// taken for ever.
func TestAPlaceOfALostDeliveryIsFreeInTheWorkerThatHadIt(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"settled last": {task.MaxConcurrent(1)}, "settled first": {task.MaxConcurrent(1), task.AckEarly()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var running crowd
				lost := &losing{lost: 1}
				limited := slow(&running, opts...)
				h := start(t, plan{tasks: []task.Definition{limited}, wrap: func(b *mem.Broker) broker.Broker { lost.Broker = b; return lost }})
				h.send(limited.S("a"))
				time.Sleep(time.Minute)
				h.send(limited.S("b"))
				time.Sleep(time.Minute)
				if s := h.worker.Stats(); s.Lost != 1 || s.Settled != 1 || s.Running != 0 {
					t.Errorf("stats = %+v, want one that was lost and one that ran after it", s)
				}
			})
		})
	}
}

// A task that outlasts its time limit and ignores it keeps its place until it returns, also when its delivery was lost.
func TestAPlaceOfALostDeliveryIsTakenForAsLongAsItsHandlerRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		lost := &losing{lost: 1}
		stubborn := task.New("tasks.stubborn", func(context.Context, none) (none, error) {
			defer running.enter()()
			time.Sleep(time.Minute)
			return none{}, nil
		}, task.MaxConcurrent(1), task.TimeLimit(time.Second))
		h := start(t, plan{
			opts: worker.Options{Concurrency: 2, MaxStuck: 8}, tasks: []task.Definition{stubborn},
			wrap: func(b *mem.Broker) broker.Broker { lost.Broker = b; return lost },
		})
		h.send(stubborn.S(none{}))
		h.send(stubborn.S(none{}))
		time.Sleep(3 * time.Minute)
		if running.most.Load() != 1 || running.all.Load() != 2 {
			t.Errorf("%d ran, %d at once; want 2, one at a time", running.all.Load(), running.most.Load())
		}
	})
}

// losing is a broker of which the first deliveries are lost while they are out: another worker gets those.
type losing struct {
	*mem.Broker
	lost int
}

func (b *losing) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	c, err := b.Broker.Consume(ctx, cfg)
	if cfg.AutoAck || err != nil { // that of commands
		return c, err
	}
	return &losingConsumer{c, b}, nil
}

type losingConsumer struct {
	broker.Consumer
	b *losing
}

func (c *losingConsumer) Next(ctx context.Context) (*broker.Delivery, error) {
	d, err := c.Consumer.Next(ctx)
	if err != nil || c.b.lost == 0 {
		return d, err
	}
	c.b.lost--
	if err := d.Settle(ctx, broker.Ack); err != nil {
		return nil, err
	}
	gone := broker.NewDelivery(d.Message, func(context.Context, broker.Disposition) error { return broker.ErrStale })
	gone.Queue = d.Queue
	return gone, nil
}

// The function of a batch that is given up runs on with what its calls hold.
func TestABatchThatIsGivenUpHoldsItsPlacesWhileItRunsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		stubborn := task.NewBatch("tasks.stubborn", func(_ context.Context, calls []*task.BatchCall[none, none]) error {
			for range calls {
				defer running.enter()()
			}
			time.Sleep(time.Minute)
			return nil
		}, task.BatchSize(2), task.MaxConcurrent(2), task.TimeLimit(time.Second))
		h := start(t, plan{opts: worker.Options{Concurrency: 2, MaxStuck: 8}, tasks: []task.Definition{stubborn}})
		for range 4 {
			h.send(stubborn.S(none{}))
		}
		time.Sleep(5 * time.Minute)
		if running.most.Load() != 2 || running.all.Load() != 4 {
			t.Errorf("%d calls ran, %d at once; want 4, two at a time", running.all.Load(), running.most.Load())
		}
	})
}
