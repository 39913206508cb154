package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
	"github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// market is the Python side: an application whose results are in Redis, and its tasks.
const market = `
import json, os, sys, time
from celery import Celery, chord, group, signature
from celery.result import AsyncResult, GroupResult

app = Celery("market", backend=os.environ["RESULTS"])
app.conf.update(task_default_queue="python", task_track_started=True)

def say(**values):
    print(json.dumps(values, default=str), flush=True)

@app.task(name="market.add")
def add(x, y):
    return x + y

@app.task(name="market.total")
def total(numbers):
    return sum(numbers)

@app.task(name="market.boom")
def boom():
    raise KeyError("nothing")

@app.task(name="market.count", bind=True)
def count(self, gate):
    self.update_state(state="PROGRESS", meta={"done": 1, "of": 2})
    while not app.backend.client.get(gate):
        time.sleep(0.01)
    return "counted"

@app.task(name="market.parent", bind=True)
def parent(self):
    return [add.delay(1, 2).id, add.delay(3, 4).id]
`

// stall is what both sides have: a broker, a database in Redis, Python, and Go's store.
type stall struct {
	broker, address string
	python          *testserver.Python
	store           *redis.Backend
}

// openMarket takes more modules as pairs of a name and a source.
func openMarket(t *testing.T, more ...string) stall {
	t.Helper()
	modules := map[string]string{"market.py": market}
	for pair := range slices.Chunk(more, 2) {
		modules[pair[0]] = pair[1]
	}
	s := stall{broker: testserver.AMQPVhost(t), address: testserver.Redis(t)}
	s.python = testserver.NewPython(t, testserver.PythonConfig{
		Broker: s.broker, Modules: modules, Env: []string{"RESULTS=" + s.address},
	})
	var err error
	if s.store, err = redis.Open(t.Context(), redis.Config{URL: s.address}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.store.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s stall) app(t *testing.T, tasks ...task.Definition) *taskq.App {
	t.Helper()
	return newAppOf(t, taskq.Config{
		BrokerURL: s.broker, ResultBackend: s.address, Logger: slog.New(slog.DiscardHandler), Worker: worker.Options{Concurrency: 2},
	}, tasks...)
}

// do runs a command in the database of the test.
func (s stall) do(t *testing.T, command ...string) string {
	t.Helper()
	answer, err := instance.RedisDo(t.Context(), s.address, command...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestPythonGetsTheResultsOfGoWorkersFromRedis(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	runWorker(t, s.app(t, task.New("shop.order", newOrder)))
	got := lines(t, s.python.Run(`
from market import *
def call(*args):
    r = app.send_task("shop.order", args, queue="celery")
    try:
        value = r.get(timeout=30)
    except Exception as exc:
        value = [type(exc).__name__, type(exc).__module__, str(exc)]
    say(id=r.id, value=value, state=r.state, traceback=r.traceback, done=r.date_done, again=AsyncResult(r.id, app=app).state)
    r.forget()
    say(forgotten=AsyncResult(r.id, app=app).state, keys=[k.decode() for k in app.backend.client.keys("*" + r.id + "*")])
call("tea", 2)
call("tea", -1)
`))
	ok, failed := got[0], got[2]
	if diff := cmp.Diff(map[string]any{"item": "tea", "count": 2.0, "note": "", "when": ""}, ok["value"]); diff != "" || ok["state"] != "SUCCESS" || ok["again"] != "SUCCESS" || ok["done"] == nil {
		t.Errorf("success: %v", ok)
	}
	trace, _ := failed["traceback"].(string)
	if diff := cmp.Diff([]any{"ValueError", "builtins", "count is negative"}, failed["value"]); diff != "" || failed["state"] != "FAILURE" || !strings.Contains(trace, "ValueError: count is negative") {
		t.Errorf("failure: %v", failed)
	}
	for _, after := range []map[string]any{got[1], got[3]} {
		if after["forgotten"] != "PENDING" || len(after["keys"].([]any)) != 0 {
			t.Errorf("after forget: %v", after)
		}
	}
}

func TestPythonReadsEverythingThatGoKeepsOfATask(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	m := task.Meta{
		ID: uuid.NewString(), State: task.Success, Result: codec.Raw(`{"a": [1, null, "é"]}`), DoneAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		GroupID: "g", ParentID: "p", Children: []task.Ref{
			{ID: "one", Parent: &task.Ref{ID: "up"}}, {ID: "many", Group: true, Members: []task.Ref{{ID: "a"}, {ID: "b"}}},
		},
		Extended: &task.Extended{
			Name: "shop.order", Args: codec.Raw(`["tea", 2]`), Kwargs: codec.Raw(`{"note": "hot"}`), Worker: "celery@here", Retries: 1, Queue: "celery",
		},
	}
	if err := s.store.Store(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := lines(t, s.python.Run(`
from market import *
r = AsyncResult(sys.argv[1], app=app)
say(value=r.get(timeout=30), state=r.state, done=r.date_done.isoformat(), name=r.name, args=r.args, kwargs=r.kwargs, worker=r.worker,
    retries=r.retries, queue=r.queue, children=[c.as_tuple() for c in r.children])
`, m.ID))
	var want map[string]any
	if err := json.Unmarshal([]byte(`{
		"value": {"a": [1, null, "é"]}, "state": "SUCCESS", "done": "2026-01-02T03:04:05.000006+00:00", "name": "shop.order", "args": ["tea", 2],
		"kwargs": {"note": "hot"}, "worker": "celery@here", "retries": 1, "queue": "celery",
		"children": [[["one", [["up", null], null]], null], [["many", null], [[["a", null], null], [["b", null], null]]]]
	}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("(-want +Python's):\n%s", diff)
	}
}

func TestGoSeesTheStatesOfPythonWorkersInRedis(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	s.python.Worker("market", "-P", "solo", "-Q", "python")
	app := s.app(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()

	type gate struct {
		Gate string `task:"gate"`
	}
	counting, err := task.Remote[gate, string]("market.count", task.Queue("python")).Send(ctx, app, gate{"gate"})
	if err != nil {
		t.Fatal(err)
	}
	var states []task.State
	err = s.store.Watch(ctx, counting.ID(), func(m task.Meta) bool {
		if states = append(states, m.State); m.State == "PROGRESS" {
			if diff := cmp.Diff(`{"done": 1, "of": 2}`, string(m.Result)); diff != "" {
				t.Error(diff)
			}
			s.do(t, "SET", "gate", "open")
		}
		return true
	})
	if got := slices.DeleteFunc(states, func(s task.State) bool { return s == task.Started }); err != nil || !slices.Equal(got, []task.State{"PROGRESS", task.Success}) {
		t.Errorf("states = %v, %v", states, err)
	}
	if value, err := counting.Get(ctx); err != nil || value != "counted" {
		t.Errorf("value = %q, %v", value, err)
	}
	if err := counting.Forget(ctx); err != nil || s.do(t, "EXISTS", "celery-task-meta-"+counting.ID()) != "0" {
		t.Errorf("it is not forgotten: %v", err)
	}
}

func TestGoSeesFailuresAndChildrenOfPythonWorkersInRedis(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	s.python.Worker("market", "-P", "solo", "-Q", "python")
	app := s.app(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	boom, err := task.Remote[struct{}, int]("market.boom", task.Queue("python")).Send(ctx, app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = boom.Get(ctx)
	if remote, _ := errors.AsType[*task.RemoteError](err); remote == nil || remote.Type != "KeyError" || !strings.Contains(remote.Traceback, "Traceback (most recent call last)") {
		t.Errorf("err = %v, want Python's KeyError", err)
	}

	parent, err := task.Remote[struct{}, []string]("market.parent", task.Queue("python")).Send(ctx, app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := parent.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.store.Get(ctx, parent.ID())
	if diff := cmp.Diff([]task.Ref{{ID: ids[0]}, {ID: ids[1]}}, m.Children); err != nil || diff != "" {
		t.Errorf("children: %v\n%s", err, diff)
	}
}

func TestGoReadsTheGroupsThatPythonSaved(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	s.python.Worker("market", "-P", "solo", "-Q", "python")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	saved := lines(t, s.python.Run(`
from market import *
r = group(add.s(i, i) for i in range(3)).apply_async()
r.save()
say(id=r.id, members=[c.id for c in r.results])
`))[0]
	members := saved["members"].([]any)
	ref, found, err := s.store.Group(ctx, saved["id"].(string))
	if err != nil || !found || !ref.Group || len(ref.Members) != 3 {
		t.Fatalf("group = %+v, found = %t, %v", ref, found, err)
	}
	for i, member := range ref.Members {
		m, err := s.store.Wait(ctx, member.ID)
		var sum int
		if err = errors.Join(err, m.Value(&sum)); err != nil || sum != 2*i || member.ID != members[i] || m.GroupID != ref.ID {
			t.Errorf("member %d of the group = %d of %s, %v", i, sum, m.GroupID, err)
		}
	}
	if err := s.store.ForgetGroup(ctx, ref.ID); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, s.python.Run("from market import *\nsay(gone=GroupResult.restore(sys.argv[1], app=app) is None)", ref.ID)); got[0]["gone"] != true {
		t.Error("Python still finds the group that Go forgot")
	}
}

func TestPythonReadsTheGroupsThatGoSaved(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	mine := task.Ref{ID: uuid.NewString(), Group: true, Members: []task.Ref{{ID: uuid.NewString()}, {ID: uuid.NewString()}}}
	for i, member := range mine.Members {
		m := task.Meta{ID: member.ID, State: task.Success, Result: codec.Raw([]string{`"a"`, `"b"`}[i]), DoneAt: time.Now(), GroupID: mine.ID}
		if err := s.store.Store(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.store.SaveGroup(ctx, mine); err != nil {
		t.Fatal(err)
	}
	restored := lines(t, s.python.Run(`
from market import *
r = GroupResult.restore(sys.argv[1], app=app)
say(values=r.get(timeout=30), done=r.successful())
r.delete()
say(gone=GroupResult.restore(sys.argv[1], app=app) is None)
`, mine.ID))
	if diff := cmp.Diff([]map[string]any{{"values": []any{"a", "b"}, "done": true}, {"gone": true}}, restored); diff != "" {
		t.Error(diff)
	}
}

type pairOf struct {
	X int `task:"x"`
	Y int `task:"y"`
}

// What the two sides leave in Redis for the same task differs in nothing that can be seen from outside.
func TestGoAndPythonLeaveTheSameInRedis(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	s.python.Worker("market", "-P", "solo", "-Q", "python")
	add := task.New("market.add", func(_ context.Context, in pairOf) (int, error) { return in.X + in.Y, nil })
	boom := task.New("market.boom", func(context.Context, struct{}) (int, error) { return 0, task.Raise("KeyError", "nothing") })
	runWorker(t, s.app(t, add, boom))
	got := lines(t, s.python.Run(`
from market import *
for name, args in (("market.add", (1, 2)), ("market.boom", ())):
    for queue in ("python", "celery"):
        r = app.send_task(name, args, queue=queue)
        r.get(timeout=30, propagate=False)
        key = "celery-task-meta-" + r.id
        say(id=r.id, ttl=app.backend.client.ttl(key), type=app.backend.client.type(key).decode(), doc=app.backend.client.get(key).decode())
`))
	for i := range 2 {
		python, ours := got[2*i], got[2*i+1]
		for _, one := range []map[string]any{python, ours} {
			if ttl := one["ttl"].(float64); ttl < 86390 || ttl > 86400 || one["type"] != "string" {
				t.Errorf("kept for %v s as %v", ttl, one["type"])
			}
		}
		want, names := members(t, python["doc"].(string))
		have, ourNames := members(t, ours["doc"].(string))
		if diff := cmp.Diff(names, ourNames); diff != "" {
			t.Errorf("members (-Python's +ours):\n%s", diff)
		}
		for _, name := range []string{"status", "result", "children"} {
			if diff := cmp.Diff(want[name], have[name]); diff != "" {
				t.Errorf("%s (-Python's +ours):\n%s", name, diff)
			}
		}
		if have["task_id"] != ours["id"] {
			t.Errorf("task_id = %v", have["task_id"])
		}
	}
}

// members returns the document and the names of its members in their order.
func members(t *testing.T, doc string) (values map[string]any, names []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(doc), &values); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(doc))
	_, _ = decoder.Token() // {
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
		var skipped json.RawMessage
		if err := decoder.Decode(&skipped); err != nil {
			t.Fatal(err)
		}
	}
	return values, names
}

// waitFor waits until something has become true.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(limit)
	for !happened() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
