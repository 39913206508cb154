package interop_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

const shopErrors = `
class OutOfStock(Exception):
    pass

class Rude(Exception):
    def __init__(self):
        super().__init__()
`

type failing struct {
	How string `task:"how"`
}

var errOutOfStock = errors.New("out of stock")

// shopRules are what the application says of the exceptions of its Python half.
func shopRules() task.Exceptions {
	return task.Exceptions{
		{Type: "OutOfStock", Module: "shop_errors", Err: errOutOfStock},
		{Type: "KeyError", If: func(err error) bool { return strings.HasPrefix(err.Error(), "no such key") }},
	}
}

// oddError has a type of its own that no rule names.
type oddError struct{}

func (oddError) Error() string { return "odd" }

func fail(_ context.Context, f failing) (int, error) {
	switch f.How {
	case "value":
		return 0, task.Raise("ValueError", "bad value")
	case "key":
		return 0, errors.New("no such key: tea")
	case "custom":
		return 0, fmt.Errorf("tea: %w", errOutOfStock)
	case "rude":
		return 0, &task.RemoteError{Type: "Rude", Module: "shop_errors", Args: []any{"has", "arguments"}}
	case "file":
		_, err := os.Open("/no/such/file")
		return 0, err
	case "odd":
		return 0, oddError{}
	}
	panic("how?")
}

const catcher = `
from client import *
import shop_errors

def catch(how):
    result = app.send_task("fail", [how])
    try:
        result.get(timeout=30)
    except ValueError as exc:
        caught = "ValueError"
    except KeyError as exc:
        caught = "KeyError"
    except shop_errors.OutOfStock as exc:
        caught = "OutOfStock"
    except FileNotFoundError as exc:
        caught = "FileNotFoundError"
    except Exception as exc:
        caught = type(exc).__module__ + "." + type(exc).__name__
    print(json.dumps({"how": how, "caught": caught, "args": [str(a) for a in result.result.args], "traceback": result.traceback}))

for how in ["value", "key", "custom", "rude", "file", "odd", "panic"]:
    catch(how)
`

func TestPythonCatchesGoErrorsByTheirClass(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	app := newAppOf(t, taskq.Config{
		BrokerURL: url, Logger: slog.New(slog.DiscardHandler), Exceptions: shopRules(), Worker: worker.Options{Concurrency: 2, Hostname: "go@here"},
	}, task.New("fail", fail))
	runWorker(t, app)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"client.py": client, "shop_errors.py": shopErrors}})
	got := lines(t, python.Run(catcher))
	for i, want := range []struct{ caught, args, last string }{
		{"ValueError", "[bad value]", "ValueError: bad value"},
		{"KeyError", "[no such key: tea]", "KeyError: no such key: tea"},
		{"OutOfStock", "[tea: out of stock]", "shop_errors.OutOfStock: tea: out of stock"},
		{"builtins.Exception", "[<class 'shop_errors.Rude'>(['has', 'arguments'])]", "shop_errors.Rude"},
		{"FileNotFoundError", "[open /no/such/file: no such file or directory]", "FileNotFoundError: open /no/such/file: no such file or directory"},
		{"celery.exceptions.oddError", "[odd]", "github.com/seed-399731e2/taskq/internal/interop_test.oddError: odd"},
		{"celery.exceptions.Panic", "[how?]", "taskq.Panic: panic: how?"},
	} {
		text, _ := got[i]["traceback"].(string)
		if got[i]["caught"] != want.caught || fmt.Sprint(got[i]["args"]) != want.args {
			t.Errorf("%s: caught %s %s, want %s %s", got[i]["how"], got[i]["caught"], got[i]["args"], want.caught, want.args)
		}
		if !strings.HasPrefix(text, "Traceback (most recent call last):\n  Go task fail[") || !strings.Contains(text, "] on go@here\n") || !strings.HasPrefix(lastLine(text), want.last) {
			t.Errorf("%s: traceback\n%s\nwant it to end in %s", got[i]["how"], text, want.last)
		}
	}
	if text, _ := got[6]["traceback"].(string); !strings.Contains(text, "results_test.go\", line ") {
		t.Errorf("traceback of a panic\n%s\ndoes not say where", text)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[len(lines)-1]
}

const failingShop = `
import shop_errors
from celery import Celery, group

app = Celery("shop", backend="rpc://")
app.conf.task_default_queue = "python"
app.conf.task_track_started = True

@app.task(name="shop.fail")
def fail(how):
    if how == "custom":
        raise shop_errors.OutOfStock("tea", 2)
    if how == "file":
        open("/no/such/file")
    raise KeyError(how)

@app.task(name="shop.leaf")
def leaf(n):
    return n

@app.task(name="shop.tree", bind=True)
def tree(self):
    self.update_state(state="GROWING", meta={"metres": 3})
    leaf.delay(1)
    group(leaf.s(2), leaf.s(3)).delay()
    return "grown"
`

