package taskq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/task"
)

type Rows struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

var Import = task.New("rows.import", func(ctx context.Context, rows []string) (int, error) {
	for i := range rows {
		if err := task.Progress(ctx, Rows{i + 1, len(rows)}); err != nil {
			slog.WarnContext(ctx, "nobody sees how far we are", "error", err) // no reason to fail
		}
	}
	return len(rows), nil
})

func ExampleResult_progress() {
	ctx, stop := context.WithCancel(context.Background())
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	if err := app.Register(Import); err != nil {
		panic(err)
	}
	result, err := Import.Send(ctx, app, []string{"a", "b", "c"})
	if err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- app.Run(ctx) }() // usually another process

	for meta, err := range result.Watch(ctx) { // the newest state; those before it may be left out
		if err != nil {
			panic(err)
		}
		if meta.State == task.InProgress {
			var rows Rows
			if err := meta.Value(&rows); err != nil {
				panic(err)
			}
			slog.Debug("working", "done", rows.Done, "of", rows.Total)
		}
	}
	fmt.Println(result.Get(ctx))

	stop()
	fmt.Println(<-ended, app.Close(context.Background()))
	// Output:
	// 3 <nil>
	// <nil> <nil>
}

var ErrOutOfStock = errors.New("out of stock")

func ExampleConfig_exceptions() {
	ctx, stop := context.WithCancel(context.Background())
	app, err := taskq.New(taskq.Config{
		BrokerURL: "memory://", Logger: slog.New(slog.DiscardHandler),
		Exceptions: task.Exceptions{
			{Type: "OutOfStock", Module: "shop.errors", Err: ErrOutOfStock},
		},
	})
	if err != nil {
		panic(err)
	}
	order := task.New("shop.order", func(_ context.Context, item string) (int, error) {
		return 0, fmt.Errorf("%s: %w", item, ErrOutOfStock) // Python catches shop.errors.OutOfStock
	})
	if err := app.Register(order); err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- app.Run(ctx) }()

	result, err := order.Send(ctx, app, "tea") // it might as well run in Python
	if err != nil {
		panic(err)
	}
	_, err = result.Get(ctx)
	fmt.Println(errors.Is(err, ErrOutOfStock), err)

	stop()
	fmt.Println(<-ended, app.Close(context.Background()))
	// Output:
	// true OutOfStock: tea: out of stock
	// <nil> <nil>
}
