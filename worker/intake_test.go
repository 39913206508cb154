package worker_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// order writes down from which queues tasks ran, one letter for each.
type order struct {
	mu   sync.Mutex
	runs []byte
}

func (o *order) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.runs)
}

// step is a task that takes a second.
func (o *order) step() *task.Task[none, int] {
	return task.New("step", func(ctx context.Context, _ none) (int, error) {
		o.mu.Lock()
		o.runs = append(o.runs, task.FromContext(ctx).Queue[0])
		o.mu.Unlock()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		return 0, ctx.Err()
	})
}

// fill declares a queue and puts n calls of step there.
func (h *house) fill(queue string, n int) {
	h.t.Helper()
	h.declare(taskQueue(queue))
	for range n {
		msg, err := wire.Encode(wire.Outgoing{Signature: task.Signature{Task: "step", CallOptions: task.CallOptions{ID: uuid.NewString()}}, Now: time.Now(), Origin: "test"})
		if err != nil {
			h.t.Fatal(err)
		}
		if err := h.broker.Publish(h.t.Context(), broker.Address{RoutingKey: queue}, msg); err != nil {
			h.t.Fatal(err)
		}
	}
}

func TestQueuesShareTheSlotsByWeight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &order{}
		h := start(t, plan{
			opts: worker.Options{Concurrency: 1, Weights: map[string]int{"high": 3}}, tasks: []task.Definition{o.step()},
			queues: []string{"low", "high"}, before: func(h *house) { h.fill("high", 30); h.fill("low", 30) },
		})
		time.Sleep(40*time.Second + 500*time.Millisecond)
		if got := o.String(); strings.Count(got, "h") != 30 || strings.Contains(got, "ll") || strings.Contains(got, "hhhh") && !strings.HasPrefix(got, "hhhh") {
			t.Errorf("ran %s, want three of high for each of low", got)
		}
		time.Sleep(time.Minute)
		if got := o.String(); len(got) != 60 {
			t.Errorf("%d of 60 tasks ran", len(got))
		}
		if s := h.worker.Stats(); s.Settled != 60 || s.Running != 0 {
			t.Errorf("stats = %+v", s)
		}
	})
}

func TestInTheStrictOrderALaterQueueWaits(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]worker.Options{
		"one slot": {Concurrency: 1}, "ten slots": {Concurrency: 10}, "nothing ahead": {Concurrency: 1, PrefetchMultiplier: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, slots := &order{}, opts.Concurrency
				opts.QueueOrder = worker.Strict
				h := start(t, plan{
					opts: opts, tasks: []task.Definition{o.step()},
					queues: []string{"high", "middle", "low"}, before: func(h *house) { h.fill("low", 50); h.fill("middle", 50); h.fill("high", 50) },
				})
				time.Sleep(100*time.Second/time.Duration(slots) + 500*time.Millisecond)
				before := len(o.String())
				h.fill("high", 10)
				time.Sleep(100 * time.Second)
				got := o.String()
				if want := strings.Repeat("h", 50) + strings.Repeat("m", 50); !strings.HasPrefix(got, want) {
					t.Errorf("ran %s", got)
				}
				// One of low may wait for a slot already, and one is at hand.
				if rest := got[before:]; !strings.Contains(rest[:12], strings.Repeat("h", 10)) {
					t.Errorf("after more came into high, %s ran", rest)
				}
				if len(got) != 160 {
					t.Errorf("%d of 160 tasks ran", len(got))
				}
			})
		})
	}
}

// lateBroker is one that takes a moment longer for the next delivery of a queue than the tasks run.
type lateBroker struct {
	*mem.Broker
	queue string
}

func (b *lateBroker) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	c, err := b.Broker.Consume(ctx, cfg)
	if err == nil && slices.Contains(cfg.Queues, b.queue) {
		c = &lateConsumer{c}
	}
	return c, err
}

type lateConsumer struct{ broker.Consumer }

func (c *lateConsumer) Next(ctx context.Context) (*broker.Delivery, error) {
	select {
	case <-time.After(time.Second + 100*time.Microsecond):
	case <-ctx.Done():
	}
	return c.Consumer.Next(ctx)
}

