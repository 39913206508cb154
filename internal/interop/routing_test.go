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

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// routed is a Python application with queues and routes of every kind.
const routed = `
import re
from celery import Celery
from celery.utils.nodenames import worker_direct
from kombu import Exchange, Queue

app = Celery("routed")
app.conf.task_queues = [
    Queue("celery", Exchange("celery"), routing_key="celery"),
    Queue("feeds", Exchange("feeds"), routing_key="feeds"),
    Queue("media", Exchange("files", type="topic"), routing_key="media.#"),
    Queue("pictures", Exchange("files", type="topic"), routing_key="media.image.*"),
    Queue("all", Exchange("all", type="fanout"), routing_key="all"),
    Queue("acme", Exchange("tenants", type="headers"), routing_key="acme", binding_arguments={"x-match": "all", "tenant": "acme"}),
]

def by_header(name, args, kwargs, options, task=None, **kw):
    if (options.get("headers") or {}).get("tenant"):
        return {"queue": "acme", "priority": 7}

app.conf.task_routes = [
    {
        "feed.*": {"queue": "feeds", "priority": 3},
        "feed.import": {"queue": "imports"},
        re.compile(r"(image|video)\."): {"queue": "media", "routing_key": "media.video"},
        "kept": {"priority": 9},
        "to.exchange": {"exchange": "files", "routing_key": "media.image.x"},
        "auto": "created",
    },
    by_header,
    {"*.last": "last"},
]

def nothing(): pass

for name, options in {
    "feed.add": {}, "feed.import": {}, "feed.own": {"queue": "own", "priority": 1}, "feed.hurry": {"priority": 8}, "my.feed.add": {},
    "video.cut": {}, "image.x": {}, "my.video.cut": {}, "kept": {}, "to.exchange": {}, "auto": {}, "other": {}, "at.last": {},
    "keyed.own": {"queue": "media", "routing_key": "media.own"},
}.items():
    app.task(name=name, **options)(nothing)
`

// theRoutes are the same routes, and queues.
func theRoutes() taskq.Config {
	files := broker.Exchange{Name: "files", Kind: broker.Topic}
	return taskq.Config{
		Queues: []taskq.Queue{
			{Name: "celery"},
			{Name: "feeds"},
			{Name: "media", Exchange: files, RoutingKey: "media.#"},
			{Name: "pictures", Exchange: files, RoutingKey: "media.image.*"},
			{Name: "all", Exchange: broker.Exchange{Kind: broker.Fanout}},
			{
				Name: "acme", Exchange: broker.Exchange{Name: "tenants", Kind: broker.Headers}, RoutingKey: "acme",
				Bindings: []taskq.Binding{{RoutingKey: "acme", Arguments: broker.Table{"x-match": "all", "tenant": "acme"}}},
			},
		},
		Routes: taskq.Routes{
			{Match: "feed.*", Queue: "feeds", Options: []task.CallOption{task.Priority(3)}},
			{Match: "feed.import", Queue: "imports"},
			{Regexp: `(image|video)\.`, Queue: "media", RoutingKey: "media.video"},
			{Match: "kept", Options: []task.CallOption{task.Priority(9)}},
			{Match: "to.exchange", Exchange: "files", RoutingKey: "media.image.x"},
			{Match: "auto", Queue: "created"},
			{Func: func(_ context.Context, s task.Signature) (taskq.Route, bool) {
				return taskq.Route{Queue: "acme", Options: []task.CallOption{task.Priority(7)}}, s.Headers["tenant"] != nil
			}},
			{Match: "*.last", Queue: "last"},
		},
	}
}

// sentTo is one way to call a task, in both languages.
type sentTo struct {
	task   string
	python string // the options of apply_async
	golang []task.SendOption
	want   []string // where it comes, queue exchange/key priority
}

