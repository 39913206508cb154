package worker_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// BenchmarkWorker measures the way of one plain task through the worker: no limits, no result store, a broker in memory.
func BenchmarkWorker(b *testing.B) {
	benchmarkWorker(b, worker.Options{Pool: "solo", PrefetchMultiplier: 64}, nil)
}

// BenchmarkWorkerAside measures the same with ten slots and a store whose answers take a while, and come together.
func BenchmarkWorkerAside(b *testing.B) {
	store := together{resultmem.New(resultmem.Config{}), make(chan chan struct{})}
	ctx, cancel := context.WithCancel(b.Context())
	var answering sync.WaitGroup
	answering.Go(func() { store.answer(ctx) })
	benchmarkWorker(b, worker.Options{Concurrency: 10, PrefetchMultiplier: 64}, store)
	cancel()
	answering.Wait()
}

// together is a store that keeps nothing, and answers after 300 µs to all who have come by then.
type together struct {
	result.Backend
	asked chan chan struct{}
}

func (s together) Store(ctx context.Context, _ task.Meta) error {
	answer := make(chan struct{}, 1)
	s.asked <- answer
	select {
	case <-answer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s together) answer(ctx context.Context) {
	for {
		var waiting []chan struct{}
		select {
		case answer := <-s.asked:
			waiting = append(waiting, answer)
		case <-ctx.Done():
			return
		}
		for timer := time.After(300 * time.Microsecond); timer != nil; {
			select {
			case answer := <-s.asked:
				waiting = append(waiting, answer)
			case <-timer:
				timer = nil
			}
		}
		for _, answer := range waiting {
			answer <- struct{}{}
		}
	}
}

func benchmarkWorker(b *testing.B, opts worker.Options, results result.Backend) {
	b.Helper()
	br := mem.NewServer().Open()
	over := make(chan struct{})
	var left atomic.Int64
	left.Store(int64(b.N))
	nop := task.New("tasks.nop", func(context.Context, none) (none, error) {
		if left.Add(-1) == 0 {
			close(over)
		}
		return none{}, nil
	})
	var registry task.Registry
	if err := registry.Add(nop); err != nil {
		b.Fatal(err)
	}
	opts.Queues = []string{queue}
	w, err := worker.New(worker.Config{
		Options: opts, Broker: br, Results: results, Registry: &registry, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := br.Declare(b.Context(), broker.TaskQueue(broker.Queue{Name: queue})); err != nil {
		b.Fatal(err)
	}
	call := nop.S(none{})
	call.ID = "an-id"
	msg, err := wire.Encode(wire.Outgoing{Signature: call, Now: time.Now(), Origin: "test"})
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		if err := br.Publish(b.Context(), broker.Address{RoutingKey: queue}, msg); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	go func() { ended <- w.Run(ctx) }()
	<-over
	b.StopTimer()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
