package interop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// links is an application in Python that calls tasks in Go and is called by them. What its tasks are called with as errbacks, it tells.
const links = `
import json, os
from celery import Celery, chain, group

if "RESULTS" in os.environ:
    app = Celery("links", backend=os.environ["RESULTS"])
else:
    from site_celery import app
app.conf.task_default_queue = "python"
told = []

@app.task(name="py.add")
def add(x, y):
    return x + y

@app.task(name="py.mul")
def mul(x, y):
    return x * y

@app.task(name="py.fail")
def fail(text):
    raise ValueError(text)

@app.task(name="py.old")
def old(failed, *args):
    told.append([failed, *args])

@app.task(name="py.new")
def new(request, exc, traceback):
    told.append(["called as a function", request.id])

@app.task(name="py.told")
def tell():
    return told

def py(name, *args, **options):
    return app.signature("py." + name, args=args, options=dict(options, queue="python"))

def go(name, *args, **options):
    return app.signature("go." + name, args=args, options=dict(options, queue="go"))

def tree(result):
    "A result, and below it what its task has sent."
    if hasattr(result, "results"):
        return [tree(member) for member in result.results]
    value = result.get(timeout=30)
    return [value] + [tree(child) for child in result.children or []]

def line(result):
    "The states and values of a chain's steps, the last one first."
    steps = []
    while result is not None:
        try:
            value = result.get(timeout=30, follow_parents=False)
        except Exception as exc:
            value = type(exc).__name__ + ": " + str(exc)
        steps.append([result.state, value])
        result = result.parent
    return steps

def show(name, value):
    print(json.dumps({"name": name, "value": value}), flush=True)
`

// goTasks are the tasks of the worker in Go; note takes the id of what failed.
func goTasks(notes chan<- string) []task.Definition {
	type pair struct {
		X int `task:"x"`
		Y int `task:"y"`
	}
	return []task.Definition{
		task.New("go.add", func(_ context.Context, p pair) (int, error) { return p.X + p.Y, nil }),
		task.New("go.queue", func(ctx context.Context, _ int) (string, error) { return task.FromContext(ctx).Queue, nil }),
		task.New("go.fail", func(context.Context, struct{}) (int, error) { return 0, task.Raise("ValueError", "boom") }),
		task.New("go.flaky", func(ctx context.Context, n int) (int, error) {
			if task.FromContext(ctx).Retries < n {
				return 0, task.RetryAfter(errors.New("not yet"), 10*time.Millisecond)
			}
			return n, nil
		}),
		task.New("go.note", func(_ context.Context, id string) (bool, error) { notes <- id; return true, nil }),
	}
}

// runsPython is a Python with the module links.
type runsPython interface {
	Run(script string, args ...string) string
	Worker(app string, args ...string) *testserver.CeleryWorker
}

// startLinks runs a worker in either language, on the queues go and python. Results in PostgreSQL are those of a Django site.
func startLinks(t *testing.T, url, results string, tasks ...task.Definition) (runsPython, *testserver.CeleryWorker) {
	t.Helper()
	modules := map[string]string{"links.py": links}
	var python runsPython
	if strings.HasPrefix(results, "postgres") {
		django := testserver.NewDjango(t, testserver.DjangoConfig{Broker: url, Database: results, Modules: modules})
		django.Manage("migrate", "--verbosity", "0")
		python = django
	} else {
		python = testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: modules, Env: []string{"RESULTS=" + results}})
	}
	runWorker(t, newAppOf(t, taskq.Config{
		BrokerURL: url, ResultBackend: results, Logger: slog.New(slog.DiscardHandler),
		Worker: worker.Options{Concurrency: 4, Queues: []string{"go", "side"}},
	}, tasks...))
	return python, python.Worker("links", "-P", "solo", "-Q", "python")
}

