//go:build !windows

package cli_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// delayedTasks is what `delayed list -o json` prints.
type delayedTasks []struct {
	ID, Task, Queue string
	Due             time.Time
	ETA             *time.Time
}

func TestDelayedTasksAreListedAndCancelled(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"embedded", "rabbitmq"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			env := map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(dir, "b.db"), "TASKQ_RESULT_BACKEND": "sqlite://" + filepath.Join(dir, "r.db")}
			if kind == "rabbitmq" {
				env["TASKQ_BROKER_URL"] = testserver.AMQPVhost(t)
			}
			eta := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
			succeeds(t, env, "send", "tasks.add", "--task-id", "later", "--args", "[2, 3]", "--countdown", "7200")
			succeeds(t, env, "send", "tasks.add", "--task-id", "soon", "--args", "[2, 3]", "--countdown", "3600")
			succeeds(t, env, "send", "tasks.echo", "--task-id", "at", "--args", `["x"]`, "--eta", eta.Format(time.RFC3339))

			list := func(args ...string) delayedTasks {
				t.Helper()
				return decode[delayedTasks](t, succeeds(t, env, append([]string{"delayed", "list", "-o", "json"}, args...)...))
			}
			all := list()
			if len(all) != 3 || all[0].ID != "soon" || all[0].Task != "tasks.add" || all[0].Queue != "celery" {
				t.Errorf("delayed tasks = %+v, want three, the next one first", all)
			}
			if only := list("--task", "*.echo"); len(only) != 1 || only[0].ID != "at" || only[0].ETA == nil || !only[0].ETA.Equal(eta) || only[0].Due.After(eta.Add(time.Second)) {
				t.Errorf("delayed echoes = %+v, want the one that may start at %s", only, eta)
			}
			stdout, stderr, err := inProcess(t, env, "delayed", "list", "--limit", "1")
			if err != nil || !strings.Contains(stdout, "soon") || strings.Contains(stdout, "later") || !strings.Contains(stderr, "1 of 3 delayed tasks") {
				t.Errorf("list --limit 1 prints %s%s, %v", stdout, stderr, err)
			}

			stdout, stderr, err = inProcess(t, env, "delayed", "cancel", "soon", "at", "never")
			if err != nil || !strings.Contains(stdout, "Cancelled 2 delayed tasks.") || !strings.Contains(stderr, "no delayed task with the id never") {
				t.Errorf("cancel prints %s%s, %v", stdout, stderr, err)
			}
			if left := list(); len(left) != 1 || left[0].ID != "later" {
				t.Errorf("after that there are %+v", left)
			}
			for _, id := range []string{"soon", "at"} {
				if stdout, _, err := inProcess(t, env, "result", id, "--timeout", "20", "-o", "json"); !strings.Contains(stdout, `"REVOKED"`) || !strings.Contains(stdout, `"TaskRevokedError"`) {
					t.Errorf("the outcome of %s is %s, %v", id, stdout, err)
				}
			}
			_, _, err = inProcess(t, env, "delayed", "cancel", "soon")
			checkSentence(t, err, []string{"no delayed task with the id soon", "`delayed list`"})
			if cli.ExitCode(err) != cli.Failure {
				t.Errorf("exit status = %d, want 1", cli.ExitCode(err))
			}
		})
	}
}

func TestACancelledTaskDoesNotReplaceItsSuccess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(dir, "b.db"), "TASKQ_RESULT_BACKEND": "sqlite://" + filepath.Join(dir, "r.db")}
	w := startWorker(t, asEnviron(t, env), "-P", "solo")
	succeeds(t, env, "send", "tasks.add", "--task-id", "twice", "--args", "[2, 3]", "--wait", "--timeout", "20")
	w.stop()
	succeeds(t, env, "send", "tasks.add", "--task-id", "twice", "--args", "[2, 3]", "--countdown", "3600")
	succeeds(t, env, "delayed", "cancel", "twice")
	if got := succeeds(t, env, "result", "twice"); strings.TrimSpace(got) != "5" {
		t.Errorf("the outcome is %s, want 5", got)
	}
}
