// Package signup is a part of a website that is tested without a server: whoever signs up gets a mail, and another one a week later.
package signup

import (
	"context"
	"errors"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// ErrBusy is what a mail server says that wants to be asked later.
var ErrBusy = errors.New("mail server is busy")

// Letter is the argument of the task that sends mails.
type Letter struct {
	To       string `task:"to"`
	Template string `task:"template"`
}

// MailTask returns the task that sends a letter; when the server is busy it tries again an hour later, for a day.
func MailTask(deliver func(context.Context, Letter) error) *task.Task[Letter, struct{}] {
	hourly := task.RetryPolicy{Max: 24, Delay: time.Hour, If: func(err error) bool { return errors.Is(err, ErrBusy) }}
	return task.New("mail.send", func(ctx context.Context, l Letter) (struct{}, error) {
		return struct{}{}, deliver(ctx, l)
	}, task.Retry(hourly))
}

// SignUp is what the website does for a new user.
func SignUp(ctx context.Context, sender task.Sender, mail *task.Task[Letter, struct{}], address string) error {
	if _, err := mail.Send(ctx, sender, Letter{To: address, Template: "welcome"}); err != nil {
		return err
	}
	_, err := mail.Send(ctx, sender, Letter{To: address, Template: "how is it going?"}, task.Countdown(7*24*time.Hour))
	return err
}
