// Command canvas runs workflows: a chain, a group, a chord, and one that fails.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/task"
)

type pair struct{ X, Y int }

type number struct{ N int }

type numbers struct{ All []int }

func main() {
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	add := task.New("tasks.add", func(_ context.Context, p pair) (int, error) { return p.X + p.Y, nil })
	double := task.New("tasks.double", func(_ context.Context, n number) (int, error) { return 2 * n.N, nil })
	total := task.New("tasks.total", func(_ context.Context, n numbers) (sum int, err error) {
		for _, x := range n.All {
			sum += x
		}
		return sum, nil
	})
	broken := task.New("tasks.broken", func(context.Context, number) (int, error) { return 0, errors.New("out of tea") })
	if err := app.Register(add, double, total, broken); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() { _ = app.Run(ctx) }() // the worker, which is another program elsewhere

	twice := double.Partial(number{}) // gets the result of what is before it
	show := func(name string, flow task.Signature) {
		result, err := app.Send(ctx, flow)
		if err != nil {
			log.Fatal(err)
		}
		value, err := result.Get(ctx)
		fmt.Println(name, value, err)
	}
	show("chain:", canvas.Chain(add.S(pair{2, 3}), twice, twice))
	show("group:", canvas.Group(add.S(pair{1, 1}), add.S(pair{2, 2})))
	show("chord:", canvas.Chord([]task.Signature{add.S(pair{1, 1}), add.S(pair{2, 2})}, total.Partial(numbers{})))
	show("error:", canvas.Chain(add.S(pair{2, 3}), broken.Partial(number{}), twice))
}
