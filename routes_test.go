package taskq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

func TestTheFirstRouteThatFitsDecides(t *testing.T) {
	t.Parallel()
	byTenant := func(_ context.Context, s task.Signature) (taskq.Route, bool) {
		tenant, ok := s.Headers["tenant"].(string)
		return taskq.Route{Queue: "tenant-" + tenant, Options: []task.CallOption{task.Priority(7)}}, ok
	}
	app := newApp(t, taskq.Config{
		Queues: []taskq.Queue{
			{Name: "celery"},
			{Name: "media", Exchange: broker.Exchange{Kind: broker.Topic}, RoutingKey: "media.#"},
			{Name: "everyone", Broadcast: true},
			{Name: "bound", Exchange: broker.Exchange{Name: "t", Kind: broker.Topic}, Bindings: []taskq.Binding{{RoutingKey: "b.*"}, {RoutingKey: "c"}}},
		},
		Routes: taskq.Routes{
			{Match: "feed.*", Queue: "feeds", Options: []task.CallOption{task.Priority(3), task.ExpiresIn(time.Hour)}},
			{Match: "feed.import", Queue: "imports"}, // a name goes before a pattern
			{Match: "feed.import", Queue: "never"},
			{Regexp: `(image|video)\.`, Queue: "media", RoutingKey: "media.pictures"},
			{Match: "kept", Options: []task.CallOption{task.Priority(9)}},
			{Match: "q?[xy][!z]", Queue: "shell"},
			{Match: "odd[", Queue: "odd"},
			{Func: byTenant},
			{Match: "to.exchange", Exchange: "amq.topic", RoutingKey: "a.b"},
			{Match: "options.only", Options: []task.CallOption{task.Queue("inside")}},
			{Match: "all", Queue: "everyone"},
			{Match: "bound", Queue: "bound"},
			{Match: "*", Queue: "rest"},
		},
	}, task.New("feed.own", func(context.Context, struct{}) (int, error) { return 0, nil }, task.Queue("own"), task.Priority(1)))
	for name, tt := range map[string]struct {
		task     string
		opts     []task.SendOption
		address  broker.Address
		queue    string
		priority uint8
		decided  string
	}{
		"pattern":         {"feed.add", nil, broker.Address{RoutingKey: "feeds"}, "feeds", 3, `routes[0], match "feed.*"`},
		"whole name":      {"my.feed.add", nil, broker.Address{RoutingKey: "rest"}, "rest", 0, `routes[12], match "*"`},
		"case":            {"Feed.add", nil, broker.Address{RoutingKey: "rest"}, "rest", 0, `routes[12], match "*"`},
		"name":            {"feed.import", nil, broker.Address{RoutingKey: "imports"}, "imports", 0, `routes[1], match "feed.import"`},
		"expression":      {"video.cut.fast", nil, broker.Address{Exchange: "media", RoutingKey: "media.pictures"}, "media", 0, `routes[3], regexp "(image|video)\\."`},
		"not inside":      {"my.video.cut", nil, broker.Address{RoutingKey: "rest"}, "rest", 0, `routes[12], match "*"`},
		"options":         {"kept", nil, broker.Address{RoutingKey: "celery"}, "celery", 9, "the default"},
		"shell":           {"q1xa", nil, broker.Address{RoutingKey: "shell"}, "shell", 0, `routes[5], match "q?[xy][!z]"`},
		"to the end":      {"q1xab", nil, broker.Address{RoutingKey: "rest"}, "rest", 0, `routes[12], match "*"`},
		"no shell":        {"q1xz", nil, broker.Address{RoutingKey: "rest"}, "rest", 0, `routes[12], match "*"`},
		"bracket":         {"odd[", nil, broker.Address{RoutingKey: "odd"}, "odd", 0, `routes[6], match "odd["`},
		"function":        {"any", []task.SendOption{task.Header("tenant", "acme")}, broker.Address{RoutingKey: "tenant-acme"}, "tenant-acme", 7, "routes[7], a function"},
		"not asked":       {"feed.add", []task.SendOption{task.Header("tenant", "acme")}, broker.Address{RoutingKey: "feeds"}, "feeds", 3, `routes[0], match "feed.*"`},
		"behind it":       {"to.exchange", []task.SendOption{task.Header("tenant", "acme")}, broker.Address{RoutingKey: "tenant-acme"}, "tenant-acme", 7, "routes[7], a function"},
		"exchange":        {"to.exchange", nil, broker.Address{Exchange: "amq.topic", RoutingKey: "a.b"}, "", 0, `routes[8], match "to.exchange"`},
		"option":          {"options.only", nil, broker.Address{RoutingKey: "inside"}, "inside", 0, `routes[9], match "options.only"`},
		"broadcast":       {"all", nil, broker.Address{Exchange: "everyone"}, "everyone", 0, `routes[10], match "all"`},
		"binding's key":   {"bound", nil, broker.Address{Exchange: "t", RoutingKey: "b.*"}, "bound", 0, `routes[11], match "bound"`},
		"call first":      {"feed.add", []task.SendOption{task.Queue("mine")}, broker.Address{RoutingKey: "mine"}, "mine", 3, "the call"},
		"call's exchange": {"video.x", []task.SendOption{task.Exchange("e")}, broker.Address{Exchange: "e"}, "", 0, "the call"},
		"call's key":      {"video.x", []task.SendOption{task.RoutingKey("media.x")}, broker.Address{Exchange: "media", RoutingKey: "media.x"}, "media", 0, `routes[3], regexp "(image|video)\\."`},
		"call's priority": {"feed.add", []task.SendOption{task.Priority(0)}, broker.Address{RoutingKey: "feeds"}, "feeds", 0, `routes[0], match "feed.*"`},
		"task second":     {"feed.own", nil, broker.Address{RoutingKey: "own"}, "own", 1, "the task"},
		"topic's queue":   {"x", []task.SendOption{task.Queue("media"), task.RoutingKey("media.y")}, broker.Address{Exchange: "media", RoutingKey: "media.y"}, "media", 0, "the call"},
		"direct's queue":  {"x", []task.SendOption{task.RoutingKey("media.y"), task.Queue("mine")}, broker.Address{RoutingKey: "mine"}, "mine", 0, "the call"},
		"worker's own":    {"x", []task.SendOption{task.Queue("w1@host.dq2")}, broker.Address{RoutingKey: "w1@host.dq2"}, "w1@host.dq2", 0, "the call"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := app.Destination(t.Context(), task.Signature{Task: tt.task}.With(tt.opts...))
			if err != nil {
				t.Fatal(err)
			}
			if d.Address != tt.address || d.Call.Queue != tt.queue || d.Call.Priority != tt.priority || d.Decided != tt.decided {
				t.Errorf("goes to %+v, queue %q, priority %d by %s, want %+v, %q, %d by %s",
					d.Address, d.Call.Queue, d.Call.Priority, d.Decided, tt.address, tt.queue, tt.priority, tt.decided)
			}
		})
	}
}

