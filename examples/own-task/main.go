// Command own-task is a program with a task of its own and the whole command line of taskq.
package main

import (
	"context"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/task"
)

type pair struct {
	X int `task:"x"`
	Y int `task:"y"`
}

func main() {
	add := task.New("tasks.add", func(_ context.Context, p pair) (int, error) { return p.X + p.Y, nil })
	cli.Main("myapp", func(app *taskq.App) error { return app.Register(add) })
}
