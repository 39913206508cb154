package console_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/seed-399731e2/taskq/cli/console"
)

// BenchmarkTaskLines measures the two lines that a worker writes for each task.
func BenchmarkTaskLines(b *testing.B) {
	scrub := func(line string) string { return line }
	for name, handler := range map[string]slog.Handler{
		"console": console.New(io.Discard, console.Options{Scrub: scrub}),
		"json":    console.NewJSON(io.Discard, console.Options{Scrub: scrub}),
		"off":     console.New(io.Discard, console.Options{Level: slog.LevelWarn}),
	} {
		b.Run(name, func(b *testing.B) {
			log, ctx := slog.New(handler), context.Background()
			name, id := slog.String("task", "proj.tasks.add"), slog.String("id", "516612f5-d46e-471a-8559-20b86da2b364")
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(ctx, slog.LevelInfo, "task received", name, id, slog.String("queue", "celery"))
				log.LogAttrs(ctx, slog.LevelInfo, "task succeeded", name, id, slog.Float64("runtime", 0.000123), slog.String("result", "3"))
			}
		})
	}
}