func TestWhatCeleryRunsForATaskGoesWhereTheTaskGoes(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{Routes: taskq.Routes{{Match: "feed.*", Queue: "feeds"}, {Match: "celery.*", Queue: "wrong"}}})
	feed := task.Signature{Task: "feed.add"}
	decoded := codec.Raw(`{"task": "feed.add", "args": [], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false}`)
	for name, call := range map[string]task.Signature{
		"map":              canvas.Map(feed, []int{1}),
		"starmap":          canvas.Starmap(feed, [][]int{{1}}),
		"chunks":           {Task: "celery.chunks", Kwargs: map[string]any{"task": feed, "it": [][]int{{1}}, "n": 1}},
		"decoded":          {Task: "celery.map", Kwargs: map[string]any{"task": decoded}},
		"unlock":           {Task: "celery.chord_unlock", Args: []any{"group", feed}},
		"unlock of chains": {Task: "celery.chord_unlock", Args: []any{"group", canvas.Chain(feed, task.Signature{Task: "other"})}},
	} {
		d, err := app.Destination(t.Context(), call)
		if err != nil || d.Call.Queue != "feeds" || d.Call.Task != call.Task {
			t.Errorf("%s: %s goes to %q, %v; want feeds", name, d.Call.Task, d.Call.Queue, err)
		}
	}
}

func TestWhatCeleryRunsForNobodyKnownGoesByItsOwnName(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{Routes: taskq.Routes{{Match: "celery.*", Queue: "own"}}})
	for name, call := range map[string]task.Signature{
		"map of nothing":          {Task: "celery.map"},
		"map of what has no name": {Task: "celery.map", Kwargs: map[string]any{"task": task.Signature{}}},
		"decoded, without a name": {Task: "celery.map", Kwargs: map[string]any{"task": codec.Raw(`{"args": []}`)}},
		"decoded, no call":        {Task: "celery.starmap", Kwargs: map[string]any{"task": codec.Raw(`[1]`)}},
		"unlock without a body":   {Task: "celery.chord_unlock", Args: []any{"group"}},
	} {
		d, err := app.Destination(t.Context(), call)
		if err != nil || d.Call.Queue != "own" {
			t.Errorf("%s: goes to %q, %v; want own", name, d.Call.Queue, err)
		}
	}
}

