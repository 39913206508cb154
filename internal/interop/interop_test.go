package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit bounds each wait for the other side.
const limit = 30 * time.Second

type order struct {
	Item  string    `task:"item"`
	Count int       `task:"count"`
	Note  string    `task:"note,optional"`
	When  time.Time `task:"when,optional"`
}

type receipt struct {
	Item  string `json:"item"`
	Count int    `json:"count"`
	Note  string `json:"note"`
	When  string `json:"when"`
}

func newOrder(_ context.Context, o order) (receipt, error) {
	if o.Count < 0 {
		return receipt{}, task.Raise("ValueError", "count is negative")
	}
	if o.Count == 0 {
		return receipt{}, errors.New("nothing ordered")
	}
	r := receipt{Item: o.Item, Count: o.Count, Note: o.Note}
	if !o.When.IsZero() {
		r.When = o.When.UTC().Format(time.RFC3339Nano)
	}
	return r, nil
}

// newApp returns an application on the broker; it is closed when the test ends.
func newApp(t *testing.T, url string, tasks ...task.Definition) *taskq.App {
	t.Helper()
	return newAppWith(t, url, worker.Options{Concurrency: 2}, tasks...)
}

func newAppWith(t *testing.T, url string, opts worker.Options, tasks ...task.Definition) *taskq.App {
	t.Helper()
	return newAppOf(t, taskq.Config{BrokerURL: url, Logger: slog.New(slog.DiscardHandler), Worker: opts}, tasks...)
}

func newAppOf(t testing.TB, cfg taskq.Config, tasks ...task.Definition) *taskq.App {
	t.Helper()
	app, err := taskq.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Register(tasks...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
		defer cancel()
		if err := app.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return app
}

// runWorker runs the application's worker until the test ends.
func runWorker(t testing.TB, app *taskq.App) {
	t.Helper()
	startWorker(t, app)
}

func lines(t *testing.T, output string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(output) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, one)
	}
	return all
}

const client = `
import datetime, json, sys
from celery import Celery

app = Celery("client", backend="rpc://")

def call(name, *args, **kwargs):
    options = kwargs.pop("options", {})
    result = app.send_task(name, args, kwargs, **options)
    out = {"name": name}
    try:
        out["result"] = result.get(timeout=30)
    except Exception as exc:
        out.update(type=type(exc).__name__, module=type(exc).__module__, message=str(exc), traceback=str(result.traceback))
    out["state"] = result.state
    print(json.dumps(out, default=str))
`

func TestCeleryCallsTypedGoTasks(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	app := newApp(t, url, task.New("shop.order", newOrder),
		task.New("shop.oops", func(context.Context, struct{}) (int, error) { panic("oops") }))
	runWorker(t, app)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"client.py": client}})
	got := lines(t, python.Run(`
from client import *
call("shop.order", "tea", 2)
call("shop.order", item="tea", count=2, note="hot")
call("shop.order", "tea", count=2, note="\u70ed")
call("shop.order", "tea", 1, when=datetime.datetime(2021, 7, 3, 12, 34, 56, 789012))
call("shop.order", "tea", -1)
call("shop.order", "tea", 0)
call("shop.order", "tea")
call("shop.order", "tea", "many")
call("shop.order", "tea", 1, colour="green")
call("shop.oops")
call("shop.nothing")
`))
	value := func(item string, count float64, note, when string) map[string]any {
		return map[string]any{"item": item, "count": count, "note": note, "when": when}
	}
	wants := []struct {
		result         map[string]any
		class, message string
	}{
		{result: value("tea", 2, "", "")},
		{result: value("tea", 2, "hot", "")},
		{result: value("tea", 2, "热", "")},
		{result: value("tea", 1, "", "2021-07-03T12:34:56.789012Z")},
		{class: "ValueError", message: "count is negative"},
		{class: "Exception", message: "nothing ordered"},
		{class: "TypeError", message: "order() missing 1 required positional argument: 'count'"},
		{class: "TypeError", message: "order() argument 'count': "},
		{class: "TypeError", message: "order() got an unexpected keyword argument 'colour'"},
		{class: "Panic", message: "oops"},
		{class: "NotRegistered", message: "shop.nothing"},
	}
	if len(got) != len(wants) {
		t.Fatalf("%d answers, want %d", len(got), len(wants))
	}
	for i, want := range wants {
		answer := got[i]
		if want.class == "" {
			if result, _ := answer["result"].(map[string]any); answer["state"] != "SUCCESS" || !equal(result, want.result) {
				t.Errorf("call %d: %v, want %v", i, answer, want.result)
			}
			continue
		}
		message, _ := answer["message"].(string)
		if answer["type"] != want.class || !strings.Contains(message, want.message) || answer["state"] != "FAILURE" {
			t.Errorf("call %d: %v, want %s %q", i, answer, want.class, want.message)
		}
		if trace, _ := answer["traceback"].(string); want.class != "NotRegistered" && !strings.Contains(trace, want.class) {
			t.Errorf("call %d: traceback %q does not name %s", i, trace, want.class)
		}
	}
}

