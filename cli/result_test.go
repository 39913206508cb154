//go:build !windows

package cli_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

func TestStatesAreShownAsTheyCome(t *testing.T) {
	t.Parallel()
	env, path := home(t), filepath.Join(t.TempDir(), "file")
	startWorker(t, env)
	must(t, env, "send", "tasks.until", "-k", fmt.Sprintf(`{"path": %q}`, path), "--task-id", "u")
	watch := start(t, env, "result", "u", "--watch", "--timeout", "20")
	watch.stderr.waitFor(t, fmt.Sprintf(`PROGRESS {"until":%q}`, path))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := watch.wait(); code != 0 || watch.stdout.String() != "it is there\n" {
		t.Errorf("exit status %d, stdout %q; want the result alone\n%s", code, watch.stdout, watch.stderr)
	}
}

func TestAWatchIsBounded(t *testing.T) {
	t.Parallel()
	env := map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(t.TempDir(), "t.db")}
	_, _, err := inProcess(t, env, "result", "x", "--watch", "--timeout", "0.05")
	if cli.ExitCode(err) != cli.TimedOut {
		t.Errorf("err = %v, want a timeout", err)
	}
}

// Whatever is stored with an outcome is in the JSON.
func TestAllThatIsKnownOfAnOutcomeIsPrinted(t *testing.T) {
	t.Parallel()
	env := map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(t.TempDir(), "t.db")}
	keep(t, env, task.Meta{
		ID: "1", State: task.Failure, Traceback: "Traceback…", GroupID: "g", ParentID: "p",
		Result:   codec.Raw(`{"exc_type": "OutOfStock", "exc_message": ["tea", 2], "exc_module": "shop.errors"}`),
		Children: []task.Ref{{ID: "c"}, {ID: "h", Group: true, Members: []task.Ref{{ID: "h1"}, {ID: "h2"}}}},
		Extended: &task.Extended{Name: "shop.order", Args: codec.Raw(`[1]`), Kwargs: codec.Raw(`{"k": 2}`), Worker: "w@h", Retries: 3, Queue: "shop"},
	})
	stdout, _, err := inProcess(t, env, "result", "1", "-o", "json")
	if cli.ExitCode(err) != cli.Failure {
		t.Fatalf("err = %v, want a failure", err)
	}
	got := decode[map[string]json.RawMessage](t, stdout)
	for key, want := range map[string]string{
		"state": `"FAILURE"`, "group_id": `"g"`, "parent_id": `"p"`, "traceback": `"Traceback…"`, "task": `"shop.order"`, "args": `[1]`,
		"kwargs": `{"k":2}`, "worker": `"w@h"`, "retries": `3`, "queue": `"shop"`,
		"error":    `{"type":"OutOfStock","module":"shop.errors","message":"('tea', 2)","args":["tea",2]}`,
		"children": `[{"id":"c"},{"id":"h","group":true,"members":[{"id":"h1"},{"id":"h2"}]}]`,
	} {
		if text := strings.Join(strings.Fields(string(got[key])), ""); text != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%s = %s, want %s", key, text, want)
		}
	}
	keep(t, env, task.Meta{
		ID: "2", State: task.Success, Result: codec.Raw("1"), // as in a Django site, which keeps a text of the arguments
		Extended: &task.Extended{Name: "shop.order", ArgsRepr: "(1,)", KwargsRepr: "{'k': 2}"},
	})
	stdout, _, err = inProcess(t, env, "result", "2", "-o", "json")
	if texts := decode[map[string]any](t, stdout); err != nil || texts["args_repr"] != "(1,)" || texts["kwargs_repr"] != "{'k': 2}" || texts["args"] != nil {
		t.Errorf("arguments that are kept as texts: %s, %v", stdout, err)
	}
	_, stderr, _ := inProcess(t, env, "result", "1", "--watch")
	for _, want := range []string{"sent c\n", "sent group h: h1 h2\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in %q", want, stderr)
		}
	}
}

// keep stores an outcome.
func keep(t *testing.T, env map[string]string, meta task.Meta) {
	t.Helper()
	app, err := taskq.New(taskq.Config{BrokerURL: env["TASKQ_BROKER_URL"], Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	results, err := app.Results(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := results.Store(t.Context(), meta); err != nil {
		t.Fatal(err)
	}
	if err := app.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
