package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// mirror is a Python application whose tasks write down the request that they got.
const mirror = `
import json
from celery import Celery

app = Celery("mirror", backend="rpc://")
app.conf.task_default_queue = "python"
app.conf.worker_redirect_stdouts = False
app.conf.accept_content = ["json", "msgpack"]
app.conf.result_accept_content = ["json", "msgpack"]

@app.task(name="mirror.show", bind=True)
def show(self, *args, **kwargs):
    seen = {k: v for k, v in self.request.__dict__.items() if not k.startswith("_")}
    print("SHOWN", self.request.id, json.dumps(seen, default=str), flush=True)
    return "shown"

@app.task(name="mirror.next")
def next(*args, **kwargs):
    print("NEXT", args, kwargs, flush=True)
`

// called is one way to call, in both languages.
type called struct {
	python string // the options of apply_async
	golang []task.SendOption
	// differs names what need not be equal, for its reason.
	differs string
	// atHome names what besides does not tell a Go task: a call that comes before its time is parked for the queue it came to.
	atHome string
}

// delayed calls of Go wait in the broker.
func (c called) delayed() bool {
	return strings.Contains(c.python, "countdown=") && !strings.Contains(c.python, "link")
}

// cameByDelay looks whether a call that Go delayed came by the exchange it has to come by, which Python shows its tasks and sends a
// retry to, and makes it that of the call.
func cameByDelay(t *testing.T, name string, seen map[string]any) {
	t.Helper()
	info, _ := seen["delivery_info"].(map[string]any)
	by, _ := info["exchange"].(string)
	to, delayed := strings.CutPrefix(by, "taskq.delay.due")
	if !delayed {
		t.Errorf("%s: it came by the exchange %q, want taskq.delay.due", name, by)
	}
	info["exchange"] = strings.TrimPrefix(to, ".")
}

func theCalls() map[string]called {
	eta, expires := time.Date(2020, 1, 2, 3, 4, 5, 678000000, time.UTC), time.Now().Add(24*time.Hour).UTC().Truncate(time.Second).Add(678*time.Millisecond)
	follower := task.Signature{Task: "mirror.next", Args: []any{1}, Kwargs: map[string]any{"k": "v"}}
	return map[string]called{
		"plain":              {},
		"queue":              {python: "queue='other'", golang: []task.SendOption{task.Queue("other")}, differs: "priority"},
		"exchange":           {python: "exchange='topics', routing_key='a.b'", golang: []task.SendOption{task.Exchange("topics"), task.RoutingKey("a.b")}},
		"priority":           {python: "priority=5", golang: []task.SendOption{task.Priority(5)}},
		"eta":                {python: "eta=utc(2020, 1, 2, 3, 4, 5, 678000)", golang: []task.SendOption{task.ETA(eta)}},
		"countdown":          {python: "countdown=0.5", golang: []task.SendOption{task.Countdown(500 * time.Millisecond)}, differs: "eta"},
		"countdown_exchange": {atHome: "exchange routing_key", python: "exchange='topics', routing_key='a.b', countdown=0.5", golang: []task.SendOption{task.Exchange("topics"), task.RoutingKey("a.b"), task.Countdown(500 * time.Millisecond)}, differs: "eta"},
		"expires_at":         {python: fmt.Sprintf(expires.Format("expires=utc(2006, 1, 2, %d, 4, 5, 678000)"), expires.Hour()), differs: "expiration", golang: []task.SendOption{task.Expires(expires)}},
		"expires_in":         {python: "expires=3600", golang: []task.SendOption{task.ExpiresIn(time.Hour)}, differs: "expires expiration"},
		"limits":             {python: "time_limit=30, soft_time_limit=20.5", golang: []task.SendOption{task.TimeLimit(30 * time.Second), task.SoftTimeLimit(20500 * time.Millisecond)}},
		"shadow":             {python: "shadow='shown'", golang: []task.SendOption{task.Shadow("shown")}},
		"ignore_result":      {python: "ignore_result=True", golang: []task.SendOption{task.IgnoreResult()}},
		"headers":            {python: "headers={'tenant': 'acme', 'n': 7, 'list': [1, 'a']}", golang: []task.SendOption{task.Header("tenant", "acme"), task.Header("n", 7), task.Header("list", []any{1, "a"})}},
		"reply_to":           {python: "reply_to='answers'", golang: []task.SendOption{task.ReplyTo("answers")}},
		"ids":                {python: "root_id='root', parent_id='parent'", golang: []task.SendOption{task.RootID("root"), task.ParentID("parent")}},
		"reprs":              {python: "argsrepr='(...)', kwargsrepr='{...}'", golang: []task.SendOption{task.ArgsRepr("(...)"), task.KwargsRepr("{...}")}},
		"transient":          {python: "delivery_mode=1", golang: []task.SendOption{task.Transient()}},
		"link": {
			python: "link=signature('mirror.next', args=(1,), kwargs={'k': 'v'})", golang: []task.SendOption{task.Link(follower)},
		},
		"links": {
			python: "link=[signature('mirror.next', args=(1,), kwargs={'k': 'v'}), signature('mirror.next', immutable=True, queue='other')], link_error=[signature('mirror.next', priority=3, countdown=10)]",
			golang: []task.SendOption{
				task.Link(follower), task.Link(task.Signature{Task: "mirror.next", Immutable: true}.With(task.Queue("other"))),
				task.LinkError(task.Signature{Task: "mirror.next"}.With(task.Priority(3), task.Countdown(10*time.Second))),
			},
		},
		"compression": {python: "compression='zlib'", golang: []task.SendOption{task.Compression("zlib")}},
		"serializer":  {python: "serializer='msgpack'", golang: []task.SendOption{task.Serializer("msgpack")}},
		"properties": {
			python: "message_id='m', type='t', app_id='a', timestamp=1700000000",
			golang: []task.SendOption{task.MessageID("m"), task.MessageType("t"), task.AppID("a"), task.Timestamp(time.Unix(1700000000, 0))},
		},
	}
}

