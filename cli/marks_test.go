package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
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
		task.NewBatch("tasks.together", func(_ context.Context, calls []*task.BatchCall[mark, struct{}]) error {
			for _, c := range calls {
				if err := c.Args.write("ran"); err != nil {
					return err
				}
			}
			for _, c := range calls {
				if strings.HasPrefix(c.Args.Name, "killer") {
					os.Exit(3)
				}
			}
			return nil
		}, task.BatchSize(10), task.BatchWait(200*time.Millisecond)),
	)
}

// placeTime is how long a place of tasks.placed stays taken when its worker is killed.
const placeTime = 3 * time.Second

// registerLimited adds tasks that need a limit store, which not every test has.
func registerLimited(app *taskq.App) error {
	if os.Getenv("TASKQ_TEST_LIMITED") == "" {
		return nil
	}
	return app.Register(
		task.New("tasks.placed", func(ctx context.Context, m mark) (any, error) {
			began(ctx)
			if m.Name == "first" {
				<-ctx.Done()
			}
			return nil, ctx.Err()
		}, task.AckEarly(), task.MaxConcurrent(1, task.ClusterWide(), task.FreeAfter(placeTime))),
		task.New("tasks.single", func(ctx context.Context, m mark) (any, error) {
			began(ctx)
			if os.Getenv("TASKQ_TEST_BRIEF") != "" {
				return nil, m.write("ran")
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}, task.Unique(task.AllArguments(), time.Hour, task.Both)),
	)
}
