package amqp_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// words are the declarations of a topology, one a line, without order.
func words(t broker.Topology) []string {
	var out []string
	for _, x := range t.Exchanges {
		out = append(out, fmt.Sprintf("exchange %s %s durable %v auto_delete %v %v", x.Name, x.Kind, !x.Transient, x.AutoDelete, x.Arguments))
	}
	for _, q := range t.Queues {
		out = append(out, fmt.Sprintf("queue %s durable %v auto_delete %v %v", q.Name, !q.Transient, q.AutoDelete, q.WireArguments()))
	}
	for _, b := range t.Bindings {
		out = append(out, fmt.Sprintf("binding %s %s %s %v", b.Exchange, b.Queue, b.Key, b.Arguments))
	}
	for _, l := range t.Links {
		out = append(out, fmt.Sprintf("link %s %s %s %v", l.Source, l.Destination, l.Key, l.Arguments))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// recorded are the declarations that Celery 5.6.2's worker was seen to make for its quorum queue h2q on a topic exchange.
func recorded(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/celery-5.6.2-delays.json")
	if err != nil {
		t.Fatal(err)
	}
	var frames []struct {
		Method string
		Args   struct {
			Exchange, Type, Queue, Source, Destination string
			Key                                        string `json:"routing_key"`
			Durable                                    bool
			AutoDelete                                 bool `json:"auto_delete"`
			Arguments                                  map[string]struct{ V any }
		}
	}
	if err := json.Unmarshal(data, &frames); err != nil {
		t.Fatal(err)
	}
	var topology broker.Topology
	for _, f := range frames {
		args := broker.Table{}
		for name, value := range f.Args.Arguments {
			args[name] = value.V
			if n, ok := value.V.(float64); ok {
				args[name] = int64(n)
			}
		}
		switch f.Method {
		case "exchange.declare":
			topology.Exchanges = append(topology.Exchanges, broker.Exchange{
				Name: f.Args.Exchange, Kind: broker.ExchangeKind(f.Args.Type), Transient: !f.Args.Durable, AutoDelete: f.Args.AutoDelete,
			})
		case "queue.declare":
			topology.Queues = append(topology.Queues, broker.Queue{Name: f.Args.Queue, Transient: !f.Args.Durable, AutoDelete: f.Args.AutoDelete, Arguments: args})
		case "queue.bind":
			topology.Bindings = append(topology.Bindings, broker.Binding{Exchange: f.Args.Exchange, Queue: f.Args.Queue, Key: f.Args.Key})
		case "exchange.bind":
			topology.Links = append(topology.Links, broker.Link{Source: f.Args.Source, Destination: f.Args.Destination, Key: f.Args.Key})
		}
	}
	return words(topology)
}

func TestCelerysDelaysAreDeclaredAsCeleryDoes(t *testing.T) {
	t.Parallel()
	own := broker.Topology{
		Exchanges: []broker.Exchange{{Name: "h2q", Kind: broker.Topic}},
		Queues:    []broker.Queue{{Name: "h2q", Type: broker.Quorum}},
		Bindings:  []broker.Binding{{Exchange: "h2q", Queue: "h2q", Key: "h2q"}},
	}
	all := own
	for _, part := range []broker.Topology{amqp.CeleryDelays(), amqp.BindCeleryDelays(own)} {
		all.Exchanges = append(all.Exchanges, part.Exchanges...)
		all.Queues = append(all.Queues, part.Queues...)
		all.Bindings = append(all.Bindings, part.Bindings...)
		all.Links = append(all.Links, part.Links...)
	}
	got, want := words(all), recorded(t)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("missing: %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("Celery does not declare: %s", g)
		}
	}
	if direct := amqp.BindCeleryDelays(broker.TaskQueue(broker.Queue{Name: "q"})); !direct.IsEmpty() {
		t.Errorf("a direct exchange is bound: %+v", direct)
	}
}

// shared declares an exchange, and a queue bound to it by the key shared, with Celery's delays.
func shared(t *testing.T, url string, kind broker.ExchangeKind) (b *amqp.Broker, exchange, queue string) {
	t.Helper()
	cfg := config(t, url)
	cfg.Delays = amqp.DelaysCelery
	b = open(t, cfg)
	name := "taskq.test." + rand.Text()
	err := b.Declare(timeout(t, patience), broker.Topology{
		Exchanges: []broker.Exchange{{Name: name, Kind: kind}},
		Queues:    []broker.Queue{{Name: name, Type: broker.Quorum}},
		Bindings:  []broker.Binding{{Exchange: name, Queue: name, Key: "shared"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, name, name
}

func TestADelayGoesThroughCelerysQueues(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	b, exchange, queue := shared(t, url, broker.Topic)
	cfg := config(t, url)
	cfg.Delays = amqp.DelaysCelery
	sender := open(t, cfg) // it has not declared the exchange, and must find out its kind
	c := consume(t, b, 10, queue)
	const delay = 3*time.Second + 700*time.Millisecond
	began := time.Now()
	err := sender.PublishDelayed(timeout(t, patience), broker.Address{Exchange: exchange, RoutingKey: "shared"}, broker.Message{Body: []byte("x")}, delay)
	if err != nil {
		t.Fatal(err)
	}
	d := next(t, c)
	took := time.Since(began)
	if took < 3*time.Second {
		t.Errorf("it came after %v, before the whole seconds of %v", took, delay)
	}
	// as Celery's own: with the delay in binary in front of its routing key (recorded from 5.6.2)
	if want := strings.Repeat("0.", 26) + "1.1.shared"; d.Exchange != "celery_delayed_delivery" || d.RoutingKey != want {
		t.Errorf("it came by %s with the key %s, want %s", d.Exchange, d.RoutingKey, want)
	}
	ack(t, d)
	for level, want := range map[int]string{0: "expired", 1: "expired"} {
		deaths, _ := d.Headers["x-death"].([]any)
		found := slices.ContainsFunc(deaths, func(v any) bool {
			death, _ := v.(broker.Table)
			return death["queue"] == fmt.Sprintf("celery_delayed_%d", level) && death["reason"] == want
		})
		if !found || len(deaths) != 2 {
			t.Errorf("x-death = %v, want level %d %s", deaths, level, want)
		}
	}
}

func TestWhatCelerysQueuesCannotDelayTakesOurs(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	b, topic, queue := shared(t, url, broker.Topic)
	other, direct, second := shared(t, url, broker.Direct)
	for name, c := range map[string]struct {
		b     *amqp.Broker
		to    broker.Address
		queue string
		delay time.Duration
		by    string
	}{
		"less than a second": {b, broker.Address{Exchange: topic, RoutingKey: "shared"}, queue, 300 * time.Millisecond, "taskq.delay.exchange.300." + topic},
		"a queue":            {b, broker.Address{RoutingKey: queue}, queue, time.Second, "taskq.delay.queue.1000"},
		"a direct exchange":  {other, broker.Address{Exchange: direct, RoutingKey: "shared"}, second, time.Second, "taskq.delay.exchange.1000." + direct},
	} {
		if err := c.b.PublishDelayed(timeout(t, patience), c.to, broker.Message{}, c.delay); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		consumer := consume(t, c.b, 1, c.queue)
		d := next(t, consumer)
		if d.Headers["x-first-death-queue"] != c.by || d.Exchange != c.to.Exchange || d.RoutingKey != c.to.RoutingKey {
			t.Errorf("%s: it waited in %v and came by %q with the key %s, want %s and %+v", name, d.Headers["x-first-death-queue"], d.Exchange, d.RoutingKey, c.by, c.to)
		}
		ack(t, d)
		if err := consumer.Close(timeout(t, patience)); err != nil {
			t.Error(err)
		}
	}
}

func TestARoutingKeyThatDoesNotFitCelerysIsRefused(t *testing.T) {
	t.Parallel()
	b, exchange, _ := shared(t, testserver.AMQPVhost(t), broker.Topic)
	for bytes, fits := range map[int]bool{199: true, 200: false} {
		to := broker.Address{Exchange: exchange, RoutingKey: strings.Repeat("k", bytes)}
		err := b.PublishDelayed(timeout(t, patience), to, broker.Message{}, time.Hour)
		if fits && err != nil || !fits && (!errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), "which leaves 199")) {
			t.Errorf("a key of %d bytes: %v", bytes, err)
		}
	}
}