// script is a Python program that makes the calls.
func script(calls map[string]called) string {
	var b strings.Builder
	b.WriteString(`
import datetime
from celery import signature
from mirror import show
def utc(*args): return datetime.datetime(*args, tzinfo=datetime.timezone.utc)
`)
	for name, c := range calls {
		fmt.Fprintf(&b, "show.apply_async(('a', 2), {'k': 1.5}, task_id='python-%s', %s)\n", name, c.python)
	}
	return b.String()
}

// makeCalls makes them from Go and waits for the answers.
func makeCalls(t *testing.T, app *taskq.App, calls map[string]called) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for name, c := range calls {
		s := task.Signature{Task: "mirror.show", Args: []any{"a", 2}, Kwargs: map[string]any{"k": 1.5}}
		s = s.With(append(c.golang, task.ID("go-"+name))...)
		r, err := app.Send(ctx, s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.IgnoreResult || s.ReplyTo != "" {
			if _, err := r.Wait(ctx); !errors.Is(err, task.ErrResultIgnored) && !errors.Is(err, task.ErrNoResults) {
				t.Errorf("%s: %v, want an error at once", name, err)
			}
			continue
		}
		var value string
		meta, err := r.Wait(ctx)
		if err == nil {
			err = meta.Value(&value)
		}
		if err != nil || value != "shown" {
			t.Errorf("%s: result = %q, %v", name, value, err)
		}
	}
}

// mirrorOn returns Python with the mirror application, and a Go application, both of which send to the queue python. There is a topic
// exchange, too, that leads there.
func mirrorOn(t *testing.T, tasks ...task.Definition) (*testserver.Python, *taskq.App) {
	t.Helper()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"mirror.py": mirror}})
	python.Run(`
from mirror import app
from kombu import Exchange, Queue
with app.connection() as c:
    for q in [Queue("other", Exchange("other")), Queue("python", Exchange("topics", type="topic"), routing_key="a.#"), Queue("answers")]:
        q(c.default_channel).declare()
`)
	return python, newAppOf(t, taskq.Config{
		BrokerURL: url, DefaultQueue: "python", Logger: slog.New(slog.DiscardHandler),
		Accept: []string{"json", "msgpack"}, Worker: worker.Options{Queues: []string{"python", "other"}, Concurrency: 2},
	}, tasks...)
}

// What a Python task sees of a call does not tell whether Go or Python made it.
func TestAPythonTaskSeesTheSameRequestFromGoAsFromPython(t *testing.T) {
	t.Parallel()
	python, app := mirrorOn(t)
	worker := python.Worker("mirror", "-P", "solo", "-Q", "python,other")
	calls := theCalls()
	python.Run(script(calls))
	makeCalls(t, app, calls)
	for name, c := range calls {
		want, got := shown(t, worker, "python-"+name), shown(t, worker, "go-"+name)
		if c.delayed() {
			cameByDelay(t, name, got)
		}
		alike(want, got, strings.Fields(c.differs))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-python +go):\n%s", name, diff)
		}
	}
	for line, want := range map[string]int{"NEXT ('shown', 1) {'k': 'v'}": 4, "NEXT () {}": 2} {
		for range want {
			worker.WaitForLog(line)
		}
		if got := strings.Count(worker.Log(), line); got != want {
			t.Errorf("%q was written %d times, want %d", line, got, want)
		}
	}
	checkAnswers(t, app)
}

