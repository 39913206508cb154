package taskq_test

import (
	"context"
	"fmt"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/task"
)

type Pair struct {
	X int `task:"x"`
	Y int `task:"y"`
}

var Add = task.New("tasks.add", func(_ context.Context, p Pair) (int, error) { return p.X + p.Y, nil })

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://"})
	if err != nil {
		panic(err)
	}
	if err := app.Register(Add); err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- app.Run(ctx) }() // usually another process

	result, err := Add.Send(ctx, app, Pair{2, 3})
	if err != nil {
		panic(err)
	}
	fmt.Println(result.Get(ctx))

	stop()
	fmt.Println(<-ended, app.Close(context.Background()))
	// Output:
	// 5 <nil>
	// <nil> <nil>
}