func TestWhatFollowsATaskRunsInEitherLanguage(t *testing.T) {
	t.Parallel()
	for name, results := range map[string]func() string{
		"rpc": func() string { return "rpc://" }, "redis": func() string { return testserver.Redis(t) },
		"django": func() string { return testserver.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testLinks(t, results())
		})
	}
}

func testLinks(t *testing.T, results string) {
	t.Helper()
	python, _ := startLinks(t, testserver.AMQPVhost(t), results, goTasks(nil)...)
	got := map[string]any{}
	for _, l := range lines(t, python.Run(`
from links import *

def linked(name, call, link):
    show(name, tree(call.apply_async(link=link)))

linked("link in Python", go("add", 1, 2), py("mul", 10))
linked("link in Go", go("add", 1, 2), go("add", 5))
linked("links", go("add", 1, 2), [py("mul", 10), go("add", 5)])
linked("links with a group", go("add", 1, 2), [py("mul", 10), group(py("mul", 2), go("add", 1))])
linked("group as a link", go("add", 1, 2), group(py("mul", 10), go("add", 5)))
linked("chain as a link", go("add", 1, 2), chain(py("mul", 10), go("add", 1), py("mul", 2)))
linked("link of a link", go("add", 1, 2), go("add", 10, link=[py("mul", 2)]))
linked("immutable link", go("add", 1, 2), py("mul", 2, 3).set(immutable=True))
linked("link to another queue", go("add", 1, 2), app.signature("go.queue", options={"queue": "side"}))
linked("link with a countdown", go("add", 1, 2), go("add", 1, countdown=0.3))
linked("link of a retried task", go("flaky", 2), py("mul", 10))

show("py, go, py", line(chain(py("add", 1, 2), go("add", 4), py("mul", 10)).apply_async()))
show("go, py, go", line(chain(go("add", 1, 2), py("mul", 10), go("add", 4)).apply_async()))
show("children of a chain", tree(chain(go("add", 1, 2), go("add", 4), py("mul", 10)).apply_async().parent.parent))
show("retry in a chain", line(chain(py("add", 1, 1), go("flaky"), py("mul", 10)).apply_async()))
show("failure in the middle", line(chain(py("add", 1, 2), go("fail").set(immutable=True), py("mul", 10), go("add", 4)).apply_async()))
show("group at the end", chain(go("add", 1, 2), group(py("mul", 10), go("add", 5))).apply_async().get(timeout=30))
show("group of chains", group(chain(go("add", 1, 2), py("mul", n)) for n in range(3)).apply_async().get(timeout=30))
show("link of a chain", tree(chain(py("add", 1, 2), go("add", 4)).apply_async(link=go("add", 1))))
`)) {
		got[l["name"].(string)] = l["value"]
	}
	const success, failure = "SUCCESS", "FAILURE"
	want := map[string]any{
		"link in Python":         list(3, list(30)),
		"link in Go":             list(3, list(8)),
		"links":                  list(3, list(list(30), list(8))),
		"links with a group":     list(3, list(list(6), list(4)), list(list(30))),
		"group as a link":        list(3, list(list(30), list(8))),
		"chain as a link":        list(3, list(30, list(31, list(62)))),
		"link of a link":         list(3, list(13, list(26))),
		"immutable link":         list(3, list(6)),
		"link to another queue":  list(3, list("side")),
		"link with a countdown":  list(3, list(4)),
		"link of a retried task": list(2, list(20)),
		"py, go, py":             list(list(success, 70), list(success, 7), list(success, 3)),
		"go, py, go":             list(list(success, 34), list(success, 30), list(success, 3)),
		"children of a chain":    list(3, list(7, list(70))),
		"retry in a chain":       list(list(success, 20), list(success, 2), list(success, 2)),
		"failure in the middle":  list(list(failure, "ValueError: boom"), list(failure, "ValueError: boom"), list(failure, "ValueError: boom"), list(success, 3)),
		"group at the end":       list(30, 8),
		"group of chains":        list(0, 3, 6),
		"link of a chain":        list(7, list(8)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// list is a value as JSON brings it.
func list(values ...any) []any {
	for i, v := range values {
		if n, ok := v.(int); ok {
			values[i] = float64(n)
		}
	}
	return values
}

// The message form of an errback is all that another process can be called by: a Python errback of the new style takes three arguments.
func TestFailuresInGoCallErrbacksInEitherLanguage(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	notes := make(chan string, 10)
	python, celery := startLinks(t, url, "rpc://", goTasks(notes)...)
	got := lines(t, python.Run(`
from links import *
failed = go("fail").apply_async(link_error=[py("old", "and more"), go("note"), py("new")], link=py("old", "never"))
late = chain(go("add", 1, 2), go("fail").set(immutable=True), py("add", 1)).apply_async(link_error=py("old"))
for result in (failed, late):
    try:
        result.get(timeout=30)
    except ValueError:
        pass
show("failed", [failed.id, late.parent.id])
`))
	ids := got[0]["value"].([]any)
	if id := <-notes; id != ids[0] {
		t.Errorf("the errback in Go was called with %s, want %s", id, ids[0])
	}
	celery.WaitForLog("Task py.new[")
	celery.WaitForLog("TypeError: new() missing 2 required positional arguments")
	told := lines(t, python.Run(`
from links import *
import time
for _ in range(100):
    told = py("told").apply_async().get(timeout=30)
    if len(told) >= 2: break
    time.sleep(0.1)
show("told", told)
`))[0]["value"]
	want := []any{list(ids[0], "and more"), list(ids[1])}
	anyOrder := cmpopts.SortSlices(func(a, b any) bool { return fmt.Sprint(a) < fmt.Sprint(b) }) // of two failures of two tasks
	if diff := cmp.Diff(want, told, anyOrder); diff != "" {
		t.Errorf("errbacks in Python (-want +got):\n%s", diff)
	}
}

func TestGoLinksToPythonTasks(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	notes := make(chan string, 10)
	sums := make(chan int, 10)
	sum := task.New("go.sum", func(_ context.Context, in struct {
		X int `task:"x"`
		Y int `task:"y"`
	},
	) (int, error) {
		sums <- in.X + in.Y
		return in.X + in.Y, nil
	})
	startLinks(t, url, "rpc://", append(goTasks(notes), sum)...)
	app := newApp(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	to := func(queue string) task.CallOptions { return task.CallOptions{Queue: queue} }
	call := task.Signature{Task: "py.add", Args: []any{1, 2}, CallOptions: to("python")}
	call.Link = []task.Signature{
		{Task: "go.sum", Args: []any{10}, CallOptions: to("go")},
		{Task: "py.mul", Args: []any{10}, CallOptions: task.CallOptions{Queue: "python", Link: []task.Signature{
			{Task: "go.sum", Args: []any{100}, CallOptions: to("go")},
		}}},
	}
	result, err := app.Send(ctx, call)
	if err != nil {
		t.Fatal(err)
	}
	if meta, err := result.Wait(ctx); err != nil || len(meta.Children) != 1 || !meta.Children[0].Group || len(meta.Children[0].Members) != 2 {
		t.Errorf("children = %+v, %v; want a group of two", meta.Children, err)
	}
	got := []int{receive(ctx, t, sums), receive(ctx, t, sums)}
	slices.Sort(got)
	if want := []int{13, 130}; !slices.Equal(got, want) {
		t.Errorf("the links were called for %v, want %v", got, want)
	}

	call = task.Signature{Task: "py.fail", Args: []any{"boom"}, CallOptions: to("python")}
	call.LinkError = []task.Signature{{Task: "go.note", CallOptions: to("go")}}
	if result, err = app.Send(ctx, call); err != nil {
		t.Fatal(err)
	}
	if id := receive(ctx, t, notes); id != result.ID() {
		t.Errorf("the errback was called for %s, want %s", id, result.ID())
	}
}

func receive[T any](ctx context.Context, t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-ctx.Done():
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
