//go:build !windows

package cli_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// workflowEnded stores what a | group(b, c) | d | e leaves, of which e failed and the group is saved.
func workflowEnded(t *testing.T) map[string]string {
	t.Helper()
	env := embeddedStore(t)
	header := task.Ref{ID: "g", Group: true, Members: []task.Ref{{ID: "b"}, {ID: "c"}}}
	for _, meta := range []task.Meta{
		{ID: "a", Result: codec.Raw("4"), Children: []task.Ref{header}},
		{ID: "b", Result: codec.Raw(`"long enough to be cut, because a line of a tree is short; this is it"`), ParentID: "a", GroupID: "g", Children: []task.Ref{}},
		{ID: "c", Result: codec.Raw("[7, 8]"), ParentID: "a", GroupID: "g", Children: []task.Ref{}},
		{ID: "d", Result: codec.Raw("null"), ParentID: "c", Children: []task.Ref{{ID: "e"}}},
		{ID: "e", State: task.Failure, Result: codec.Raw(`{"exc_type": "ValueError", "exc_message": ["no\nway"], "exc_module": "builtins"}`), ParentID: "d"},
	} {
		if meta.State == "" {
			meta.State = task.Success
		}
		meta.Extended = &task.Extended{Name: "tasks." + strings.Repeat(meta.ID, 3)}
		keep(t, env, meta)
	}
	return env
}

func saveGroup(t *testing.T, env map[string]string, ref task.Ref) {
	t.Helper()
	app, err := taskq.New(taskq.Config{BrokerURL: env["TASKQ_BROKER_URL"], Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	store, err := app.Results(t.Context())
	if err == nil {
		err = store.(result.GroupStore).SaveGroup(t.Context(), ref)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAWorkflowIsShownWithItsStates(t *testing.T) {
	t.Parallel()
	env := workflowEnded(t)
	want := `tasks.aaa       SUCCESS  a  4
→ group of 2    SUCCESS  g
  ├─ tasks.bbb  SUCCESS  b  "long enough to be cut, because a line of a tree is short; …
  └─ tasks.ccc  SUCCESS  c  [7, 8]
→ tasks.ddd     SUCCESS  d  null
→ tasks.eee     FAILURE  e  ValueError: no way
`
	for _, id := range []string{"e", "d"} {
		if got := succeeds(t, env, "result", "--tree", id); got != want {
			t.Errorf("it prints\n%s\nwant\n%s", got, want)
		}
	}
	if got := succeeds(t, env, "result", "--tree", "nosuch"); got != "task  PENDING  nosuch\n" {
		t.Errorf("of a task that nobody knows it prints %q", got)
	}
}

func TestAWorkflowWithItsStatesIsAGraphAndJSON(t *testing.T) {
	t.Parallel()
	env := workflowEnded(t)
	dot := succeeds(t, env, "result", "--dot", "e")
	for _, want := range []string{"digraph results {", `label="tasks.eee\ne\nFAILURE", style="rounded,filled", fillcolor=lightcoral`, `label="group g"`} {
		if !strings.Contains(dot, want) {
			t.Errorf("no %s in\n%s", want, dot)
		}
	}
	type node struct {
		ID, State, Task string
		Group           bool
		Result          json.RawMessage
		Error           struct{ Type string }
		Children, Then  []node
	}
	root := decode[node](t, succeeds(t, env, "result", "--tree", "e", "-o", "json"))
	if root.ID != "a" || root.Task != "tasks.aaa" || string(root.Result) != "4" || len(root.Children) != 1 {
		t.Fatalf("root = %+v", root)
	}
	group := root.Children[0]
	if !group.Group || group.ID != "g" || len(group.Children) != 2 || len(group.Then) != 1 || len(group.Then[0].Children) != 1 {
		t.Fatalf("group = %+v", group)
	}
	if last := group.Then[0].Children[0]; last.ID != "e" || last.State != "FAILURE" || last.Error.Type != "ValueError" {
		t.Errorf("last = %+v", last)
	}
}

func TestASavedGroupIsAResult(t *testing.T) {
	t.Parallel()
	env := workflowEnded(t)
	saveGroup(t, env, task.Ref{ID: "saved", Group: true, Members: []task.Ref{{ID: "a"}, {ID: "c"}}})
	if got := succeeds(t, env, "result", "saved"); got != "[4,[7, 8]]\n" {
		t.Errorf("it prints %q", got)
	}
	_, _, err := inProcess(t, env, "result", "saved", "--watch")
	if cli.ExitCode(err) != cli.Usage {
		t.Errorf("exit status = %d, want %d", cli.ExitCode(err), cli.Usage)
	}
	checkSentence(t, err, []string{"saved is a group", "--tree"})
	if got := succeeds(t, env, "result", "saved", "--tree"); !strings.HasPrefix(got, "group of 2") {
		t.Errorf("it prints\n%s", got)
	}
}

func TestATreeIsWatchedUntilAllHasEnded(t *testing.T) {
	t.Parallel()
	env := workflowEnded(t)
	stdout, _, err := inProcess(t, env, "result", "--tree", "--watch", "e")
	if cli.ExitCode(err) != cli.Failure || !strings.HasPrefix(stdout, "tasks.aaa") {
		t.Errorf("exit status %d (%v), it prints\n%s", cli.ExitCode(err), err, stdout)
	}
	checkSentence(t, err, []string{"task e ended in state FAILURE", "ValueError"})
	_, _, err = inProcess(t, env, "result", "--tree", "--watch", "nosuch", "--timeout", "0.05")
	if cli.ExitCode(err) != cli.TimedOut {
		t.Errorf("err = %v, want a timeout", err)
	}
}

func TestMistakesWithTreesAreExplained(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"result x --dot --json", cli.Usage, "--dot and --output json"},
		{"result x --dot --watch", cli.Usage, "--dot and --watch"},
		{"result x --tree --traceback", cli.Usage, "--traceback and --tree"},
		{"result x --tree --timeout 3", cli.Usage, "without --watch"},
		{"result x --tree -b amqp://localhost//", cli.Misconfigured, "rpc://"},
		{"result x --tree -b memory://", cli.Misconfigured, "memory://"},
	} {
		_, _, err := inProcess(t, nil, strings.Fields(tt.args)...)
		if got := cli.ExitCode(err); got != tt.code {
			t.Errorf("%s: exit status = %d, want %d", tt.args, got, tt.code)
		}
		checkSentence(t, err, []string{tt.want})
	}
}