func TestPythonsExceptionsAreGoErrors(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"shop.py": failingShop, "shop_errors.py": shopErrors}})
	python.Worker("shop", "-P", "solo", "-Q", "python")
	app := newAppOf(t, taskq.Config{BrokerURL: url, Logger: slog.New(slog.DiscardHandler), Exceptions: shopRules()})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	remote := task.Remote[failing, int]("shop.fail", task.Queue("python"))
	for how, want := range map[string]struct {
		is   error
		text string
	}{
		"custom": {errOutOfStock, "OutOfStock: ('tea', 2)"},
		"file":   {fs.ErrNotExist, "FileNotFoundError: (2, 'No such file or directory')"},
		"else":   {nil, "KeyError: else"},
	} {
		r, err := remote.Send(ctx, app, failing{how})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Get(ctx)
		if err == nil || err.Error() != want.text {
			t.Errorf("%s: err = %v, want %s", how, err, want.text)
		}
		for _, target := range []error{errOutOfStock, fs.ErrNotExist} {
			if errors.Is(err, target) != errors.Is(target, want.is) {
				t.Errorf("%s: %v is %v: %t", how, err, target, errors.Is(err, target))
			}
		}
	}
}

func TestGoFollowsAPythonTaskAndItsChildren(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"shop.py": failingShop, "shop_errors.py": shopErrors}})
	app := newApp(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	r, err := task.Remote[struct{}, string]("shop.tree", task.Queue("python")).Send(ctx, app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	celery := python.Worker("shop", "-P", "solo", "-Q", "python")
	seen := map[task.State]string{}
	for meta, err := range r.Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		seen[meta.State] = string(meta.Result)
	}
	if seen[task.Success] != `"grown"` { // the others may be left out
		t.Errorf("states = %q", seen)
	}
	children, err := r.Children(ctx)
	if err != nil || len(children) != 2 || children[0].IsGroup() || !children[1].IsGroup() || len(children[1].Members()) != 2 {
		t.Fatalf("children = %+v, %v; want a task and a group of two", children, err)
	}
	for _, child := range append(children[1].Members(), children[0]) { // stopped in the middle of them, the worker may hang
		celery.WaitForLog(child.ID() + "] succeeded")
	}
}

const watcher = `
from client import *

result = app.send_task("climb")
seen = []
value = result.get(timeout=30, on_message=lambda body: seen.append([body["status"], body["result"]]))
children = [[c.id, c.parent and c.parent.id] for c in result.children]
print(json.dumps({"id": result.id, "seen": seen, "value": value, "children": children}))
`

func TestPythonFollowsAGoTaskAndItsChildren(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	var app *taskq.App
	app = newAppWith(t, url, worker.Options{Concurrency: 2, TrackStarted: true, ResultExtended: true, Hostname: "go@here"},
		task.New("climb", func(ctx context.Context, _ struct{}) (string, error) {
			for n := range 2 {
				if err := task.Progress(ctx, map[string]int{"current": n + 1, "total": 2}); err != nil {
					return "", err
				}
			}
			r, err := app.Send(ctx, task.Signature{Task: "leaf"})
			if err != nil {
				return "", err
			}
			return r.ID(), nil
		}), task.New("leaf", func(context.Context, struct{}) (int, error) { return 1, nil }))
	runWorker(t, app)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"client.py": client}})
	got := lines(t, python.Run(watcher))[0]
	want := fmt.Sprintf(`[[STARTED map[hostname:go@here pid:%d]] [PROGRESS map[current:1 total:2]] [PROGRESS map[current:2 total:2]] [SUCCESS %s]]`, os.Getpid(), got["value"])
	if seen := fmt.Sprint(got["seen"]); seen != want {
		t.Errorf("seen %s, want %s", seen, want)
	}
	if children := fmt.Sprint(got["children"]); children != fmt.Sprintf("[[%s <nil>]]", got["value"]) {
		t.Errorf("children = %s, want the leaf %s", children, got["value"])
	}
}

const sleepyShop = `
import time
from celery import Celery

app = Celery("shop", backend="rpc://")
app.conf.task_default_queue = "python"

@app.task(name="shop.nap")
def nap(seconds):
    print("napping", flush=True)
    time.sleep(seconds)
    return seconds
`

// A Python worker obeys: what has not begun does not begin, and what runs is ended where that is asked for.
func TestAPythonWorkerHearsRevocations(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	app := newApp(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	timid := newAppOf(t, taskq.Config{BrokerURL: url, Logger: slog.New(slog.DiscardHandler), Declare: broker.DeclareNever})
	for _, a := range []*taskq.App{timid, app} { // without the exchange, and with it
		if err := a.Result("x").Revoke(ctx); err != nil {
			t.Errorf("no worker was ever there: %v", err)
		}
	}
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"shop.py": sleepyShop}})
	w := python.Worker("shop", "-P", "prefork", "-c", "1", "-Q", "python")
	nap := task.Remote[struct {
		Seconds int `task:"seconds"`
	}, int]("shop.nap", task.Queue("python"))
	var naps []*task.Result[int]
	for range 2 {
		r, err := nap.Send(ctx, app, struct {
			Seconds int `task:"seconds"`
		}{600})
		if err != nil {
			t.Fatal(err)
		}
		naps = append(naps, r)
	}
	w.WaitForLog("napping")
	if err := naps[1].Revoke(ctx); err != nil {
		t.Fatal(err)
	}
	w.WaitForLog("Tasks flagged as revoked: " + naps[1].ID())
	if err := naps[0].Revoke(ctx, task.Terminate("SIGKILL")); err != nil {
		t.Fatal(err)
	}
	for i, reason := range []string{"terminated", "revoked"} {
		_, err := naps[i].Get(ctx)
		if remote, ok := errors.AsType[*task.RemoteError](err); !ok || !errors.Is(err, task.ErrRevoked) || remote.Message != reason {
			t.Errorf("nap %d: err = %v, want ErrRevoked, %s", i, err, reason)
		}
	}
}
