package interop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// mill is a Python application whose tasks go to Go, and on whose store chords are polled, as on those of Celery that cannot count.
const mill = `
import json, os
from celery import Celery, chain, chord, group
from celery.backends.base import Backend
from celery.backends.redis import RedisBackend
from celery.result import AsyncResult, result_from_tuple

class Polled(RedisBackend):
    apply_chord = Backend.apply_chord

    def on_chord_part_return(self, request, state, result, **kwargs):
        pass

app = Celery("mill", backend="mill:Polled+" + os.environ["RESULTS"])
app.conf.update(task_default_queue="go")

@app.task(name="mill.double")
def double(x):
    return 2 * x

@app.task(name="mill.add")
def add(x, y):
    return x + y

@app.task(name="mill.boom")
def boom(x):
    raise ValueError("boom %s" % x)

@app.task(name="mill.total")
def total(numbers):
    return sum(numbers)

@app.task(name="mill.spread", bind=True)
def spread(self, n):
    return self.replace(group([double.s(i).set(queue="python") for i in range(n)]))

@app.task(name="mill.same")
def same(x):
    return x

@app.task(name="mill.here")
def here(x):
    return x
`

const grind = `
import mill
from mill import *

def show(name, call):
    try:
        value = call()
    except Exception as exc:
        value = "%s: %s" % (type(exc).__name__, exc)
    print(json.dumps({"name": name, "value": value}), flush=True)

def get(result):
    return result.get(timeout=30)

# Who did not wait for the members from the beginning looks them up one by one.
def join(ref):
    return result_from_tuple(ref, app).join(timeout=30)

pairs = [(i, i) for i in range(100)]
show("map", lambda: get(double.map([1, 2, 3]).delay()))
show("map, ~", lambda: ~double.map(range(3)))
show("map of none", lambda: get(double.map([]).delay()))
show("map of what Go does not have", lambda: get(here.map([1]).delay()))
show("map that fails", lambda: get(boom.map([1, 2]).delay()))
show("starmap", lambda: get(add.starmap(zip(range(4), range(4))).delay()))
show("starmap of the wrong number", lambda: get(add.starmap([(1, 2, 3)]).delay()))
show("chunks", lambda: sum(sum(part) for part in get(add.chunks(zip(range(100), range(100)), 10)())))
show("chunks, parts", lambda: len(get(add.chunks(pairs, 30)())))
show("map as a step", lambda: get(chain(double.si(1), double.map([5, 6]), total.s())()))
show("chunks as a step", lambda: join(get(chain(double.si(1), add.chunks(pairs[:4], 2))())))
show("accumulate", lambda: get(app.tasks["celery.accumulate"].delay(1, "a", None)))
show("accumulate one", lambda: get(app.tasks["celery.accumulate"].delay([1, 2], 3, index=0)))
show("cleanup", lambda: get(app.tasks["celery.backend_cleanup"].delay()))
members = [double.s().set(task_id="m%d" % i) for i in range(2)]
sent = app.GroupResult("g", [app.AsyncResult("m0"), app.AsyncResult("m1")])
show("group", lambda: join(get(app.tasks["celery.group"].delay(tasks=members, result=sent.as_tuple(), group_id="g", partial_args=[21]))))
show("chain", lambda: get(result_from_tuple(get(app.send_task("celery.chain", (3,), {"tasks": [double.s(), add.s(1)]})), app)))
show("chord as a task", lambda: get(result_from_tuple(get(app.send_task("celery.chord", ([double.s(i) for i in range(4)], total.s()))), app)))

header = [double.s(i).set(queue="python") for i in range(5)]
show("chord", lambda: get(chord(header)(total.s().set(queue="go"))))
# This version of Celery puts the members of a nested group in reverse order.
show("chord of nested groups", lambda: get(chord([header[1], group(header[2:4])])(same.s().set(queue="go"))))
failing = header + [boom.s(1).set(queue="python")]
show("chord that fails", lambda: repr(chord(failing)(total.s().set(queue="go")).get(timeout=30, propagate=False)))
show("replaced by a group", lambda: get(spread.apply_async((3,), queue="python")))
`

