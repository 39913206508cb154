package amqp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// Delayed messages wait in one queue per delay, whose messages expire after exactly that time. One delay per queue, because RabbitMQ
// expires messages at the head only. They are quorum queues, which keep a message until its destination has confirmed it. A classic one
// forgets it at once: then it is lost while the destination has no leader, as right after a restart, or when the server dies before
// the destination has written it.
//
// Such a queue stops after 32 messages that nobody takes, and so do all others that wait in it. Therefore everything that leaves it
// goes through exchanges of our own, where somebody takes it always: what is bound there, or LostQueue.
//
//	taskq.delay.queue.<ms>    → taskq.delay.due, direct → the queue, bound by its name
//	taskq.delay.exchange.<ms> → taskq.delay.due.all, fanout → taskq.delay.taken, a queue that keeps nothing
//	                                                        → taskq.delay.due.exchange, by header → the exchange
//	taskq.delay.due and taskq.delay.due.exchange: else → taskq.delay.lost, fanout → the queue of that name
const (
	delayPrefix     = "taskq.delay."
	delayToQueue    = delayPrefix + "queue."    // exchange and queue, followed by milliseconds
	delayToExchange = delayPrefix + "exchange." // likewise
	dueQueues       = delayPrefix + "due"
	dueAll          = delayPrefix + "due.all"
	dueExchanges    = delayPrefix + "due.exchange"
	delayTaken      = delayPrefix + "taken"

	// LostQueue holds the messages whose queue or exchange did not exist when their time came. When it is declared again, they go on.
	LostQueue = delayPrefix + "lost"

	argAlternate = "alternate-exchange"
)

// delayQueue is one of the delay queues.
type delayQueue struct {
	delay      time.Duration
	toExchange bool // its messages go to the exchange that they name, else to the queue named by their routing key
}

func (q delayQueue) name() string {
	prefix := delayToQueue
	if q.toExchange {
		prefix = delayToExchange
	}
	return prefix + strconv.FormatInt(q.delay.Milliseconds(), 10)
}

// queue has no x-expires: RabbitMQ would delete it with its messages when nothing but publishing happened on it. The delivery limit is
// for those who look at what is parked: RabbitMQ 4 would drop it after twenty looks.
func (q delayQueue) queue() broker.Queue {
	next := dueQueues
	if q.toExchange {
		next = dueAll
	}
	return broker.Queue{Name: q.name(), Type: broker.Quorum, Arguments: broker.Table{
		broker.ArgMessageTTL:         q.delay.Milliseconds(),
		broker.ArgDeadLetterExchange: next,
		broker.ArgDeliveryLimit:      int32(math.MaxInt32),
		"x-dead-letter-strategy":     "at-least-once",
		"x-overflow":                 "reject-publish", // as that strategy demands
	}}
}

// topology is the queue, and what its messages go through.
func (q delayQueue) topology() broker.Topology {
	queue := q.queue()
	lost := broker.Queue{Name: LostQueue, Type: broker.Quorum, Arguments: broker.Table{broker.ArgDeliveryLimit: int32(math.MaxInt32)}}
	t := broker.Topology{
		Exchanges: []broker.Exchange{{Name: LostQueue, Kind: broker.Fanout}, dueExchange(), {Name: queue.Name, Kind: broker.Fanout}},
		Queues:    []broker.Queue{lost, queue},
		Bindings:  []broker.Binding{{Exchange: lost.Name, Queue: lost.Name}, {Exchange: queue.Name, Queue: queue.Name}},
	}
	if q.toExchange {
		t.Exchanges = append(t.Exchanges, byExchange(), broker.Exchange{Name: dueAll, Kind: broker.Fanout})
		t.Queues = append(t.Queues, broker.Queue{Name: delayTaken, Type: broker.Quorum, Arguments: broker.Table{"x-max-length": int32(0)}})
		t.Bindings = append(t.Bindings, broker.Binding{Exchange: dueAll, Queue: delayTaken})
		t.Links = append(t.Links, broker.Link{Source: dueAll, Destination: dueExchanges})
	}
	return t
}

func dueExchange() broker.Exchange {
	return broker.Exchange{Name: dueQueues, Kind: broker.Direct, Arguments: broker.Table{argAlternate: LostQueue}}
}

