package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// slowBroker is a broker whose confirms of delayed messages can be held back, and which notes the prefetches that it is asked for.
type slowBroker struct {
	*mem.Broker
	delayed func(context.Context) error // before a delayed message is taken; nil: at once

	mu         sync.Mutex
	prefetches []int
}

func (b *slowBroker) PublishDelayed(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	if b.delayed != nil {
		if err := b.delayed(ctx); err != nil {
			return err
		}
	}
	return b.Broker.PublishDelayed(ctx, to, msg, delay)
}

func (b *slowBroker) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	c, err := b.Broker.Consume(ctx, cfg)
	if cfg.AutoAck { // that of commands
		return c, err
	}
	if err != nil {
		return nil, err
	}
	b.note(cfg.Prefetch)
	return &notingConsumer{c, b}, nil
}

func (b *slowBroker) note(prefetch int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prefetches = append(b.prefetches, prefetch)
}

func (b *slowBroker) wantPrefetches(t *testing.T, want ...int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.prefetches, want) {
		t.Errorf("prefetches = %v, want %v", b.prefetches, want)
	}
}

type notingConsumer struct {
	broker.Consumer
	b *slowBroker
}

func (c *notingConsumer) SetPrefetch(ctx context.Context, n int) error {
	c.b.note(n)
	return c.Consumer.SetPrefetch(ctx, n)
}

// sendEarly puts calls straight into the queue that are to run later, as Celery's clients do.
func (h *house) sendEarly(n int, in time.Duration) {
	h.t.Helper()
	for range n {
		s := add().S(pair{1, 2})
		s.ETA = time.Now().Add(in)
		h.send(s)
	}
}

// confirmsTake is a broker that takes its time for the confirm of a delayed message.
func confirmsTake(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
		}
	}
}

func TestEarlyTasksAreParkedSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowBroker{delayed: confirmsTake(100 * time.Millisecond)}
		h := start(t, plan{
			opts: worker.Options{Concurrency: 2}, tasks: []task.Definition{add()},
			wrap:   func(b *mem.Broker) broker.Broker { slow.Broker = b; return slow },
			before: func(h *house) { h.sendEarly(4000, time.Hour) },
		})
		began := time.Now()
		wantValue(t, h.outcome(h.send(add().S(pair{20, 22}))), 42)
		// One by one this takes 400 s, and four at a time, which is what two slots hold, 100 s.
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the task behind 4000 early ones started after %s", took)
		}
		time.Sleep(5 * time.Second)
		h.wantWaiting(queue, 0)
		slow.wantPrefetches(t, 4, 4+128, 4)
		if s := h.worker.Stats(); s.Running != 0 || s.Settled != 4001 {
			t.Errorf("stats = %+v, want everything to be settled", s)
		}
		time.Sleep(2 * time.Hour)
		if s := h.worker.Stats(); s.Settled != 8001 {
			t.Errorf("%d deliveries were settled, want each of the 4000 once more, an hour later", s.Settled)
		}
	})
}

func TestTasksAreNotHoardedForTheSakeOfParking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowBroker{delayed: confirmsTake(10 * time.Millisecond)}
		long := task.New("long", func(ctx context.Context, _ none) (int, error) { <-ctx.Done(); return 0, context.Cause(ctx) })
		h := start(t, plan{
			opts: worker.Options{Concurrency: 2}, tasks: []task.Definition{add(), long},
			wrap: func(b *mem.Broker) broker.Broker { slow.Broker = b; return slow },
			before: func(h *house) {
				h.sendEarly(1000, 24*time.Hour)
				for range 100 {
					h.send(long.S(none{}))
				}
			},
		})
		time.Sleep(time.Minute)
		slow.wantPrefetches(t, 4, 4+128, 4)
		// Two run and one waits for a slot: the broker in memory hands nothing out that nobody asks for.
		h.wantWaiting(queue, 97)
	})
}

func TestASecondRunOfEarlyTasksSoonAfterIsParkedMoreSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowBroker{}
		nap := task.New("nap", func(context.Context, none) (int, error) { time.Sleep(100 * time.Millisecond); return 1, nil })
		h := start(t, plan{
			opts: worker.Options{Concurrency: 1}, tasks: []task.Definition{add(), nap},
			wrap: func(b *mem.Broker) broker.Broker { slow.Broker = b; return slow },
			before: func(h *house) {
				for range 5 { // each would bring a change up and one down
					h.sendEarly(20, time.Hour)
					h.send(nap.S(none{}))
					h.send(nap.S(none{}))
				}
			},
		})
		time.Sleep(30 * time.Second)
		h.wantWaiting(queue, 0)
		slow.wantPrefetches(t, 2, 2+128, 2)
	})
}

func TestNothingIsLostWhileTheBrokerIsAwayDuringParking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		back := time.Now().Add(10 * time.Minute)
		slow := &slowBroker{delayed: func(context.Context) error {
			if time.Now().Before(back) {
				asked.Add(1)
				return broker.ErrUnavailable
			}
			return nil
		}}
		h := start(t, plan{
			opts: worker.Options{Concurrency: 2}, tasks: []task.Definition{add()},
			wrap:   func(b *mem.Broker) broker.Broker { slow.Broker = b; return slow },
			before: func(h *house) { h.sendEarly(1000, time.Hour) },
		})
		time.Sleep(9 * time.Minute)
		if n := asked.Load(); n > 128*100 { // a place tries every 10 s
			t.Errorf("the broker was asked %d times in 9 minutes", n)
		}
		if s := h.worker.Stats(); s.Settled != 0 {
			t.Errorf("%d deliveries are settled while nothing can be parked", s.Settled)
		}
		time.Sleep(2 * time.Minute)
		h.wantWaiting(queue, 0)
		time.Sleep(time.Hour)
		if s := h.worker.Stats(); s.Settled != 2000 || s.Lost != 0 {
			t.Errorf("stats = %+v, want each task parked and run", s)
		}
	})
}

func TestAShutdownGivesBackWhatIsNotParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		slow := &slowBroker{delayed: func(ctx context.Context) error {
			if asked.Add(1) <= 100 {
				return nil
			}
			<-ctx.Done() // it does not answer any more
			return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
		}}
		h := start(t, plan{
			opts: worker.Options{Concurrency: 2}, tasks: []task.Definition{add()},
			wrap:   func(b *mem.Broker) broker.Broker { slow.Broker = b; return slow },
			before: func(h *house) { h.sendEarly(1000, time.Hour) },
		})
		time.Sleep(5 * time.Second)
		if s := h.worker.Stats(); s.Running < 100 || s.Running > 4+128 {
			t.Errorf("%d are on their way back, want as many as there are places", s.Running)
		}
		began := time.Now()
		if err := h.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the shutdown took %s", took)
		}
		h.wantWaiting(queue, 900)
	})
}

func TestWhatTheBrokerHandsOutAgainIsNotParkedAsWell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Bool
		gone := make(chan error, 1)
		slow := &slowBroker{delayed: func(ctx context.Context) error {
			if !lost.Load() {
				<-ctx.Done()
				gone <- ctx.Err()
				return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
			}
			return nil
		}}
		h := start(t, plan{
			opts: worker.Options{Concurrency: 2}, tasks: []task.Definition{add()},
			wrap:   func(b *mem.Broker) broker.Broker { slow.Broker = b; return &forgetful{slow, &lost} },
			before: func(h *house) { h.sendEarly(1, time.Hour) },
		})
		time.Sleep(time.Second)
		lost.Store(true) // the connection that the delivery came with
		time.Sleep(time.Second)
		if len(gone) != 1 {
			t.Error("the message is still being parked, though the broker hands it out again")
		}
		if s := h.worker.Stats(); s.Running != 0 || s.Lost != 1 {
			t.Errorf("stats = %+v, want the delivery to be given up", s)
		}
	})
}

// TestAnETAIsAMomentWhateverTheClockThatWroteIt: the bubble's time begins at midnight of 1 January 2000, UTC.
func TestAnETAIsAMomentWhateverTheClockThatWroteIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		eta  string
		want time.Duration // from the beginning until it starts
	}{
		"as Celery writes it":             {"2000-01-01T01:00:00.250000+00:00", time.Hour + 250*time.Millisecond},
		"Zulu":                            {"2000-01-01T01:00:00Z", time.Hour},
		"Beijing":                         {"2000-01-01T09:00:00.000000+08:00", time.Hour},
		"west of Greenwich":               {"1999-12-31T19:30:00-05:30", time.Hour},
		"no zone means UTC":               {"2000-01-01T01:00:00.000000", time.Hour},
		"a space, and no zone":            {"2000-01-01 01:00:00", time.Hour},
		"Berlin, before summer time":      {"2000-03-26T01:59:59+01:00", 85*24*time.Hour + time.Hour - time.Second},
		"Berlin, a second later":          {"2000-03-26T03:00:00+02:00", 85*24*time.Hour + time.Hour},
		"a countdown of 60 s, fast clock": {"2000-01-01T01:01:00+00:00", time.Hour + time.Minute}, // the sender's is an hour ahead
		"a countdown of 60 s, slow clock": {"1999-12-31T23:01:00+00:00", 0},
		"a moment ahead":                  {"2000-01-01T00:00:00.000001+00:00", time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var ran atomic.Int64
				ran.Store(-1)
				when := task.New("tasks.when", func(context.Context, none) (int, error) {
					ran.Store(int64(time.Since(began)))
					return 0, nil
				})
				h := start(t, plan{opts: worker.Options{Concurrency: 1}, tasks: []task.Definition{when}})
				msg, err := wire.Encode(wire.Outgoing{Signature: when.S(none{}, task.ID("when")), Now: began, Origin: "test"})
				if err != nil {
					t.Fatal(err)
				}
				msg.Headers["eta"] = tt.eta
				h.publish(msg)
				time.Sleep(tt.want + time.Second)
				if got := time.Duration(ran.Load()); got < tt.want || got > tt.want+200*time.Millisecond {
					t.Errorf("it started after %s, want %s", got, tt.want)
				}
				if s := h.worker.Stats(); s.Running != 0 {
					t.Errorf("stats = %+v", s)
				}
			})
		})
	}
}

// forgetful is a broker whose deliveries go stale.
type forgetful struct {
	*slowBroker
	lost *atomic.Bool
}

func (b *forgetful) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	c, err := b.slowBroker.Consume(ctx, cfg)
	return &forgetfulConsumer{c, b}, err
}

type forgetfulConsumer struct {
	broker.Consumer
	b *forgetful
}

func (c *forgetfulConsumer) Next(ctx context.Context) (*broker.Delivery, error) {
	d, err := c.Consumer.Next(ctx)
	if err != nil {
		return nil, err
	}
	mine := broker.NewDelivery(d.Message, func(ctx context.Context, how broker.Disposition) error {
		if c.b.lost.Load() {
			return broker.ErrStale
		}
		return d.Settle(ctx, how)
	}).WithStale(c.b.lost.Load)
	mine.Queue = d.Queue
	return mine, nil
}
