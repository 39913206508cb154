package taskq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/task"
)

type Invoice struct {
	Customer int    `task:"customer"`
	Month    string `task:"month"`
}

func makeInvoice(context.Context, Invoice) (string, error) { return "done", nil }

func Example_limits() {
	ctx, stop := context.WithCancel(context.Background())
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}

	invoice := task.New("invoices.make", makeInvoice,
		task.RateLimit("100/m", task.ClusterWide()),                                // of all workers together
		task.MaxConcurrent(2, task.ClusterWide(), task.PerArgument("customer")),    // of each customer
		task.Unique(task.PerArgument("customer", "month"), 6*time.Hour, task.Both), // one of them is enough
	)

	if err := app.Register(invoice); err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- app.Run(ctx) }()
	result, err := invoice.Send(ctx, app, Invoice{7, "2026-11"})
	if err != nil {
		panic(err)
	}
	fmt.Println(result.Get(ctx))
	stop()
	fmt.Println(<-ended, app.Close(context.Background()))
	// Output:
	// done <nil>
	// <nil> <nil>
}

func Example_unique() {
	ctx := context.Background()
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://"})
	if err != nil {
		panic(err)
	}
	invoice := task.New("invoices.make", makeInvoice, task.Unique(task.AllArguments(), time.Hour, task.Queued))
	if err := app.Register(invoice); err != nil {
		panic(err)
	}
	first, err := invoice.Send(ctx, app, Invoice{7, "2026-11"})
	if err != nil {
		panic(err)
	}

	_, err = invoice.Send(ctx, app, Invoice{7, "2026-11"})
	if duplicate, ok := errors.AsType[*task.DuplicateError](err); ok {
		fmt.Println("it waits already:", duplicate.ID == first.ID())
	}

	fmt.Println(app.Close(ctx))
	// Output:
	// it waits already: true
	// <nil>
}

func Example_rateLimit() {
	ctx := context.Background()
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://"})
	if err != nil {
		panic(err)
	}
	client, err := app.Control(ctx)
	if err != nil {
		panic(err)
	}

	err = client.Cast(ctx, control.Request{
		Method: "rate_limit", Arguments: map[string]any{"task_name": "invoices.make", "rate_limit": "10/m"},
	})

	fmt.Println(err, app.Close(ctx))
	// Output: <nil> <nil>
}
