package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/task"
)

// mark is the argument of tasks that write down that they ran.
type mark struct {
	File string `task:"file"`
	Name string `task:"name"`
}

func (m mark) write(what string) error {
	f, err := os.OpenFile(m.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, what, m.Name)
	return err
}

// registerMarks adds tasks that kill the process and one that does not.
func registerMarks(app *taskq.App) error {
	return app.Register(
		task.New("tasks.exit", func(_ context.Context, m mark) (any, error) {
			if err := m.write("ran"); err != nil {
				return nil, err
			}
			os.Exit(3)
			return nil, nil
		}),
		task.New("tasks.kill", func(_ context.Context, m mark) (any, error) {
			self, err := os.FindProcess(os.Getpid())
			if err = errors.Join(err, m.write("ran")); err != nil {
				return nil, err
			}
			return nil, self.Kill()
		}),
		task.New("tasks.mark", func(ctx context.Context, m mark) (any, error) {
			timer := time.NewTimer(20 * time.Millisecond)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return nil, m.write("ran")
		}),
	)
}
