// Command call-python calls tasks of a Python worker (see tasks.py) and prints a result and an error.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/task"
)

type division struct {
	A int `task:"a"`
	B int `task:"b"`
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	url := cmp.Or(os.Getenv("TASKQ_BROKER_URL"), "amqp://guest:guest@localhost:5672//")
	app, err := taskq.New(taskq.Config{BrokerURL: url})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close(ctx)) }()

	divide := task.Remote[division, float64]("tasks.divide")
	for _, d := range []division{{1, 4}, {1, 0}} {
		result, err := divide.Send(ctx, app, d)
		if err != nil {
			return err
		}
		quotient, err := result.Get(ctx)
		if failure, ok := errors.AsType[*task.RemoteError](err); ok {
			fmt.Printf("%d / %d failed in Python with %s: %s\n", d.A, d.B, failure.Type, failure.Message)
			continue
		}
		if err != nil {
			return err
		}
		fmt.Printf("%d / %d = %g\n", d.A, d.B, quotient)
	}
	return nil
}
