// Command batches is a program with a task whose calls are collected and run together.
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/task"
)

type mail struct {
	To   string `task:"to"`
	Text string `task:"text,optional"`
}

func main() {
	send := task.NewBatch("mail.send", sendAll, task.BatchSize(500), task.BatchWait(time.Second))
	cli.Main("myapp", func(app *taskq.App) error { return app.Register(send) })
}

// sendAll hands all mails over at once; each of them has its own outcome.
func sendAll(ctx context.Context, calls []*task.BatchCall[mail, string]) error {
	var mails []mail
	for _, c := range calls {
		mails = append(mails, c.Args)
	}
	refused, err := handOver(ctx, mails)
	if err != nil {
		return task.RetryAfter(err, 30*time.Second) // for all of them
	}
	for i, c := range calls {
		if refused[i] != nil {
			c.Fail(refused[i])
			continue
		}
		c.Succeed(fmt.Sprintf("sent with %d others", len(calls)-1))
	}
	return nil
}

// handOver stands for a mail server that takes many mails in one go and refuses some.
func handOver(ctx context.Context, mails []mail) (refused []error, err error) {
	for _, m := range mails {
		var why error
		if !strings.Contains(m.To, "@") {
			why = errors.New("no address: " + m.To)
		}
		refused = append(refused, why)
	}
	return refused, ctx.Err()
}