func theDestinations() map[string]sentTo {
	queue, key := task.Queue, task.RoutingKey
	return map[string]sentTo{
		"pattern":           {"feed.add", "", nil, []string{"feeds /feeds 3"}},
		"whole name":        {"my.feed.add", "", nil, []string{"celery /celery 0"}},
		"name over pattern": {"feed.import", "", nil, []string{"imports /imports 0"}},
		"call's queue":      {"feed.add", "queue='mine'", []task.SendOption{queue("mine")}, []string{"mine /mine 3"}},
		"call's priority":   {"feed.add", "priority=5", []task.SendOption{task.Priority(5)}, []string{"feeds /feeds 5"}},
		"call's zero":       {"feed.add", "priority=0", []task.SendOption{task.Priority(0)}, []string{"feeds /feeds 0"}},
		"task's queue":      {"feed.own", "", nil, []string{"own /own 1"}},
		"call over task":    {"feed.own", "queue='mine', priority=2", []task.SendOption{queue("mine"), task.Priority(2)}, []string{"mine /mine 2"}},
		"task's priority":   {"feed.hurry", "", nil, []string{"feeds /feeds 8"}},
		"task's key":        {"keyed.own", "", nil, []string{"media files/media.own 0"}},
		"expression":        {"video.cut", "", nil, []string{"media files/media.video 0"}},
		"from the start":    {"my.video.cut", "", nil, []string{"celery /celery 0"}},
		"call's key":        {"video.cut", "routing_key='media.image.big'", []task.SendOption{key("media.image.big")}, []string{"media files/media.image.big 0", "pictures files/media.image.big 0"}},
		"direct queue":      {"image.x", "queue='feeds'", []task.SendOption{queue("feeds")}, []string{"feeds /feeds 0"}},
		"key for direct":    {"feed.add", "routing_key='some'", []task.SendOption{key("some")}, []string{"feeds /feeds 3"}},
		"options only":      {"kept", "", nil, []string{"celery /celery 9"}},
		"exchange":          {"to.exchange", "", nil, []string{"media files/media.image.x 0", "pictures files/media.image.x 0"}},
		"call's exchange":   {"other", "exchange='files', routing_key='media.z'", []task.SendOption{task.Exchange("files"), key("media.z")}, []string{"media files/media.z 0"}},
		"missing queue":     {"auto", "", nil, []string{"created /created 0"}},
		"function":          {"other", "headers={'tenant': 'acme'}", []task.SendOption{task.Header("tenant", "acme")}, []string{"acme tenants/acme 7"}},
		"before function":   {"feed.add", "headers={'tenant': 'acme'}", []task.SendOption{task.Header("tenant", "acme")}, []string{"feeds /feeds 3"}},
		"after function":    {"at.last", "", nil, []string{"last /last 0"}},
		"default":           {"other", "", nil, []string{"celery /celery 0"}},
		"fanout":            {"other", "queue='all'", []task.SendOption{queue("all")}, []string{"all all/all 0"}},
		"topic":             {"other", "queue='media'", []task.SendOption{queue("media")}, []string{"media files/media.# 0"}},
		"topic and key":     {"other", "queue='media', routing_key='media.y'", []task.SendOption{key("media.y"), queue("media")}, []string{"media files/media.y 0"}},
		"one worker":        {"other", "queue=worker_direct('w1@host')", []task.SendOption{queue("w1@host.dq2")}, []string{"w1@host.dq2 /w1@host.dq2 0"}},
	}
}

