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

var Report = task.New("reports.build", func(ctx context.Context, year int) (string, error) {
	<-ctx.Done() // a long query, say
	if errors.Is(context.Cause(ctx), task.ErrRevoked) {
		slog.InfoContext(ctx, "somebody does not want it any more", "year", year)
	}
	return "", ctx.Err()
})

func ExampleApp_Revoke() {
	ctx, stop := context.WithCancel(context.Background())
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	if err := app.Register(Report); err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- app.Run(ctx) }() // usually another process

	result, err := Report.Send(ctx, app, 2021)
	if err != nil {
		panic(err)
	}
	client, err := app.Control(ctx)
	if err != nil {
		panic(err)
	}
	for replies := []control.Reply{}; len(replies) == 0; { // nobody hears what is sent before a worker is there
		if replies, err = client.Call(ctx, control.Request{Method: "ping", Quiet: time.Millisecond}); err != nil {
			panic(err)
		}
	}

	if err := app.Revoke(ctx, []string{result.ID()}, task.Terminate("SIGTERM")); err != nil {
		panic(err)
	}
	_, err = result.Get(ctx)
	fmt.Println(errors.Is(err, task.ErrRevoked))

	stop()
	fmt.Println(<-ended, app.Close(context.Background()))
	// Output:
	// true
	// <nil> <nil>
}