func byExchange() broker.Exchange {
	return broker.Exchange{Name: dueExchanges, Kind: broker.Headers, Arguments: broker.Table{argAlternate: LostQueue}}
}

// wayBack makes sure that a destination exists and that what is parked for it comes back: that is bound to one of our exchanges, as far
// as anything may be declared here. It is done again from time to time, as both may be deleted and made anew.
func (b *Broker) wayBack(ctx context.Context, d destination) error {
	if d.exchange != "" {
		err := b.Declare(ctx, broker.Topology{Exchanges: []broker.Exchange{{Name: d.exchange}}, Passive: true})
		if err != nil || !b.cfg.Declare.Creates() {
			return err
		}
		return b.bindDue(ctx, d, broker.Topology{Exchanges: []broker.Exchange{byExchange()}, Links: []broker.Link{{
			Source: dueExchanges, Destination: d.exchange,
			Arguments: broker.Table{"x-match": "all-with-x", headerExchange: d.exchange},
		}}})
	}
	if b.cfg.Declare.Creates() {
		return b.bindDue(ctx, d, wayToQueue(d.queue))
	}
	_, err := b.Measure(ctx, d.queue)
	if errors.Is(err, broker.ErrAccess) { // exclusive to another connection: it exists
		return nil
	}
	return err
}

func wayToQueue(queue string) broker.Topology {
	return broker.Topology{
		Exchanges: []broker.Exchange{dueExchange()},
		Bindings:  []broker.Binding{{Exchange: dueQueues, Queue: queue, Key: queue}},
	}
}

// bindDue binds a destination, and sends on what was lost while it was missing.
func (b *Broker) bindDue(ctx context.Context, d destination, topology broker.Topology) error {
	link, vhost := b.requests(), b.endpoints[0].vhost
	if d.queue != "" && b.topology.queue(d.queue).Exclusive {
		link = b.consuming
	}
	if err := b.request(ctx, link, func(ch *amqp091.Channel) error { return declareOn(ch, topology, vhost) }); err != nil {
		return err
	}
	if err := b.sendOn(ctx, d); err != nil { // they stay where they are, and somebody tries again
		b.cfg.Logger.WarnContext(ctx, "Lost messages could not be sent on", "destination", d.String(), "error", err)
	}
	return nil
}

// sendOn sends on what was lost while the destination was missing.
func (b *Broker) sendOn(ctx context.Context, d destination) error {
	stats, err := b.Measure(ctx, LostQueue)
	if errors.Is(err, broker.ErrNoQueue) || err == nil && stats.Messages == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var failed error
	n, err := b.sift(ctx, []string{LostQueue}, func(p broker.Parked) (remove, more bool) {
		if destinationOf(p.To) != d {
			return false, true
		}
		p.To.Optional = d.exchange != ""
		failed = b.Publish(ctx, p.To, p.Message)
		return failed == nil, failed == nil
	})
	if n > 0 {
		b.cfg.Logger.InfoContext(ctx, "Lost messages were sent on", "destination", d.String(), "messages", n)
	}
	return errors.Join(failed, err)
}

// expectDelayed binds queues that were just declared, so that what is parked for them comes back, also when the queue was deleted and is
// made anew. Somebody without permission for that can work without it.
func (b *Broker) expectDelayed(ctx context.Context, topology broker.Topology) error {
	if topology.Passive || !b.cfg.Declare.Creates() {
		return nil
	}
	for _, q := range topology.Queues {
		_, expires := q.Arguments[broker.ArgExpires]
		if q.Exclusive || q.AutoDelete || q.Transient || expires || strings.HasPrefix(q.Name, delayPrefix) {
			continue
		}
		way := wayToQueue(q.Name)
		err := b.bindDue(ctx, destination{queue: q.Name}, way)
		if errors.Is(err, broker.ErrAccess) {
			b.parking.warnOnce(func() {
				b.cfg.Logger.WarnContext(ctx, "Queues cannot be bound to "+dueQueues+": tasks that are delayed for them may get lost in "+LostQueue, "error", err)
			})
			return nil
		}
		if err != nil {
			return fmt.Errorf("amqp: bind queue %q for delayed messages: %w", q.Name, err)
		}
		b.topology.remember(way)
	}
	return nil
}

func (p *parking) warnOnce(warn func()) {
	p.mu.Lock()
	first := !p.warned
	p.warned = true
	p.mu.Unlock()
	if first {
		warn()
	}
}