// What a Go task sees of a call does not tell either, but for Celery's version.
func TestAGoTaskSeesTheSameRequestFromGoAsFromPython(t *testing.T) {
	t.Parallel()
	seen, next := make(chan task.Request, 100), make(chan string, 100)
	python, app := mirrorOn(t, task.Raw("mirror.show", task.HandlerFunc(func(_ context.Context, r *task.Request) (any, error) {
		seen <- *r
		return "shown", nil
	})), task.Raw("mirror.next", task.HandlerFunc(func(_ context.Context, r *task.Request) (any, error) {
		next <- fmt.Sprintf("%s %s", r.Args, r.Kwargs)
		return nil, nil
	})))
	runWorker(t, app)
	calls := theCalls()
	python.Run(script(calls))
	makeCalls(t, app, calls)
	requests := map[string]task.Request{}
	for len(requests) < 2*len(calls) {
		select {
		case r := <-seen:
			requests[r.ID] = r
		case <-time.After(limit):
			t.Fatalf("%d requests came, want %d", len(requests), 2*len(calls))
		}
	}
	for name, c := range calls {
		want, got := plainRequest(t, requests["python-"+name]), plainRequest(t, requests["go-"+name])
		alike(want, got, strings.Fields(c.differs+" "+c.atHome))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-python +go):\n%s", name, diff)
		}
	}
	for range 6 {
		select {
		case call := <-next:
			if call != `["shown" 1] map[k:"v"]` && call != "[] map[]" {
				t.Errorf("what follows was called with %s", call)
			}
		case <-time.After(limit):
			t.Fatal("not all that follows was called")
		}
	}
	checkAnswers(t, app)
}

// plainRequest is what the handler of a request sees, as JSON has it.
func plainRequest(t *testing.T, r task.Request) map[string]any {
	t.Helper()
	value := func(raw codec.Raw) any {
		var v any
		if raw != nil {
			if err := r.Codec.Unmarshal(raw, &v); err != nil {
				t.Errorf("%s: %v", r.ID, err)
			}
		}
		return v
	}
	args, kwargs := make([]any, len(r.Args)), map[string]any{}
	for i, raw := range r.Args {
		args[i] = value(raw)
	}
	for name, raw := range r.Kwargs {
		kwargs[name] = value(raw)
	}
	text, err := json.Marshal(map[string]any{
		"args": args, "kwargs": kwargs, "callbacks": value(r.Embed.Callbacks), "errbacks": value(r.Embed.Errbacks),
		"root_id": r.RootID, "parent_id": r.ParentID, "group": r.Group, "group_index": r.GroupIndex, "retries": r.Retries,
		"eta": r.ETA.UTC(), "expires": r.Expires.UTC(), "limits": []any{r.TimeLimit, r.SoftTimeLimit}, "ignore_result": r.IgnoreResult,
		"reply_to": r.ReplyTo, "correlation_id": r.CorrelationID, "shadow": r.Shadow, "origin": r.Origin, "argsrepr": r.ArgsRepr,
		"kwargsrepr": r.KwargsRepr, "nesting": r.ReplacedNesting, "stamps": r.Stamps, "headers": r.Headers, "queue": r.Queue,
		"exchange": r.Exchange, "routing_key": r.RoutingKey, "priority": r.Priority, "protocol": r.Protocol,
	})
	var plain map[string]any
	if err == nil {
		err = json.Unmarshal([]byte(strings.ReplaceAll(string(text), r.ID, "ID")), &plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// checkAnswers looks whether the calls with reply_to were answered there.
func checkAnswers(t *testing.T, app *taskq.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	b, err := app.Broker(ctx)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{"answers"}, Prefetch: 1, AutoAck: true})
	if err != nil {
		t.Fatal(err)
	}
	answered := map[string]bool{}
	for range 2 {
		d, err := consumer.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		answered[d.CorrelationID] = strings.Contains(string(d.Body), `"shown"`)
	}
	if !answered["python-reply_to"] || !answered["go-reply_to"] {
		t.Errorf("answered = %v, want both calls with reply_to", answered)
	}
}

// shown is the request that a task wrote down.
func shown(t *testing.T, worker *testserver.CeleryWorker, id string) map[string]any {
	t.Helper()
	worker.WaitForLog("SHOWN " + id + " {")
	_, line, _ := strings.Cut(worker.Log(), "SHOWN "+id+" {")
	line, _, _ = strings.Cut(line, "\n")
	var seen map[string]any
	if err := json.Unmarshal([]byte("{"+strings.ReplaceAll(line, id, "ID")), &seen); err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return seen
}

// alike takes out of both requests what must differ, or may: who sent it, in which language, the queue that it answers to, how it
// waited in the broker, and the headers that Debian's Celery does not send yet.
func alike(want, got map[string]any, differs []string) {
	for _, name := range append([]string{"lang", "origin"}, differs...) {
		_, there := want[name]
		if there == (got[name] != nil) || name == "priority" { // Celery leaves out that of a call that names its queue
			delete(want, name)
			delete(got, name)
		}
	}
	for _, later := range []string{"replaced_task_nesting", "stamped_headers", "stamps"} {
		if _, known := want[later]; !known {
			delete(got, later)
		}
	}
	for _, waited := range []string{
		"x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason", "x-taskq-due",
	} {
		delete(want, waited)
		delete(got, waited)
	}
	ours, _ := got["reply_to"].(string)
	if queue, _ := want["reply_to"].(string); len(queue) == 36 && len(ours) == 36 { // UUIDs
		delete(want, "reply_to")
		delete(got, "reply_to")
	}
	for name, part := range got {
		gotPart, nested := part.(map[string]any)
		wantPart, ok := want[name].(map[string]any)
		if !nested {
			continue
		}
		alike(wantPart, gotPart, differs)
		if !ok && want[name] == nil && len(gotPart) == 0 { // how it waited was all there is
			got[name] = nil
		}
	}
}
