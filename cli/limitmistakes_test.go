package cli_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/task"
)

func TestMistakesAboutTheLimitStoreAreExplained(t *testing.T) {
	t.Parallel()
	single := func(app *taskq.App) error {
		return app.Register(task.New("tasks.single", func(context.Context, struct{}) (any, error) { return nil, nil },
			task.Unique(task.AllArguments(), time.Hour, task.Both)))
	}
	for _, tt := range []struct {
		store, args string
		code        int
		want        []string
	}{
		{"disabled://", "worker -b memory://", cli.Misconfigured, []string{"tasks.single", "no limit store", "set limit_store"}},
		{"disabled://", "send tasks.single -b memory://", cli.Misconfigured, []string{"tasks.single", "no limit store", "set limit_store"}},
		{"redis://:hush@127.0.0.1:1/0", "send tasks.single -b memory://", cli.Unavailable, []string{"start Redis there", "from environment TASKQ_LIMIT_STORE"}},
	} {
		root := cli.New("myapp", single, cli.Environ(func(name string) (string, bool) {
			value, ok := map[string]string{"TASKQ_LIMIT_STORE": tt.store}[name]
			return value, ok
		}))
		root.SetArgs(strings.Fields(tt.args))
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		err := root.ExecuteContext(t.Context())
		if cli.ExitCode(err) != tt.code || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s with %s: %v with status %d, want %d", tt.args, tt.store, err, cli.ExitCode(err), tt.code)
			continue
		}
		checkSentence(t, err, tt.want)
	}
}
