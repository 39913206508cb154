package amqp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
)

// The broker's channel exceptions (403, 404, 405, 406). None ends a consumer or a publisher.

func survivesUnknownTag(t *testing.T, n *tenant) {
	b := open(t, n.config())
	queue, other := declared(t, b, broker.Queue{}), declared(t, b, broker.Queue{})
	c, undisturbed := consume(t, b, 2, queue), consume(t, b, 2, other)
	publish(t, b, queue, "m")
	publish(t, b, other, "o")
	old, running := next(t, c), next(t, undisturbed)
	// The broker closes the channel with 406, as it does when it is told to settle what it did not deliver.
	n.eval(`[rabbit_channel:do(proplists:get_value(channel_pid, C), {'basic.ack', 999, false}) || C <- rabbit_amqqueue:consumers_all(%[1]q),
		proplists:get_value(queue_name, C) =:= rabbit_misc:r(%[1]q, queue, <<%[2]q>>)]`, queue)
	n.log.await(1, "Consumer of queue lost", queue, "PRECONDITION_FAILED - unknown delivery tag 999")
	d := next(t, c)
	if string(d.Body) != "m" || !d.Redelivered {
		t.Errorf("delivery after the loss of the channel: %q, redelivered %v, want m again", d.Body, d.Redelivered)
	}
	if err := old.Settle(t.Context(), broker.Ack); !errors.Is(err, broker.ErrStale) {
		t.Errorf("ack of the delivery from before = %v, want %v", err, broker.ErrStale)
	}
	ack(t, d)
	ack(t, running) // its channel is another one
	eventually(t, "both messages are settled", func() bool { return n.unsettled() == 0 && n.ready() == 0 })
}

func consumesWhatOthersDeclared(t *testing.T, n *tenant) {
	b := open(t, n.config())
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	n.proxy.Refuse()
	direct := n.config()
	direct.URL = n.directly()
	other := open(t, direct)
	if err := other.DeleteQueue(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	theirs := broker.Queue{Name: queue, Arguments: broker.Table{"x-max-length": int32(7)}}
	if err := other.Declare(t.Context(), broker.Topology{Queues: []broker.Queue{theirs}}); err != nil {
		t.Fatal(err)
	}
	publish(t, other, queue, "m")
	n.proxy.Resume()
	ack(t, next(t, c))
	n.log.await(1, "Queue was declared differently by somebody else", "level=ERROR", queue)
}

func awaitsPermission(t *testing.T, n *tenant) {
	b := open(t, n.config())
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "before")
	ack(t, next(t, c))
	n.permit("nothing")
	n.proxy.Cut() // channels remember what they were permitted
	err := b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{})
	if !errors.Is(err, broker.ErrAccess) {
		t.Errorf("publish without permission = %v, want %v", err, broker.ErrAccess)
	}
	n.log.await(3, "Consumer of queue lost", queue, "ACCESS_REFUSED", "retry_in=")
	n.permit(".*")
	eventually(t, "publishing is permitted again", func() bool {
		return b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("after")}) == nil
	})
	if d := next(t, c); string(d.Body) != "after" {
		t.Errorf("body = %q, want after", d.Body)
	}
}

func awaitsLockedQueue(t *testing.T, n *tenant) {
	b := open(t, n.config())
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	n.proxy.Refuse()
	direct := n.config()
	direct.URL = n.directly()
	other, err := amqp.Open(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.DeleteQueue(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	locked := broker.Topology{Queues: []broker.Queue{{Name: queue, Exclusive: true}}}
	if err := other.Declare(t.Context(), locked); err != nil {
		t.Fatal(err)
	}
	n.proxy.Resume()
	n.log.await(3, "RESOURCE_LOCKED", queue)
	if err := other.Close(t.Context()); err != nil { // the queue goes with the connection
		t.Fatal(err)
	}
	eventually(t, "the queue is declared again", func() bool {
		return b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("m")}) == nil
	})
	ack(t, next(t, c))
}

func outlivesItsExchange(t *testing.T, n *tenant) {
	b := open(t, n.config())
	queue, exchange := declared(t, b, broker.Queue{}), "exchange-"+rand.Text()
	topology := broker.Topology{
		Exchanges: []broker.Exchange{{Name: exchange, Kind: broker.Fanout}},
		Bindings:  []broker.Binding{{Exchange: exchange, Queue: queue}},
	}
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() { // messages to queues go on all the while
		for i := 0; ctx.Err() == nil; i++ {
			if err := b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: fmt.Append(nil, i)}); err != nil {
				t.Errorf("publish %d to the queue: %v", i, err)
			}
		}
	})
	defer others.Wait()
	defer stop()
	send := func() error {
		return b.Publish(timeout(t, patience), broker.Address{Exchange: exchange}, broker.Message{})
	}
	if err := send(); err != nil {
		t.Errorf("publish to the exchange: %v", err)
	}
	n.eval(`rabbit_exchange:delete(rabbit_misc:r(%[1]q, exchange, <<%[2]q>>), false, <<"test">>)`, exchange)
	if err := send(); !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("publish to the deleted exchange = %v, want %v", err, broker.ErrUnroutable)
	}
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	if err := send(); err != nil {
		t.Errorf("publish to the exchange that is there again: %v", err)
	}
}

func losesOnlyTheOverdueQueue(t *testing.T, n *tenant) {
	n.server.Eval(`application:set_env(rabbit, channel_tick_interval, 100), application:set_env(rabbit, consumer_timeout, 1000)`)
	b := open(t, n.config())
	slow, quick := declared(t, b, broker.Queue{}), declared(t, b, broker.Queue{})
	c := consume(t, b, 4, slow, quick)
	n.server.Eval(`application:set_env(rabbit, consumer_timeout, 1800000)`)
	publish(t, b, slow, "slow")
	overdue := next(t, c)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var running *broker.Delivery // of the quick queue, replaced before it is overdue itself
	for n.log.count("delivery acknowledgement on channel") == 0 {
		publish(t, b, quick, "quick")
		d := next(t, c)
		if running != nil {
			ack(t, running)
		}
		running = d
		<-ticker.C
	}
	ack(t, running)
	if n.log.count("queue="+quick) > 0 {
		t.Error("the queue without an overdue delivery lost its channel too")
	}
	again := next(t, c)
	if again.Queue != slow || !again.Redelivered {
		t.Errorf("delivery of %s, redelivered %v, want the overdue one again", again.Queue, again.Redelivered)
	}
	if err := overdue.Settle(t.Context(), broker.Ack); !errors.Is(err, broker.ErrStale) {
		t.Errorf("ack of the overdue delivery = %v, want %v", err, broker.ErrStale)
	}
	ack(t, again)
	if n.log.count("Connection to broker lost") > 0 {
		t.Error("the connection was lost")
	}
}
