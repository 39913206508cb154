package brokertest

import (
	"strings"

	"github.com/seed-399731e2/taskq/broker"
)

func publishClaims() []claim {
	return []claim{
		{"DefaultExchangeRoutesByQueueName", routeDefault},
		{"DirectExchangeRoutesByKey", routeDirect},
		{"FanoutExchangeRoutesToAll", routeFanout},
		{"TopicExchangeRoutesByPattern", routeTopic},
		{"QueueBoundTwiceGetsOneCopy", routeOnce},
		{"UnroutableIsAnErrorUnlessOptional", publishUnroutable},
		{"MissingExchangeIsAnErrorAndPublishingGoesOn", publishMissingExchange},
		{"PublishedMessageOutlivesItsPublisher", publishSurvives},
		{"WhatTheWireCannotCarryIsInvalid", publishInvalid},
		{"DeliversInTheOrderOfPublishing", publishOrder},
	}
}

func routeDefault(f *fixture) {
	one, two := f.queue(broker.Queue{}), f.queue(broker.Queue{})
	f.publish(one, "for one")
	f.waiting(one, 1)
	f.waiting(two, 0)
	d := f.nextBody(f.consume(f, 1, one), "for one")
	if d.Queue != one || d.Exchange != "" || d.RoutingKey != one {
		f.Errorf("queue, exchange, key = %q, %q, %q, want %q, \"\", %q", d.Queue, d.Exchange, d.RoutingKey, one, one)
	}
}

// bound declares an exchange of the kind with one queue for each list of keys, and returns the names.
func (f *fixture) bound(kind broker.ExchangeKind, keys ...[]string) (exchange string, queues []string) {
	f.Helper()
	exchange = f.name()
	topology := broker.Topology{Exchanges: []broker.Exchange{{Name: exchange, Kind: kind, AutoDelete: true}}}
	for _, ofQueue := range keys {
		queue := f.name()
		queues = append(queues, queue)
		topology.Queues = append(topology.Queues, broker.Queue{Name: queue})
		for _, key := range ofQueue {
			topology.Bindings = append(topology.Bindings, broker.Binding{Exchange: exchange, Queue: queue, Key: key})
		}
	}
	f.declare(topology)
	return exchange, queues
}

func routeDirect(f *fixture) {
	exchange, queues := f.bound(broker.Direct, []string{"red", "green"}, []string{"green"})
	for _, key := range []string{"red", "green"} {
		f.publishTo(broker.Address{Exchange: exchange, RoutingKey: key}, broker.Message{Body: []byte(key)})
	}
	f.waiting(queues[0], 2)
	f.waiting(queues[1], 1)
	d := f.nextBody(f.consume(f, 1, queues[1]), "green")
	if d.Exchange != exchange || d.RoutingKey != "green" {
		f.Errorf("exchange, key = %q, %q, want %q, green", d.Exchange, d.RoutingKey, exchange)
	}
}

func routeFanout(f *fixture) {
	exchange, queues := f.bound(broker.Fanout, []string{""}, []string{"ignored"})
	f.publishTo(broker.Address{Exchange: exchange, RoutingKey: "any"}, broker.Message{})
	f.waiting(queues[0], 1)
	f.waiting(queues[1], 1)
}

func routeTopic(f *fixture) {
	exchange, queues := f.bound(broker.Topic, []string{"task.*.done"}, []string{"task.#"}, []string{"#.done"})
	for _, key := range []string{"task.a.done", "task", "task.a.b.done", "done"} {
		f.publishTo(broker.Address{Exchange: exchange, RoutingKey: key}, broker.Message{})
	}
	f.waiting(queues[0], 1)
	f.waiting(queues[1], 3)
	f.waiting(queues[2], 3)
}

func routeOnce(f *fixture) {
	exchange, queues := f.bound(broker.Topic, []string{"a.*", "*.b"})
	f.publishTo(broker.Address{Exchange: exchange, RoutingKey: "a.b"}, broker.Message{Body: []byte("once")})
	c := f.consume(f, 5, queues[0])
	f.settle(f.nextBody(c, "once"), broker.Ack)
	f.none(c)
}

func publishUnroutable(f *fixture) {
	exchange, _ := f.bound(broker.Direct, []string{"bound"})
	for _, to := range []broker.Address{{RoutingKey: f.name()}, {Exchange: exchange, RoutingKey: "not bound"}} {
		f.is(f.Publish(f.Context(), to, broker.Message{}), broker.ErrUnroutable, "publish to nowhere")
		to.Optional = true
		if err := f.Publish(f.Context(), to, broker.Message{}); err != nil {
			f.Errorf("publish optionally to nowhere: %v", err)
		}
	}
}

func publishMissingExchange(f *fixture) {
	queue := f.queue(broker.Queue{})
	to := broker.Address{Exchange: f.name(), RoutingKey: queue}
	f.is(f.Publish(f.Context(), to, broker.Message{}), broker.ErrUnroutable, "publish to a missing exchange")
	f.publish(queue, "goes on")
	f.waiting(queue, 1)
}

func publishSurvives(f *fixture) {
	queue := f.queue(broker.Queue{})
	publisher := f.open()
	if err := publisher.Publish(f.Context(), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("kept")}); err != nil {
		f.Fatalf("publish: %v", err)
	}
	if err := publisher.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	f.settle(f.nextBody(f.consume(f, 1, queue), "kept"), broker.Ack)
}

func publishInvalid(f *fixture) {
	queue := f.queue(broker.Queue{})
	long := broker.Address{RoutingKey: strings.Repeat("k", 256)}
	f.is(f.Publish(f.Context(), long, broker.Message{}), broker.ErrInvalid, "publish with a routing key of 256 bytes")
	for _, bad := range []any{struct{}{}, uint64(1), int64(-1), []any{make(chan int)}, broker.Table{"deep": complex(1, 1)}} {
		msg := broker.Message{Headers: broker.Table{"bad": bad}}
		f.is(f.Publish(f.Context(), broker.Address{RoutingKey: queue}, msg), broker.ErrInvalid, "publish a bad header")
	}
	f.waiting(queue, 0)
}

func publishOrder(f *fixture) {
	queue := f.queue(broker.Queue{})
	bodies := strings.Split("abcdefghijklmnopqrst", "")
	f.publish(queue, bodies...)
	c := f.consume(f, 3, queue)
	for _, body := range bodies {
		f.settle(f.nextBody(c, body), broker.Ack)
	}
}
