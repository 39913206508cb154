package pool_test

import (
	"context"
	"testing"

	"github.com/seed-399731e2/taskq/pool"
)

func BenchmarkSubmit(b *testing.B) {
	for _, kind := range kinds() {
		b.Run(string(kind), func(b *testing.B) {
			p := newPool(b, kind, pool.Config{Size: sizeOf(kind, 4)})
			job := func(context.Context) {}
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Submit(ctx, job); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSubmitWithResource(b *testing.B) {
	res := &pool.Resource[int]{
		Name:   "number",
		Open:   func(context.Context) (int, error) { return 1, nil },
		Usable: func(int) bool { return true },
		Peek:   func(int) bool { return true },
	}
	p := newPool(b, pool.Goroutines, pool.Config{Size: 4, Hooks: []pool.Hook{res}})
	job := func(ctx context.Context) { _ = res.Use(ctx, func(int) error { return nil }) }
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Submit(b.Context(), job); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUse(b *testing.B) {
	res := &pool.Resource[int]{Name: "number", Open: func(context.Context) (int, error) { return 1, nil }}
	p := newPool(b, pool.Solo, pool.Config{Hooks: []pool.Hook{res}})
	nothing := func(int) error { return nil }
	run(b, p, func(ctx context.Context) {
		b.ReportAllocs()
		for b.Loop() {
			if err := res.Use(ctx, nothing); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	res := &pool.Resource[int]{Name: "number", Open: func(context.Context) (int, error) { return 1, nil }}
	p := newPool(b, pool.Solo, pool.Config{Hooks: []pool.Hook{res}})
	run(b, p, func(ctx context.Context) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := res.Get(ctx); err != nil {
				b.Error(err)
			}
		}
	})
}