// The same configuration leads calls from Go where it leads those from Python.
func TestRoutesLeadWhereCelerysDo(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"routed.py": routed}})
	cases := theDestinations()
	script := "from routed import *\nwith app.connection() as c:\n    for q in app.amqp.queues.values(): q(c.default_channel).declare()\n"
	for name, c := range cases {
		script += fmt.Sprintf("app.tasks[%q].apply_async(task_id=%q, %s)\n", c.task, "python "+name, c.python)
	}
	python.Run(script)
	cfg := theRoutes()
	cfg.BrokerURL, cfg.ResultBackend, cfg.Logger = url, "disabled://", slog.New(slog.DiscardHandler)
	app := newAppOf(t, cfg, task.Remote[struct{}, any]("feed.own", task.Queue("own"), task.Priority(1)),
		task.Remote[struct{}, any]("feed.hurry", task.Priority(8)), task.Remote[struct{}, any]("keyed.own", task.RoutingKey("media.own"), task.Queue("media")))
	total := 0
	for name, c := range cases {
		if _, err := app.Send(t.Context(), task.Signature{Task: c.task}.With(append(c.golang, task.ID("go "+name))...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		total += 2 * len(c.want)
	}
	came := arrivals(t, app, total, "celery", "feeds", "media", "pictures", "all", "acme", "imports", "mine", "own", "created", "last", "w1@host.dq2")
	for name, c := range cases {
		for _, language := range []string{"python ", "go "} {
			if diff := cmp.Diff(c.want, came[language+name]); diff != "" {
				t.Errorf("%s%s (-want +got):\n%s", language, name, diff)
			}
		}
	}
}

// arrivals takes so many messages from the queues and returns where each came, by id.
func arrivals(t *testing.T, app *taskq.App, n int, queues ...string) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	b, err := app.Broker(ctx)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := b.Consume(ctx, broker.ConsumeConfig{Queues: queues, Prefetch: n, AutoAck: true})
	if err != nil {
		t.Fatal(err)
	}
	came := map[string][]string{}
	for range n {
		d, err := consumer.Next(ctx)
		if err != nil {
			t.Errorf("not all came: %v", err)
			break
		}
		came[d.CorrelationID] = append(came[d.CorrelationID], fmt.Sprintf("%s %s/%s %d", d.Queue, d.Exchange, d.RoutingKey, d.Priority))
		slices.Sort(came[d.CorrelationID])
	}
	if err := consumer.Close(ctx); err != nil {
		t.Error(err)
	}
	return came
}

// furnished is a Python application whose queues have every property.
const furnished = `
from celery import Celery
from kombu import Exchange, Queue, binding

app = Celery("furnished", backend="rpc://")
app.conf.task_queue_max_priority = 4
files = Exchange("files", type="topic", durable=False, arguments={"alternate-exchange": "rest"})
app.conf.task_queues = [
    Queue("celery", Exchange("celery"), routing_key="celery"),
    Queue("media", files, routing_key="media.#", queue_arguments={
        "x-max-priority": 10, "x-overflow": "reject-publish", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "celery",
    }, message_ttl=60, expires=7200, max_length=1000),
    Queue("picky", Exchange("tenants", type="headers"), binding_arguments={"x-match": "any", "tenant": "acme", "n": 5}, durable=False, auto_delete=True),
    Queue("many", [binding(Exchange("events", type="topic"), routing_key="a.*"), binding(Exchange("events", type="topic"), routing_key="b.#")]),
    Queue("plain"),
]
safe = Queue("safe", Exchange("safe"), routing_key="safe", queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": 5})

@app.task(name="where", bind=True)
def where(self):
    d = self.request.delivery_info
    return "python " + d["exchange"] + "/" + d["routing_key"]

def declare():
    with app.connection() as c:
        for q in [*app.amqp.queues.values(), safe]:
            q(c.default_channel).declare()
`

func theFurniture(url string) taskq.Config {
	return taskq.Config{
		BrokerURL: url, Logger: slog.New(slog.DiscardHandler), MaxPriority: 4, Worker: worker.Options{Concurrency: 2},
		Queues: []taskq.Queue{
			{Name: "celery"},
			{
				Name: "media", Exchange: broker.Exchange{Name: "files", Kind: broker.Topic, Transient: true, Arguments: broker.Table{"alternate-exchange": "rest"}},
				RoutingKey: "media.#", MaxPriority: 10, Arguments: broker.Table{"x-overflow": "reject-publish"}, DeadLetterRoutingKey: "celery",
				MessageTTL: time.Minute, Expires: 2 * time.Hour, MaxLength: 1000,
			},
			{
				Name: "picky", Exchange: broker.Exchange{Name: "tenants", Kind: broker.Headers}, Transient: true, AutoDelete: true,
				Bindings: []taskq.Binding{{RoutingKey: "celery", Arguments: broker.Table{"x-match": "any", "tenant": "acme", "n": 5}}},
			},
			{Name: "many", Exchange: broker.Exchange{Name: "events", Kind: broker.Topic}, Bindings: []taskq.Binding{{RoutingKey: "a.*"}, {RoutingKey: "b.#"}}},
			{Name: "plain", Exchange: broker.Exchange{Name: "celery"}, RoutingKey: "celery"},
			{Name: "safe", Type: broker.Quorum, Arguments: broker.Table{"x-delivery-limit": 5}},
		},
	}
}

