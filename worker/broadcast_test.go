package worker_test

import (
	"context"
	"errors"
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

// declared notes the topologies that a worker declares.
type declared struct {
	*mem.Broker
	topologies []broker.Topology
}

func (b *declared) Declare(ctx context.Context, t broker.Topology) error {
	b.topologies = append(b.topologies, t)
	return b.Broker.Declare(ctx, t)
}

func TestEachWorkerRunsABroadcastOnce(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]worker.Options{
		"one consumer": {}, "a consumer for each queue": {QueueOrder: worker.Strict}, "dead letters": {DeadLetters: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := mem.NewServer()
				var runs [3]atomic.Int64
				houses := make([]*house, len(runs))
				seen := make([]*declared, len(runs))
				for i := range houses {
					flush := task.New("cache.clear", func(ctx context.Context, _ none) (int, error) {
						if runs[i].Add(1) == 1 {
							return 0, task.RetryAfter(errors.New("busy"), time.Minute)
						}
						return 0, task.Reject(errors.New("never mind"))
					})
					houses[i] = start(t, plan{
						server: server, opts: opts, tasks: []task.Definition{flush}, broadcasts: []string{"all"},
						wrap: func(b *mem.Broker) broker.Broker { seen[i] = &declared{Broker: b}; return seen[i] },
					})
				}
				time.Sleep(time.Second)
				msg, err := wire.Encode(wire.Outgoing{Signature: task.Signature{Task: "cache.clear", CallOptions: task.CallOptions{ID: "b"}}, Now: time.Now(), Origin: "test"})
				if err != nil {
					t.Fatal(err)
				}
				h := houses[0]
				if err := h.broker.Publish(t.Context(), broker.Address{Exchange: "all"}, msg); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				for i := range runs {
					if n := runs[i].Load(); n != 2 {
						t.Errorf("worker %d ran the broadcast %d times, want it and one retry", i, n)
					}
				}
				mine := seen[0].topologies[0].Queues[0]
				if !mine.AutoDelete || mine.Exclusive || mine.Transient {
					t.Errorf("the queue is %+v", mine)
				}
				if err := h.stop(); err != nil {
					t.Error(err)
				}
				for _, name := range []string{mine.Name, mine.Name + ".dead", mine.Name + ".quarantine"} {
					if _, err := houses[1].broker.(broker.Measurer).Measure(t.Context(), name); !errors.Is(err, broker.ErrNoQueue) {
						t.Errorf("queue %s is left: %v", name, err)
					}
				}
			})
		})
	}
}

func TestAWorkerHasAQueueOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{Direct: true, Hostname: "w1@host"}, tasks: []task.Definition{add()}})
		time.Sleep(time.Second)
		s := add().S(pair{1, 2}, task.ID("direct"))
		msg, err := wire.Encode(wire.Outgoing{Signature: s, Now: time.Now(), Origin: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.broker.Publish(t.Context(), broker.Address{Exchange: "C.dq2", RoutingKey: "w1@host"}, msg); err != nil {
			t.Fatal(err)
		}
		wantValue(t, h.outcome("direct"), 3)
		wantValue(t, h.outcome(h.send(add().S(pair{2, 2}))), 4)
	})
}
