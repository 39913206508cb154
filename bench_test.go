package taskq_test

import (
	"log/slog"
	"testing"

	"github.com/seed-399731e2/taskq"
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
