// Command outbox takes orders: the row of each and the task that confirms it are committed together, or not at all.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/outbox"
	"github.com/seed-399731e2/taskq/task"
)

func confirm() *task.Task[string, string] {
	return task.New("orders.confirm", func(_ context.Context, item string) (string, error) { return "confirmed: " + item, nil })
}

var errSoldOut = errors.New("sold out")

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	database := os.Getenv("TASKQ_OUTBOX_URL")
	app, err := taskq.New(taskq.Config{BrokerURL: os.Getenv("TASKQ_BROKER_URL"), Outbox: outbox.Config{URL: database}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close(ctx)) }()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()

	work, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	if err := app.Register(confirm()); err != nil {
		return err
	}
	go func() { ended <- app.Run(work) }() // usually another process; it sends what is in the outbox, too
	for item, stock := range map[string]int{"tea": 3, "coffee": 0} {
		result, err := place(ctx, app, conn, item, stock)
		if err == nil {
			fmt.Println(result.Get(ctx))
		} else if !errors.Is(err, errSoldOut) {
			return err
		}
	}
	stop()
	return <-ended
}