// What a route says of a call goes behind what the call and its task say, and before the defaults of all calls.
func TestARouteGivesOptionsThatAreLeftOpen(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{
		Call: task.CallOptions{Serializer: "json", Priority: 1, ExpiresIn: time.Minute},
		Routes: taskq.Routes{{Match: "*", Queue: "q", Options: []task.CallOption{
			task.Serializer("msgpack"), task.Priority(2), task.ExpiresIn(time.Hour), task.TimeLimit(time.Second), task.IgnoreResult(), task.Header("by", "route"),
		}}},
	}, task.New("own", func(context.Context, struct{}) (int, error) { return 0, nil }, task.TimeLimit(time.Minute)))
	d, err := app.Destination(t.Context(), task.Signature{Task: "own"}.With(task.Priority(0), task.KeepResult()))
	if err != nil {
		t.Fatal(err)
	}
	got := d.Call.CallOptions
	if got.Serializer != "msgpack" || got.Priority != 0 || got.ExpiresIn != time.Hour || got.TimeLimit != time.Minute || got.IgnoreResult || got.Headers["by"] != "route" {
		t.Errorf("options = %+v", got)
	}
}

// What Python says of a step of a chain may name a queue, an exchange and a key.
func TestACallWithQueueExchangeAndKeyGoesWhereCelerySendsIt(t *testing.T) {
	t.Parallel()
	topic := taskq.Queue{Name: "topic", Exchange: broker.Exchange{Kind: broker.Topic}}
	direct := newApp(t, taskq.Config{Queues: []taskq.Queue{{Name: "celery"}, topic}})
	byTopic := newApp(t, taskq.Config{DefaultQueue: "topic", Queues: []taskq.Queue{topic}})
	for name, tt := range map[string]struct {
		app  *taskq.App
		call task.CallOptions
		want broker.Address
	}{
		"all three":            {direct, task.CallOptions{Queue: "celery", Exchange: "e", RoutingKey: "k"}, broker.Address{Exchange: "e", RoutingKey: "k"}},
		"no key":               {direct, task.CallOptions{Queue: "celery", Exchange: "e"}, broker.Address{RoutingKey: "celery"}},
		"no key, topic":        {direct, task.CallOptions{Queue: "topic", Exchange: "e"}, broker.Address{Exchange: "e"}},
		"queue and key":        {direct, task.CallOptions{Queue: "celery", RoutingKey: "k"}, broker.Address{RoutingKey: "celery"}},
		"queue and key, topic": {direct, task.CallOptions{Queue: "topic", RoutingKey: "k"}, broker.Address{Exchange: "topic", RoutingKey: "k"}},
		"key":                  {direct, task.CallOptions{RoutingKey: "k"}, broker.Address{RoutingKey: "k"}},
		"key, topic":           {byTopic, task.CallOptions{RoutingKey: "k"}, broker.Address{Exchange: "topic", RoutingKey: "k"}},
	} {
		d, err := tt.app.Destination(t.Context(), task.Signature{Task: "t", CallOptions: tt.call})
		if err != nil || d.Address != tt.want {
			t.Errorf("%s: goes to %+v, %v, want %+v", name, d.Address, err, tt.want)
		}
	}
}

func TestRoutesThatLeadNowhereAreRefused(t *testing.T) {
	t.Parallel()
	decide := func(context.Context, task.Signature) (taskq.Route, bool) { return taskq.Route{}, true }
	for want, route := range map[string]taskq.Route{
		"routes[1]: invalid: it needs a match, a regexp or a function": {Queue: "x"},
		"only one of them": {Match: "a", Func: decide},
		"missing closing ]: `[a`; the syntax is that of Go":    {Regexp: "[a", Queue: "x"},
		"`(?=`; the syntax is that of Go":                      {Regexp: "a(?=b)", Queue: "x"},
		"the pattern \"[z-a]\": error parsing regexp: invalid": {Match: "[z-a]", Queue: "x"},
		`the queue "q" and the exchange "e"`:                   {Match: "a", Queue: "q", Exchange: "e"},
		"negative time limit":                                  {Match: "a", Options: []task.CallOption{task.TimeLimit(-1)}},
	} {
		_, err := taskq.New(taskq.Config{BrokerURL: "memory://", Routes: taskq.Routes{{Match: "fine", Queue: "x"}, route}})
		if !errors.Is(err, broker.ErrInvalid) && !strings.Contains(want, "negative") || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want broker.ErrInvalid with %q", err, want)
		}
	}
}