func openMill(t *testing.T, tasks ...task.Definition) (*taskq.App, *testserver.Python) {
	t.Helper()
	broker, results := testserver.AMQPVhost(t), testserver.Redis(t)
	python := testserver.NewPython(t, testserver.PythonConfig{
		Broker: broker, Modules: map[string]string{"mill.py": mill}, Env: []string{"RESULTS=" + results},
	})
	app := newAppOf(t, taskq.Config{
		BrokerURL: broker, ResultBackend: results, DefaultQueue: "go", Logger: slog.New(slog.DiscardHandler), Worker: worker.Options{Concurrency: 2},
	}, tasks...)
	return app, python
}

func TestCeleryUsesItsBuiltInTasksInAGoWorker(t *testing.T) {
	t.Parallel()
	type pair struct {
		X int `task:"x"`
		Y int `task:"y"`
	}
	app, python := openMill(t,
		task.New("mill.double", func(_ context.Context, x int) (int, error) { return 2 * x, nil }),
		task.New("mill.add", func(_ context.Context, p pair) (int, error) { return p.X + p.Y, nil }),
		task.New("mill.boom", func(_ context.Context, x int) (int, error) {
			return 0, task.Raise("ValueError", fmt.Sprint("boom ", x))
		}),
		task.New("mill.total", func(_ context.Context, list []int) (sum int, err error) {
			for _, n := range list {
				sum += n
			}
			return sum, nil
		}),
	)
	if err := app.Register(task.New("mill.same", func(_ context.Context, x any) (any, error) { return x, nil })); err != nil {
		t.Fatal(err)
	}
	runWorker(t, app)
	python.Worker("mill", "-P", "solo", "-Q", "python")
	want := map[string]any{
		"map": "[2 4 6]", "map, ~": "[0 2 4]", "map of none": "[]", "map of what Go does not have": "NotRegistered: 'mill.here'",
		"map that fails": "ValueError: boom 1", "starmap": "[0 2 4 6]",
		"starmap of the wrong number": "TypeError: add() takes 2 positional arguments but 3 were given",
		"chunks":                      "9900", "chunks, parts": "4", "map as a step": "22", "chunks as a step": "[[0 2] [4 6]]",
		"accumulate": "[1 a <nil>]", "accumulate one": "[1 2]", "cleanup": "<nil>", "group": "[42 42]", "chain": "7", "chord as a task": "12",
		"chord": "20", "chord of nested groups": "[2 6 4]", "replaced by a group": "[0 2 4]",
	}
	for _, line := range lines(t, python.Run(grind)) {
		name := line["name"].(string)
		got := fmt.Sprint(line["value"])
		if name == "chord that fails" { // the id in it is made up
			if !strings.HasPrefix(got, "ChordError(") || !strings.Contains(got, " raised ValueError('boom 1')") {
				t.Errorf("%s: %s", name, got)
			}
			continue
		}
		if got != want[name] {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not tried: %v", want)
	}
}

func TestGoUsesTheBuiltInTasksOfCeleryWorkers(t *testing.T) {
	t.Parallel()
	app, python := openMill(t)
	python.Worker("mill", "-P", "solo", "-Q", "python")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	double, add := task.Signature{Task: "mill.double"}, task.Signature{Task: "mill.add"}
	for name, test := range map[string]struct {
		call task.Signature
		want any
	}{
		"map":         {canvas.Map(double, []int{1, 2, 3}), []any{int64(2), int64(4), int64(6)}},
		"starmap":     {canvas.Starmap(add, [][]int{{1, 2}, {3, 4}}), []any{int64(3), int64(7)}},
		"accumulate":  {task.Signature{Task: "celery.accumulate", Args: []any{1, 2}}, []any{int64(1), int64(2)}},
		"cleanup":     {task.Signature{Task: "celery.backend_cleanup"}, nil},
		"map of none": {canvas.Map(double, []int{}), []any{}},
	} {
		r, err := app.Send(ctx, test.call.With(task.Queue("python")))
		if err != nil {
			t.Fatal(name, err)
		}
		if got, err := r.Get(ctx); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s = %v, %v; want %v", name, got, err, test.want)
		}
	}
	r, err := app.Send(ctx, canvas.Map(task.Signature{Task: "mill.boom"}, []int{1}).With(task.Queue("python")))
	if err != nil {
		t.Fatal(err)
	}
	var remote *task.RemoteError
	if _, err = r.Get(ctx); !errors.As(err, &remote) || remote.Type != "ValueError" {
		t.Errorf("a map that fails: %v", err)
	}
}
