package taskq_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

type Mail struct {
	To   string `task:"to"`
	Text string `task:"text"`
}

var SendMail = task.Remote[Mail, bool]("mails.send", // implemented elsewhere, in Python say
	task.Queue("mail"),
	task.ExpiresIn(time.Hour),
	task.ArgsRepr("('…', '…')"), // logs and monitors do not show who writes what
)

func Example_typedCall() {
	ctx := context.Background()
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://"})
	if err != nil {
		panic(err)
	}

	result, err := SendMail.Send(ctx, app, Mail{"ada@example.org", "Hello"}, task.Priority(5), task.Countdown(time.Minute), task.Header("tenant", "acme"))
	if err != nil {
		panic(err)
	}
	fmt.Println(result.State(ctx))
	fmt.Println(app.Close(ctx))
	// Output:
	// PENDING <nil>
	// <nil>
}

func ExampleApp_Send() {
	ctx := context.Background()
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://"})
	if err != nil {
		panic(err)
	}

	byName := task.Signature{Task: "tasks.add", Args: []any{2}, Kwargs: map[string]any{"y": 3}}
	if _, err := app.Send(ctx, byName.With(task.Queue("sums"), task.IgnoreResult())); err != nil {
		panic(err)
	}
	fmt.Println(app.Close(ctx))
	// Output: <nil>
}

func Example_links() {
	ctx := context.Background()
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://"})
	if err != nil {
		panic(err)
	}

	plusTen := task.Signature{Task: "tasks.add", Kwargs: map[string]any{"y": 10}} // x is the sum, which comes in front
	tell := SendMail.SI(Mail{"ops@example.org", "It failed"})                     // SI: nothing comes in front
	_, err = Add.Send(ctx, app, Pair{2, 3}, task.Link(plusTen), task.LinkError(tell))
	fmt.Println(err, app.Close(ctx))
	// Output: <nil> <nil>
}

func Example_publishRetry() {
	ctx := context.Background()
	app, err := taskq.New(taskq.Config{
		BrokerURL: "memory://",
		Call:      task.CallOptions{Publish: &task.PublishPolicy{Max: 5, Start: 100 * time.Millisecond}},
	})
	if err != nil {
		panic(err)
	}

	_, err = Add.Send(ctx, app, Pair{2, 3})
	switch {
	case errors.Is(err, broker.ErrUnconfirmed): // it may have been sent
	case errors.Is(err, broker.ErrUnavailable): // it was not
	}
	fmt.Println(err, app.Close(ctx))
	// Output: <nil> <nil>
}