func equal(a, b map[string]any) bool {
	for k, v := range b {
		if a[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// The seed of it all: the Django site's call, in each form that Celery sends it in.
func TestCeleryStoresVisits(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	recorder, err := accessrecord.New(accessrecord.Config{Database: "sqlite://" + filepath.Join(t.TempDir(), "visits.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := recorder.Close(); err != nil {
			t.Error(err)
		}
	})
	app := newApp(t, url, recorder.Task())
	runWorker(t, app)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"client.py": client}})
	got := lines(t, python.Run(`
from client import *
at = datetime.datetime(2021, 7, 3, 12, 34, 56, 789012)
data = dict(path="/api/articles/1/", query_str="page=2", address="203.0.113.7", user_agent="Mozilla/5.0",
            referer="https://example.com/", atime=at, source="中国-广东-深圳")
call("access_record", data)
call("access_record", data=data)
call("access_record", dict(data, atime="2021-07-03T12:34:56.789012+08:00"))
call("access_record", {"__type__": "datetime", "__value__": "x"})
call("access_record", dict(data, atime={"__type__": "datetime", "__value__": "2021-07-03T12:34:56.789012"}))
call("access_record", {"path": "/"})
call("access_record", dict(data, colour="green"))
call("access_record", dict(data, path=7))
call("access_record")
`))
	const stored = "访问记录添加成功"
	for i, want := range []string{stored, stored, stored, "", stored, stored, "colour", "path", "data"} {
		if want == stored {
			if got[i]["result"] != stored {
				t.Errorf("call %d: %v, want %s", i, got[i], stored)
			}
			continue
		}
		if message, _ := got[i]["message"].(string); got[i]["state"] != "FAILURE" || !strings.Contains(message, want) {
			t.Errorf("call %d: %v, want a failure that names %q", i, got[i], want)
		}
	}
	rows, err := recorder.List(t.Context(), 100)
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows are stored, %v; want 5", len(rows), err)
	}
	places := 0
	for _, row := range rows {
		if row.Source == "中国-广东-深圳" && row.ATime.Year() == 2021 {
			places++
		}
	}
	if places != 4 {
		t.Errorf("%d rows have the visit's place and time, want 4: %+v", places, rows)
	}
}

const shop = `
import time
from celery import Celery

app = Celery("shop", backend="rpc://")
app.conf.task_default_queue = "python"

@app.task(name="shop.total")
def total(prices, tax=0, *, currency="EUR"):
    if not prices:
        raise ValueError("no prices")
    return {"total": sum(prices) + tax, "currency": currency}

class Closed(Exception):
    pass

@app.task(name="shop.closed")
def closed():
    raise Closed("come back", 9)
`

type bill struct {
	Prices   []float64 `task:"prices"`
	Tax      float64   `task:"tax,optional"`
	Currency string    `task:"currency,keyword,optional"`
}

func TestGoCallsPythonTasks(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"shop.py": shop}})
	python.Worker("shop", "-P", "solo", "-Q", "python")
	app := newApp(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()

	total := task.Remote[bill, struct {
		Total    float64 `json:"total"`
		Currency string  `json:"currency"`
	}]("shop.total", task.Queue("python"))
	result, err := total.Send(ctx, app, bill{Prices: []float64{1.5, 2}, Tax: 1, Currency: "CNY"})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := result.Get(ctx); err != nil || sum.Total != 4.5 || sum.Currency != "CNY" {
		t.Errorf("total = %+v, %v", sum, err)
	}

	result, err = total.Send(ctx, app, bill{Prices: []float64{}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = result.Get(ctx)
	remote, _ := errors.AsType[*task.RemoteError](err)
	if remote == nil || remote.Type != "ValueError" || remote.Module != "builtins" || remote.Message != "no prices" || !strings.Contains(remote.Traceback, "Traceback (most recent call last)") {
		t.Errorf("err = %#v, want Python's ValueError", err)
	}

	closed := task.Remote[struct{}, int]("shop.closed", task.Queue("python"))
	r, err := closed.Send(ctx, app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Get(ctx)
	if remote, _ := errors.AsType[*task.RemoteError](err); remote == nil || remote.Type != "Closed" || remote.Module != "shop" || remote.Error() != "Closed: ('come back', 9)" {
		t.Errorf("err = %v, want the application's own Closed", err)
	}
}