// Whoever comes first, the other one finds what it would have made itself: RabbitMQ refuses every difference.
func TestQueuesAreSharedWithCeleryInEitherOrder(t *testing.T) {
	t.Parallel()
	for name, pythonFirst := range map[string]bool{"python first": true, "go first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := testserver.AMQPVhost(t)
			python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"furnished.py": furnished}})
			app := newAppOf(t, theFurniture(url), task.New("where", func(ctx context.Context, _ struct{}) (string, error) {
				r := task.FromContext(ctx)
				return "go " + r.Exchange + "/" + r.RoutingKey, nil
			}))
			declare := func() {
				b, err := app.Broker(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, q := range app.Config().Queues {
					if err := b.Declare(t.Context(), app.Topology(q.Name)); err != nil {
						t.Error(err)
					}
				}
			}
			if pythonFirst {
				python.Run("from furnished import *\ndeclare()")
				declare()
			} else {
				declare()
				python.Run("from furnished import *\ndeclare()")
			}
			workTogether(t, python, app)
		})
	}
}

// workTogether lets workers of both languages take tasks from the same queues.
func workTogether(t *testing.T, python *testserver.Python, app *taskq.App) {
	t.Helper()
	python.Worker("furnished", "-P", "solo")
	runWorker(t, app)
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	where := task.Remote[struct{}, string]("where")
	seen := map[string]bool{}
	for len(seen) < 2 { // until both consume: RabbitMQ takes turns
		r, err := where.Send(ctx, app, struct{}{}, task.Queue("media"), task.RoutingKey("media.x"), task.Priority(9))
		if err != nil {
			t.Fatal(err)
		}
		came, err := r.Get(ctx)
		if err != nil {
			t.Fatalf("only %v took tasks: %v", seen, err)
		}
		language, by, _ := strings.Cut(came, " ")
		if seen[language] = true; by != "files/media.x" {
			t.Errorf("it came by %s, want files/media.x", by)
		}
	}
	got := python.Run("from furnished import *\nprint(where.apply_async(queue='media', routing_key='media.y').get(timeout=30))")
	if !strings.HasSuffix(strings.TrimSpace(got), " files/media.y") {
		t.Errorf("Python's call came by %s", got)
	}
}

// newsreaders are Python workers that all listen to one broadcast.
const newsreaders = `
from celery import Celery
from kombu.common import Broadcast

app = Celery("newsreaders")
app.conf.task_queues = [Broadcast("news")]
app.conf.worker_redirect_stdouts = False

@app.task(name="read")
def read(what):
    print("READ", what, flush=True)
`

func TestABroadcastReachesAllOfPythonsWorkers(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"newsreaders.py": newsreaders}})
	app := newAppOf(t, taskq.Config{
		BrokerURL: url, Logger: slog.New(slog.DiscardHandler), Queues: []taskq.Queue{{Name: "news", Broadcast: true}}, Routes: taskq.Routes{{Match: "read", Queue: "news"}},
	})
	read := task.Remote[string, any]("read", task.IgnoreResult())
	_, err := read.Send(t.Context(), app, "too early")
	if !errors.Is(err, broker.ErrUnroutable) || !strings.Contains(err.Error(), "broadcast news: no worker listens to it") {
		t.Errorf("without workers: %v, want ErrUnroutable", err)
	}
	workers := []*testserver.CeleryWorker{
		python.Worker("newsreaders", "-P", "solo", "-n", "w1@host"), python.Worker("newsreaders", "-P", "solo", "-n", "w2@host"),
	}
	if _, err := read.Send(t.Context(), app, "hear ye"); err != nil {
		t.Fatal(err)
	}
	for _, w := range workers {
		w.WaitForLog("READ hear ye")
		w.Stop()
	}
	for _, w := range workers {
		if strings.Contains(w.Log(), "too early") {
			t.Error("what nobody heard was kept")
		}
	}
	if _, err := read.Send(t.Context(), app, "too late"); !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("after the workers: %v, want ErrUnroutable", err)
	}
}
