package task_test

import (
	"context"
	"testing"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// BenchmarkArguments measures what a handler costs: arguments bound and decoded, and the result.
func BenchmarkArguments(b *testing.B) {
	type point struct{ X, Y int }
	type visit struct {
		Path   string `json:"path"`
		Source string `json:"source"`
		Count  int    `json:"count"`
	}
	type visited struct{ Data visit }
	add := task.New("add", func(_ context.Context, p point) (int, error) { return p.X + p.Y, nil })
	see := task.New("see", func(_ context.Context, v visited) (int, error) { return v.Data.Count, nil })
	one, two := codec.Raw("1"), codec.Raw("2")
	object := codec.Raw(`{"path": "/articles/42/", "source": "example.com", "count": 3}`)
	for name, bench := range map[string]struct {
		handler task.Handler
		task.Arguments
	}{
		"positional":             {add.Spec().Handler, task.Arguments{Args: []codec.Raw{one, two}, Codec: codec.JSON{}}},
		"keyword":                {add.Spec().Handler, task.Arguments{Kwargs: map[string]codec.Raw{"x": one, "y": two}, Codec: codec.JSON{}}},
		"object":                 {see.Spec().Handler, task.Arguments{Args: []codec.Raw{object}, Codec: codec.JSON{}}},
		"object of a known type": {see.Spec().Handler, task.Arguments{Args: []codec.Raw{object}, Codec: codec.Remembering(codec.JSON{})}},
	} {
		b.Run(name, func(b *testing.B) {
			req := &task.Request{Arguments: bench.Arguments}
			b.ReportAllocs()
			for b.Loop() {
				if got, err := bench.handler.Handle(b.Context(), req); got != 3 || err != nil {
					b.Fatal(got, err)
				}
			}
		})
	}
}
