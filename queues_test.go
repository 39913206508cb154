package taskq_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// frame is a declaration that a real Celery sent: testdata/declares.json holds those of its task queues, in its order.
type frame struct {
	Method string
	Args   struct {
		Exchange, Queue, Type string
		RoutingKey            string `json:"routing_key"`
		Durable, Exclusive    bool
		AutoDelete            bool `json:"auto_delete"`
		Arguments             map[string]struct {
			T string
			V any
		}
	}
}

func (f frame) arguments(t *testing.T) broker.Table {
	t.Helper()
	table := broker.Table{}
	for name, arg := range f.Args.Arguments {
		switch v := arg.V.(type) {
		case string:
			table[name] = v
		case float64:
			if arg.T != "I" {
				t.Fatalf("%s has the tag %s", name, arg.T)
			}
			table[name] = int32(v)
		}
	}
	return table
}

func TestQueuesAreDeclaredAsCeleryDeclaresThem(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/declares.json")
	if err != nil {
		t.Fatal(err)
	}
	var recordings []struct {
		Source string
		Frames []frame
	}
	if err := json.Unmarshal(data, &recordings); err != nil || len(recordings) == 0 {
		t.Fatalf("%d recordings, %v", len(recordings), err)
	}
	for i, recording := range recordings {
		want := broker.Topology{}
		var names []string
		priorities := uint8(0)
		for _, f := range recording.Frames {
			switch args := f.arguments(t); f.Method {
			case "exchange.declare":
				want.Exchanges = append(want.Exchanges, broker.Exchange{
					Name: f.Args.Exchange, Kind: broker.ExchangeKind(f.Args.Type), Transient: !f.Args.Durable, AutoDelete: f.Args.AutoDelete, Arguments: args,
				})
			case "queue.declare":
				if n, ok := args[broker.ArgMaxPriority].(int32); ok {
					priorities = uint8(n)
				}
				names = append(names, f.Args.Queue)
				want.Queues = append(want.Queues, broker.Queue{
					Name: f.Args.Queue, Transient: !f.Args.Durable, AutoDelete: f.Args.AutoDelete, Exclusive: f.Args.Exclusive, Arguments: args,
				})
			case "queue.bind":
				want.Bindings = append(want.Bindings, broker.Binding{Exchange: f.Args.Exchange, Queue: f.Args.Queue, Key: f.Args.RoutingKey, Arguments: args})
			}
		}
		app := newApp(t, taskq.Config{
			MaxPriority: priorities,
			Queues:      []taskq.Queue{{Name: "h2q", Type: broker.Quorum, Exchange: broker.Exchange{Kind: broker.Topic}}},
		})
		var got broker.Topology
		for _, name := range names {
			topology := app.Topology(name)
			got.Exchanges = append(got.Exchanges, topology.Exchanges...)
			for _, q := range topology.Queues {
				q.Arguments, q.Type, q.MaxPriority = q.WireArguments(), "", 0
				got.Queues = append(got.Queues, q)
			}
			got.Bindings = append(got.Bindings, topology.Bindings...)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("recording %d of %s (-celery +ours):\n%s", i, recording.Source, diff)
		}
	}
}

