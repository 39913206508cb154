//go:build !windows

package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

// ids are what differs from run to run in what is printed.
var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

func add(args ...any) task.Signature { return task.Signature{Task: "tasks.add", Args: args} }

func TestAWorkflowIsSentAndShownAsATree(t *testing.T) {
	t.Parallel()
	everywhere(t, sendAndShow)
}

// everywhere runs a test with each kind of stores.
func everywhere(t *testing.T, test func(t *testing.T, env []string)) {
	t.Helper()
	for name, env := range map[string]func(t *testing.T) []string{
		"the embedded store":   func(t *testing.T) []string { return home(t) },
		"RabbitMQ and Redis":   func(t *testing.T) []string { return servers(t, testserver.Redis(t)) },
		"RabbitMQ, PostgreSQL": func(t *testing.T) []string { return servers(t, testserver.Postgres(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, env(t))
		})
	}
}

func servers(t *testing.T, results string) []string {
	t.Helper()
	return home(t, "TASKQ_BROKER_URL="+testserver.AMQPVhost(t), "TASKQ_RESULT_BACKEND="+results)
}

func sendAndShow(t *testing.T, env []string) {
	t.Helper()
	path := workflowFile(t, written(t, canvas.Chain(add(2, 3), add(5), canvas.Group(add(10), canvas.Chain(add(20), add(30))))))
	waiting := strings.Fields(must(t, env, "send", "--canvas", path, "-q"))[0]
	tree := must(t, env, "result", "--tree", waiting, "-q")
	if want := "task PENDING → task PENDING → group of 2 PENDING ├─ task PENDING └─ task PENDING → task PENDING"; outlineOf(tree) != want {
		t.Errorf("before a worker has it, the workflow prints as %q, want %q\n%s", outlineOf(tree), want, tree)
	}
	watch := start(t, env, "result", "--tree", "--watch", waiting, "--timeout", "30", "-q")
	watch.stdout.waitFor(t, "PENDING")
	startWorker(t, env, "--result-extended")
	if got := must(t, env, "send", "--canvas", path, "--wait", "--timeout", "30", "-q"); got != "[20,60]" {
		t.Errorf("the result is %s, want [20,60]", got)
	}
	if code := watch.wait(); code != 0 {
		t.Errorf("exit status of --watch = %d: %s", code, watch.stderr)
	}
	tree = watch.stdout.String()
	last := tree[strings.LastIndex("\n\n"+tree, "\n\n"):] // it is printed again when it has changed
	want := "tasks.add SUCCESS 5 → tasks.add SUCCESS 10 → group of 2 SUCCESS ├─ tasks.add SUCCESS 20 └─ tasks.add SUCCESS 30 → tasks.add SUCCESS 60"
	if outlineOf(last) != want {
		t.Errorf("at the end, the workflow prints as %q, want %q\n%s", outlineOf(last), want, tree)
	}
}

// outlineOf is what is printed without ids and spaces.
func outlineOf(text string) string {
	return strings.Join(strings.Fields(ids.ReplaceAllString(text, "")), " ")
}

func TestAWorkflowThatFailsEndsLikeATask(t *testing.T) {
	t.Parallel()
	env := home(t)
	startWorker(t, env)
	path := filepath.Join(t.TempDir(), "flow.json")
	if err := os.WriteFile(path, []byte(written(t, canvas.Chain(task.Signature{Task: "tasks.boom"}, add(1)))), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := run(t, env, "send", "--canvas", path, "--wait", "--timeout", "30")
	if code != cli.Failure || !strings.Contains(stderr, "ended in state FAILURE: KeyError") {
		t.Errorf("exit status %d, want %d: %s", code, cli.Failure, stderr)
	}
	sent := decode[struct{ ID, Workflow string }](t, must(t, env, "send", "--canvas", path, "-o", "json"))
	if sent.ID == "" || sent.Workflow != "tasks.boom() | add(1)" {
		t.Errorf("JSON = %+v", sent)
	}
	tree, stderr, code := run(t, env, "result", sent.ID, "--tree", "--watch", "--timeout", "30")
	if code != cli.Failure || !strings.Contains(stderr, "KeyError") {
		t.Errorf("exit status %d, want %d: %s", code, cli.Failure, stderr)
	}
	if want := "task FAILURE KeyError: x → task FAILURE KeyError: x"; !strings.HasSuffix(outlineOf(tree), want) {
		t.Errorf("it prints\n%s\nwant %s", tree, want)
	}
}

func TestWorkflowsWithAnswersAsMessages(t *testing.T) {
	t.Parallel()
	env := home(t, "TASKQ_BROKER_URL="+testserver.AMQPVhost(t))
	startWorker(t, env)
	chain := workflowFile(t, written(t, canvas.Chain(add(2, 3), add(5))))
	stdout, stderr, code := run(t, env, "send", "--canvas", chain, "--wait", "--timeout", "30", "-q")
	if code != 0 || stdout != "10\n" || stderr != "" {
		t.Errorf("exit status %d, it prints %q and %q; want 10 alone", code, stdout, stderr)
	}
	chord := workflowFile(t, written(t, canvas.Chord([]task.Signature{add(2, 3), add(4, 5)}, task.Signature{Task: "tasks.total"})))
	_, stderr, code = run(t, env, "send", "--canvas", chord)
	if code != cli.Misconfigured || !strings.Contains(stderr, "a chord needs a result store") || !strings.Contains(stderr, "result_backend") {
		t.Errorf("exit status %d, want %d, and what a chord needs: %s", code, cli.Misconfigured, stderr)
	}
}

func TestAChordIsShownWithWhatFollowsItsHeader(t *testing.T) {
	t.Parallel()
	everywhere(t, showChords)
}

func showChords(t *testing.T, env []string) {
	t.Helper()
	startWorker(t, env, "--result-extended")
	list := task.Signature{Task: "celery.accumulate", Kwargs: map[string]any{"index": 0}} // returns the list that it gets
	path := workflowFile(t, written(t, canvas.Chain(add(2, 3), canvas.Group(add(10), add(20)), list, task.Signature{Task: "tasks.echo"})))
	id := must(t, env, "send", "--canvas", path, "-q")
	if _, stderr, code := run(t, env, "result", id, "--timeout", "30", "-q"); code != cli.Failure { // a list is no text to echo
		t.Errorf("exit status = %d, want %d: %s", code, cli.Failure, stderr)
	}
	want := "tasks.add SUCCESS 5 → group of 2 SUCCESS ├─ tasks.add SUCCESS 15 └─ tasks.add SUCCESS 25 → celery.accumulate SUCCESS [15, 25] → tasks.echo FAILURE"
	if got := strings.ReplaceAll(outlineOf(must(t, env, "result", "--tree", id, "-q")), "15,25", "15, 25"); !strings.HasPrefix(got, want) {
		t.Errorf("it prints as %q, want %q", got, want)
	}
	path = workflowFile(t, written(t, canvas.Chord([]task.Signature{add(1, 2), {Task: "tasks.boom"}}, list)))
	id = must(t, env, "send", "--canvas", path, "-q")
	tree, stderr, code := run(t, env, "result", "--tree", "--watch", id, "--timeout", "30")
	if code != cli.Failure || !strings.Contains(tree, "→ celery.accumulate  FAILURE  "+id+"  ChordError: Dependency ") {
		t.Errorf("exit status %d, it prints\n%s%s", code, tree, stderr)
	}
}