func TestAQueueThatIsAMomentLateKeepsItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &order{}
		start(t, plan{
			opts: worker.Options{Concurrency: 1, QueueOrder: worker.Strict}, tasks: []task.Definition{o.step()},
			queues: []string{"high", "low"}, before: func(h *house) { h.fill("high", 10); h.fill("low", 10) },
			wrap: func(b *mem.Broker) broker.Broker { return &lateBroker{b, "high"} },
		})
		time.Sleep(time.Minute)
		// Nobody knows of high before it comes for the first time; one of low waits for a slot then.
		if got := strings.TrimLeft(o.String(), "l"); !strings.HasPrefix(got, strings.Repeat("h", 10)) || len(o.String()) != 20 {
			t.Errorf("ran %s, want all of high in a row", o)
		}
	})
}

func TestWhatWaitsForItsTurnGoesBackInTheEnd(t *testing.T) {
	t.Parallel()
	for _, opts := range []worker.Options{{QueueOrder: worker.Strict}, {Weights: map[string]int{"a": 5}}} {
		synctest.Test(t, func(t *testing.T) {
			opts.Concurrency = 1
			long := task.New("step", func(ctx context.Context, _ none) (int, error) { <-ctx.Done(); return 0, context.Cause(ctx) })
			h := start(t, plan{
				opts: opts, tasks: []task.Definition{long}, queues: []string{"a", "b", "c"},
				before: func(h *house) { h.fill("a", 1); h.fill("b", 5); h.fill("c", 5) },
			})
			time.Sleep(time.Second) // a runs, one of b or c waits for a slot, and one of each is at hand
			if left := h.waiting("b") + h.waiting("c"); left < 7 || left > 9 {
				t.Errorf("%d wait in their queues, want at most one of each to be held, and one for the slot", left)
			}
			time.Sleep(16 * time.Minute)
			if left := h.waiting("b") + h.waiting("c"); left != 9 {
				t.Errorf("%d wait in their queues, want what nobody has time for to be back", left)
			}
			h.worker.Terminate()
			_ = h.stop() // the task is cut off
			if left := h.waiting("a") + h.waiting("b") + h.waiting("c"); left != 11 {
				t.Errorf("%d wait after the shutdown, want all", left)
			}
		})
	}
}

func TestResizeReachesTheConsumersOfAllQueues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &order{}
		h := start(t, plan{
			opts: worker.Options{Concurrency: 1, PrefetchMultiplier: 1, QueueOrder: worker.Strict}, tasks: []task.Definition{o.step()},
			queues: []string{"high", "low"}, before: func(h *house) { h.fill("high", 40) },
		})
		time.Sleep(time.Millisecond)
		if err := h.worker.Resize(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if n := len(o.String()); n != 40 {
			t.Errorf("%d of 40 tasks have started, want all with twenty slots", n)
		}
	})
}

func TestAQueueThatIsDeletedEndsTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{QueueOrder: worker.Strict}, tasks: []task.Definition{add()}, queues: []string{queue, "low"}})
		synctest.Wait()
		time.Sleep(time.Second)
		if err := h.broker.(broker.Deleter).DeleteQueue(t.Context(), "low"); err != nil {
			t.Fatal(err)
		}
		err := <-h.ended
		h.ended <- err
		if err == nil || !strings.Contains(err.Error(), `queue "low" was deleted`) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestWhatQueuesCannotHaveIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts worker.Options
		want string
	}{
		"order":     {worker.Options{QueueOrder: "random"}, `worker.queue_order`},
		"both":      {worker.Options{QueueOrder: worker.Strict, Weights: map[string]int{queue: 2}}, "worker.queue_order"},
		"zero":      {worker.Options{Weights: map[string]int{queue: 0}}, "weight of queue celery (worker.queues) is 0"},
		"too heavy": {worker.Options{Weights: map[string]int{queue: 1_000_000}}, "from 1 to 10000"},
		"stray":     {worker.Options{Weights: map[string]int{"other": 2}}, "queue other has a weight and is not consumed"},
		"priority":  {worker.Options{ConsumerPriority: 1 << 40}, "worker.consumer_priority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.opts.Queues = []string{queue}
			var registry task.Registry
			_, err := worker.New(worker.Config{Options: tt.opts, Broker: &slowBroker{}, Registry: &registry})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New returned %v, want an error with %q", err, tt.want)
			}
		})
	}
}