func TestAQueueIsDeclaredWithAllThatItSays(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{QueueType: broker.Classic, MaxPriority: 9, Queues: []taskq.Queue{
		{
			Name: "media", Exchange: broker.Exchange{Name: "files", Kind: broker.Topic, Arguments: broker.Table{"alternate-exchange": "rest"}},
			RoutingKey: "media.#", MaxPriority: 5, DeadLetterExchange: "dead", DeadLetterRoutingKey: "media.dead", MessageTTL: time.Minute,
			Expires: 48 * 24 * time.Hour, MaxLength: 1000, Arguments: broker.Table{"x-overflow": "reject-publish", "x-one": 1, "x-big": int64(1) << 40},
		},
		{Name: "plain"},
		{Name: "safe", Type: broker.Quorum, Arguments: broker.Table{"x-delivery-limit": 5}},
		{Name: "picky", Exchange: broker.Exchange{Kind: broker.Headers}, Bindings: []taskq.Binding{
			{Arguments: broker.Table{"x-match": "all", "tenant": "acme"}},
			{Exchange: broker.Exchange{Name: "other"}, RoutingKey: "k"},
		}, Transient: true, AutoDelete: true},
		{Name: "back", DeadLetterRoutingKey: "plain"},
		{Name: "news", Broadcast: true},
	}})
	media := broker.Table{
		"x-dead-letter-exchange": "dead", "x-dead-letter-routing-key": "media.dead", "x-message-ttl": int32(60000), "x-expires": int64(4147200000),
		"x-max-length": int32(1000), "x-overflow": "reject-publish", "x-one": int32(1), "x-big": int64(1) << 40,
	}
	direct := func(name string, q broker.Queue) broker.Topology {
		q.Name, q.Type = name, broker.QueueType(orClassic(string(q.Type)))
		return broker.TaskQueue(q)
	}
	for name, want := range map[string]broker.Topology{
		"media": {
			Exchanges: []broker.Exchange{{Name: "files", Kind: broker.Topic, Arguments: broker.Table{"alternate-exchange": "rest"}}},
			Queues:    []broker.Queue{{Name: "media", Type: broker.Classic, MaxPriority: 5, Arguments: media}},
			Bindings:  []broker.Binding{{Exchange: "files", Queue: "media", Key: "media.#"}},
		},
		"plain": direct("plain", broker.Queue{MaxPriority: 9}),
		"safe":  direct("safe", broker.Queue{Type: broker.Quorum, Arguments: broker.Table{"x-delivery-limit": int32(5)}}),
		"picky": {
			Exchanges: []broker.Exchange{{Name: "picky", Kind: broker.Headers}, {Name: "other", Kind: broker.Direct}},
			Queues:    []broker.Queue{{Name: "picky", Type: broker.Classic, MaxPriority: 9, Transient: true, AutoDelete: true}},
			Bindings: []broker.Binding{
				{Exchange: "picky", Queue: "picky", Arguments: broker.Table{"x-match": "all", "tenant": "acme"}},
				{Exchange: "other", Queue: "picky", Key: "k"},
			},
		},
		"back":            direct("back", broker.Queue{MaxPriority: 9, Arguments: broker.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "plain"}}),
		"news":            {},
		"other":           direct("other", broker.Queue{MaxPriority: 9}),
		"safe.dead":       direct("safe.dead", broker.Queue{Type: broker.Quorum}),
		"safe.quarantine": direct("safe.quarantine", broker.Queue{Type: broker.Quorum}),
		"media.dead":      direct("media.dead", broker.Queue{}),
	} {
		if diff := cmp.Diff(want, app.Topology(name), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func orClassic(kind string) string {
	if kind == "" {
		return string(broker.Classic)
	}
	return kind
}

func TestMissingQueuesAreDeclaredAsTheConfigurationSays(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{MissingQueues: taskq.MissingQueues{Type: broker.Quorum, ExchangeType: broker.Topic}})
	quorum := broker.TaskQueue(broker.Queue{Name: "any", Type: broker.Quorum})
	quorum.Exchanges[0].Kind = broker.Topic
	for name, want := range map[string]broker.Topology{
		"any":      quorum,
		"celery":   broker.TaskQueue(broker.Queue{Name: "celery"}), // the default queue is none of them
		"w1@h.dq2": broker.TaskQueue(broker.Queue{Name: "w1@h.dq2", Type: broker.Quorum}),
	} {
		if diff := cmp.Diff(want, app.Topology(name), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	d, err := app.Destination(t.Context(), task.Signature{Task: "t"}.With(task.Queue("any")))
	if want := (broker.Address{Exchange: "any", RoutingKey: "any"}); err != nil || d.Address != want {
		t.Errorf("address = %+v, %v, want %+v", d.Address, err, want)
	}
	classic := newApp(t, taskq.Config{QueueType: broker.Quorum, MissingQueues: taskq.MissingQueues{Type: broker.Classic}})
	if got := classic.Topology("any").Queues[0].Type; got != "" {
		t.Errorf("type = %q, want none, as Celery leaves it out for classic queues", got)
	}
	if got := classic.Topology("celery").Queues[0].Type; got != broker.Quorum {
		t.Errorf("type of the default queue = %q, want quorum", got)
	}
}

func TestQueuesThatNoBrokerCouldDeclareAreRefused(t *testing.T) {
	t.Parallel()
	for want, queues := range map[string][]taskq.Queue{
		`queue "" (Queues[0])`:                  {{}},
		"there are two of the name":             {{Name: "a"}, {Name: "a"}},
		"300 bytes":                             {{Name: strings.Repeat("a", 300)}},
		`"x" is none of direct`:                 {{Name: "a", Exchange: broker.Exchange{Kind: "x"}}},
		`binding 1: invalid: the exchange type`: {{Name: "a", Bindings: []taskq.Binding{{}, {Exchange: broker.Exchange{Name: "b", Kind: "y"}}}}},
		"negative":                              {{Name: "a", MessageTTL: -1}},
		"neither classic nor quorum":            {{Name: "a", Type: "stream"}},
		"takes no x-max-priority":               {{Name: "a", Type: broker.Quorum, MaxPriority: 3}},
		"is durable":                            {{Name: "a", Type: broker.Quorum, Transient: true}},
		"given twice":                           {{Name: "a", MaxLength: 3, Arguments: broker.Table{"x-max-length": 3}}},
		"argument x: invalid: RabbitMQ takes milliseconds": {{Name: "a", Arguments: broker.Table{"x": time.Second}}},
		"argument x: invalid: a struct {} cannot be sent":  {{Name: "a", Arguments: broker.Table{"x": struct{}{}}}},
		"nothing else to configure":                        {{Name: "a", Broadcast: true, RoutingKey: "x"}},
		`an exchange "x" with other properties`: {
			{Name: "a", Exchange: broker.Exchange{Name: "x", Kind: broker.Topic}}, {Name: "b", Exchange: broker.Exchange{Name: "x"}},
		},
	} {
		_, err := taskq.New(taskq.Config{BrokerURL: "memory://", Queues: queues})
		if !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want broker.ErrInvalid with %q", err, want)
		}
	}
	_, err := taskq.New(taskq.Config{BrokerURL: "memory://", MissingQueues: taskq.MissingQueues{ExchangeType: "x"}})
	if !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("exchange type of missing queues: %v, want broker.ErrInvalid", err)
	}
}

func TestUnknownQueuesAreRefusedWhereTheConfigurationSaysSo(t *testing.T) {
	t.Parallel()
	cfg := taskq.Config{
		BrokerURL: "memory://", MissingQueues: taskq.MissingQueues{Refuse: true}, Queues: []taskq.Queue{{Name: "celery"}, {Name: "feeds"}},
	}
	app := newApp(t, cfg, add())
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), `no queue "feds"`) || !strings.Contains(err.Error(), "celery, feeds") {
			t.Errorf("%s: %v, want broker.ErrInvalid with the queues that there are", what, err)
		}
	}
	_, err := add().Send(t.Context(), app, pair{1, 2}, task.Queue("feds"))
	refused("send", err)
	_, err = app.Destination(t.Context(), add().S(pair{1, 2}, task.Queue("feds")))
	refused("destination", err)
	results, err := app.SendBatch(t.Context(), []task.Signature{add().S(pair{1, 2}, task.Queue("feds")), add().S(pair{1, 2})})
	refused("batch", err)
	if results[0] != nil || results[1] == nil {
		t.Errorf("results = %v, want that of the second call", results)
	}
	other := cfg
	other.Worker = worker.Options{Queues: []string{"feds"}}
	_, err = taskq.New(other)
	refused("worker", err)
	other = cfg
	other.Routes = taskq.Routes{{Match: "x", Queue: "feds"}}
	_, err = taskq.New(other)
	refused("route", err)
	for _, known := range []string{"feeds", "w1@host.dq2", "feeds.dead"} {
		if _, err := app.Destination(t.Context(), task.Signature{Task: "x"}.With(task.Queue(known))); err != nil {
			t.Errorf("%s: %v", known, err)
		}
	}
	cfg.Queues = nil
	if _, err := add().Send(t.Context(), newApp(t, cfg), pair{1, 2}); err != nil {
		t.Errorf("the default queue without others: %v", err)
	}
}

func TestAWorkerConsumesTheConfiguredQueuesUnlessItNamesSome(t *testing.T) {
	t.Parallel()
	queues := []taskq.Queue{{Name: "high"}, {Name: "news", Broadcast: true}, {Name: "low"}}
	for name, tt := range map[string]struct {
		cfg  taskq.Config
		want []string
	}{
		"default":    {taskq.Config{}, []string{"celery"}},
		"named":      {taskq.Config{DefaultQueue: "d"}, []string{"d"}},
		"configured": {taskq.Config{Queues: queues}, []string{"high", "low"}},
		"chosen":     {taskq.Config{Queues: queues, Worker: worker.Options{Queues: []string{"low", "news"}}}, []string{"low"}},
	} {
		w, err := newApp(t, tt.cfg).NewWorker(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Options().Queues; !cmp.Equal(got, tt.want) {
			t.Errorf("%s: queues = %v, want %v", name, got, tt.want)
		}
	}
}
