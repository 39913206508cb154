package worker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/task"
)

// BenchmarkGate measures what a request without limits pays for those that have some, before it waits for a slot and on it, and what its
// handler's context costs.
func BenchmarkGate(b *testing.B) {
	add := task.New("add", func(context.Context, struct{}) (int, error) { return 3, nil })
	var registry task.Registry
	if err := registry.Add(add); err != nil {
		b.Fatal(err)
	}
	w, err := New(Config{Options: Options{Queues: []string{"celery"}}, Broker: mem.NewServer().Open(), Registry: &registry, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	delivery := arrive(broker.NewDelivery(broker.Message{}, nil), nil)
	request := &task.Request{ID: "1", Name: "add"}
	ctx := b.Context()
	for name, step := range map[string]func(*execution) bool{
		"gate":   func(e *execution) bool { return w.gate(ctx, e) },
		"begin":  func(e *execution) bool { return e.begin(ctx) == nil },
		"handle": func(e *execution) bool { return e.handle(ctx, nil).result == 3 },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e := &execution{w: w, delivery: delivery, req: request, spec: add.Spec(), received: time.Now()}
				if !step(e) {
					b.Fatal("the task did not start")
				}
			}
		})
	}
}
