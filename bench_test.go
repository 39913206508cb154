package taskq_test

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

func BenchmarkSend(b *testing.B) {
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://", ResultBackend: "disabled://", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer app.Close(b.Context())
	call := task.Signature{Task: "tasks.add", Args: []any{1, 2}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := app.Send(b.Context(), call); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSendToRabbitMQ waits for the broker's confirm of each call. broker/amqp's BenchmarkSend does so without the calls.
func BenchmarkSendToRabbitMQ(b *testing.B) {
	app, err := taskq.New(taskq.Config{
		BrokerURL: testserver.AMQP(b), ResultBackend: "disabled://", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = app.Close(b.Context()) })
	call := task.Signature{Task: "tasks.add", Kwargs: map[string]any{"x": 1, "y": 2}}
	b.Run("one batch", func(b *testing.B) {
		b.ReportAllocs()
		if _, err := app.SendBatch(b.Context(), slices.Repeat([]task.Signature{call}, b.N)); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("64 wait", func(b *testing.B) {
		b.ReportAllocs()
		var left atomic.Int64
		left.Store(int64(b.N))
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					if _, err := app.Send(b.Context(), call); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func BenchmarkSendBatch100(b *testing.B) {
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://", ResultBackend: "disabled://", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer app.Close(b.Context())
	batch := make([]task.Signature, 100)
	for i := range batch {
		batch[i] = task.Signature{Task: "tasks.add", Args: []any{1, 2}}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := app.SendBatch(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
