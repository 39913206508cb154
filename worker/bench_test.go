package worker_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// BenchmarkWorker measures the way of one plain task through the worker: no limits, no result store, a broker in memory.
func BenchmarkWorker(b *testing.B) {
	br := mem.NewServer().Open()
	over := make(chan struct{})
	left := b.N
	nop := task.New("tasks.nop", func(context.Context, none) (none, error) {
		if left--; left == 0 {
			close(over)
		}
		return none{}, nil
	})
	var registry task.Registry
	if err := registry.Add(nop); err != nil {
		b.Fatal(err)
	}
	w, err := worker.New(worker.Config{
		Options: worker.Options{Pool: "solo", Queues: []string{queue}, PrefetchMultiplier: 64}, Broker: br, Registry: &registry,
		Logger: slog.New(slog.DiscardHandler),
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
