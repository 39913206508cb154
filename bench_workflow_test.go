package taskq_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

// BenchmarkChord sends chords over RabbitMQ and waits for what they come to, the worker in the same process.
func BenchmarkChord(b *testing.B) {
	for name, results := range map[string]string{"Redis": testserver.Redis(b), "PostgreSQL": testserver.Postgres(b)} {
		for _, n := range []int{10, 100} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				app, err := taskq.New(taskq.Config{
					BrokerURL: testserver.AMQPVhost(b), ResultBackend: results, Logger: slog.New(slog.DiscardHandler),
				})
				if err != nil {
					b.Fatal(err)
				}
				defer app.Close(context.WithoutCancel(b.Context()))
				if err := app.Register(add(), sums()); err != nil {
					b.Fatal(err)
				}
				ctx, stop := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				go func() { ended <- app.Run(ctx) }()
				chord := canvas.Chord(make([]task.Signature, n), sum())
				for i := range chord.Tasks {
					chord.Tasks[i] = add().S(pair{i, i})
				}
				for b.Loop() {
					r, err := app.Send(b.Context(), chord)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := r.Get(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*(n+1))/b.Elapsed().Seconds(), "tasks/s")
				stop()
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func BenchmarkSendChord10(b *testing.B) {
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer app.Close(b.Context())
	chord := canvas.Chord(make([]task.Signature, 10), sum())
	for i := range chord.Tasks {
		chord.Tasks[i] = add().S(pair{i, i})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := app.Send(b.Context(), chord); err != nil {
			b.Fatal(err)
		}
	}
}
