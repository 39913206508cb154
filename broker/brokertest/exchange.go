package brokertest

import (
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

func headersClaims() []claim {
	return []claim{
		{"HeadersExchangeRoutesByHeaders", routeHeaders},
		{"LinksAreKeptOrRefused", linksKeptOrRefused},
	}
}

// byHeaders declares a headers exchange with one queue for each table of arguments.
func (f *fixture) byHeaders(arguments ...broker.Table) (exchange string, queues []string) {
	f.Helper()
	exchange = f.name()
	topology := broker.Topology{Exchanges: []broker.Exchange{{Name: exchange, Kind: broker.Headers, AutoDelete: true}}}
	for _, args := range arguments {
		queue := f.name()
		queues = append(queues, queue)
		topology.Queues = append(topology.Queues, broker.Queue{Name: queue})
		topology.Bindings = append(topology.Bindings, broker.Binding{Exchange: exchange, Queue: queue, Arguments: args})
	}
	f.declare(topology)
	f.ok(f.Declare(f.Context(), topology), "declare again")
	return exchange, queues
}

func routeHeaders(f *fixture) {
	exchange, queues := f.byHeaders(
		broker.Table{"x-match": "all", "colour": "red", "size": int32(3)},
		broker.Table{"x-match": "any", "colour": "red", "size": int32(3)},
		broker.Table{"colour": nil},
		broker.Table{"x-match": "all", "x-mine": "ignored"},
		broker.Table{"x-match": "all-with-x", "x-mine": "counts"},
	)
	for _, headers := range []broker.Table{
		{"colour": "red", "size": int64(3), "other": true},
		{"colour": "red"},
		{"colour": "blue", "size": int32(4)},
		{"x-mine": "counts"},
	} {
		f.publishTo(broker.Address{Exchange: exchange, RoutingKey: "any"}, broker.Message{Headers: headers})
	}
	for i, want := range []int{1, 2, 3, 4, 1} {
		f.waiting(queues[i], want)
	}
}

func linksKeptOrRefused(f *fixture) {
	first, queues := f.bound(broker.Topic, []string{"a.#"})
	second := f.name()
	err := f.Declare(f.Context(), broker.Topology{
		Exchanges: []broker.Exchange{{Name: second, Kind: broker.Fanout, AutoDelete: true}},
		Links:     []broker.Link{{Source: second, Destination: first, Key: "ignored"}},
	})
	if err != nil {
		f.is(err, broker.ErrInvalid, "declare a link")
		return
	}
	f.publishTo(broker.Address{Exchange: second, RoutingKey: "a.b"}, broker.Message{})
	f.waiting(queues[0], 1)
}

func exchangeDelayClaims() []claim {
	return []claim{
		{"DelayedMessageGoesThroughADirectExchange", delayThrough(broker.Direct, "k", "k")},
		{"DelayedMessageGoesThroughATopicExchange", delayThrough(broker.Topic, "a.*", "a.b")},
		{"DelayedMessageGoesThroughAFanoutExchange", delayThrough(broker.Fanout, "", "any")},
		{"DelayedMessageGoesThroughAHeadersExchange", delayThroughHeaders},
		{"DelayedMessageNeedsItsExchange", delayNeedsExchange},
	}
}

func delayThrough(kind broker.ExchangeKind, binding, key string) func(*fixture) {
	return func(f *fixture) {
		exchange, queues := f.bound(kind, []string{binding})
		f.arrives(broker.Address{Exchange: exchange, RoutingKey: key}, nil, queues[0])
	}
}

func delayThroughHeaders(f *fixture) {
	exchange, queues := f.byHeaders(broker.Table{"x-match": "all", "colour": "red"}, broker.Table{"colour": "blue"})
	f.arrives(broker.Address{Exchange: exchange, RoutingKey: "any"}, broker.Table{"colour": "red"}, queues[0])
	f.waiting(queues[1], 0)
}

// arrives makes sure that a delayed message comes to the queue with its routing key, and not early.
func (f *fixture) arrives(to broker.Address, headers broker.Table, queue string) {
	f.Helper()
	c := f.consume(f, 1, queue)
	start := time.Now()
	f.ok(f.PublishDelayed(f.Context(), to, broker.Message{Body: []byte("later"), Headers: headers}, delay), "publish delayed")
	d := f.nextBody(c, "later")
	f.notEarly(start)
	if d.RoutingKey != to.RoutingKey {
		f.Errorf("routing key = %q, want %q", d.RoutingKey, to.RoutingKey)
	}
	f.settle(d, broker.Ack)
	f.none(c)
}

func delayNeedsExchange(f *fixture) {
	err := f.PublishDelayed(f.Context(), broker.Address{Exchange: f.name(), RoutingKey: "k"}, broker.Message{}, delay)
	f.is(err, broker.ErrUnroutable, "delay for a missing exchange")
}