func TestAFunctionThatLeadsNowhereIsAnErrorOfTheCall(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{Routes: taskq.Routes{{Func: func(context.Context, task.Signature) (taskq.Route, bool) {
		return taskq.Route{Queue: "q", Exchange: "e"}, true
	}}}})
	_, err := app.Send(t.Context(), task.Signature{Task: "x"})
	if !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), "send x: routes[0], a function: ") {
		t.Errorf("error = %v, want broker.ErrInvalid that names the route", err)
	}
}

// What is sent alone, in a batch and after another task goes the same way.
func TestAllThatIsSentIsRouted(t *testing.T) {
	t.Parallel()
	ran := make(chan string, 10)
	tell := func(name string) task.Definition {
		return task.Raw(name, task.HandlerFunc(func(_ context.Context, r *task.Request) (any, error) {
			ran <- r.Name + " from " + r.Queue + " by " + r.Exchange + "/" + r.RoutingKey
			return nil, nil
		}))
	}
	app := newApp(t, taskq.Config{
		Queues: []taskq.Queue{{Name: "celery"}, {Name: "feeds"}, {Name: "media", Exchange: broker.Exchange{Name: "files", Kind: broker.Topic}, RoutingKey: "media.#"}},
		Routes: taskq.Routes{{Match: "feed.*", Queue: "feeds"}, {Match: "video.*", Queue: "media", RoutingKey: "media.video"}},
	}, tell("feed.a"), tell("video.b"), tell("other"))
	work(t, app)
	want := map[string]int{"feed.a from feeds by /feeds": 2, "video.b from media by files/media.video": 3, "other from celery by /celery": 1}
	last := task.Signature{Task: "feed.a"}
	linked := task.Signature{Task: "video.b"}.With(task.Link(last), task.Countdown(10*time.Millisecond))
	if _, err := app.Send(t.Context(), task.Signature{Task: "other"}.With(task.Link(linked))); err != nil {
		t.Fatal(err)
	}
	if _, err := app.SendBatch(t.Context(), []task.Signature{{Task: "feed.a"}, {Task: "video.b"}, {Task: "video.b"}}); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		select {
		case what := <-ran:
			want[what]--
		case <-time.After(10 * time.Second):
			t.Fatalf("not all ran: %v are left", want)
		}
	}
	for what, left := range want {
		if left != 0 {
			t.Errorf("%q: %d too few", what, left)
		}
	}
}

func TestABroadcastThatNobodyHearsIsAnError(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{Queues: []taskq.Queue{{Name: "news", Broadcast: true}}}, add())
	_, err := add().Send(t.Context(), app, pair{1, 2}, task.Queue("news"))
	if !errors.Is(err, broker.ErrUnroutable) || !strings.Contains(err.Error(), "broadcast news: no worker listens") {
		t.Errorf("error = %v, want broker.ErrUnroutable that says that no worker listens", err)
	}
	_, err = app.SendBatch(t.Context(), []task.Signature{add().S(pair{1, 2}, task.Queue("news"))})
	if !errors.Is(err, broker.ErrUnroutable) || !strings.Contains(err.Error(), "broadcast news") {
		t.Errorf("batch: error = %v, want the same", err)
	}
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = b.Declare(t.Context(), broker.Topology{
		Exchanges: []broker.Exchange{{Name: "news", Kind: broker.Fanout}},
		Queues:    []broker.Queue{{Name: "bcast.1"}, {Name: "bcast.2"}},
		Bindings:  []broker.Binding{{Exchange: "news", Queue: "bcast.1"}, {Exchange: "news", Queue: "bcast.2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := add().Send(t.Context(), app, pair{1, 2}, task.Queue("news")); err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"bcast.1", "bcast.2"} {
		if stats, err := b.(broker.Measurer).Measure(t.Context(), queue); err != nil || stats.Messages != 1 {
			t.Errorf("%s: %v, %v, want one message", queue, stats, err)
		}
	}
}
