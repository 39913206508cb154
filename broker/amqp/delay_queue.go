package amqp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
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
//	taskq.delay.queue.<ms>        → taskq.delay.due, direct → the queue, bound by its name
//	taskq.delay.exchange.<ms>.<x> → taskq.delay.due.<x>, fanout → taskq.delay.taken, a queue that keeps nothing
//	                                                            → taskq.delay.back.<x>, fanout → the exchange x
//	taskq.delay.due and taskq.delay.back.<x>: else → taskq.delay.lost, fanout → the queue of that name
//
// A worker in Python sends a retry to where its message came from: taskq.delay.due or taskq.delay.due.<x>. It arrives.
const (
	delayPrefix     = "taskq.delay."
	delayToQueue    = delayPrefix + "queue."    // exchange and queue, followed by milliseconds
	delayToExchange = delayPrefix + "exchange." // likewise, then the exchange
	delayDue        = delayPrefix + "due"
	delayBack       = delayPrefix + "back."
	delayTaken      = delayPrefix + "taken"
	delayExchanges  = delayPrefix + "exchanges" // holds the names of the exchanges that messages were delayed for: nobody could list them else

	// LostQueue holds the messages whose queue or exchange did not exist when their time came. When it is declared again, they go on.
	LostQueue = delayPrefix + "lost"

	argAlternate = "alternate-exchange"
)

// delayQueue is one of the delay queues.
type delayQueue struct {
	delay    time.Duration
	exchange string // where its messages go; "": to the queue named by their routing key
}

func (q delayQueue) name() string {
	ms := strconv.FormatInt(q.delay.Milliseconds(), 10)
	if q.exchange == "" {
		return delayToQueue + ms
	}
	return delayToExchange + ms + "." + q.exchange
}

// due is the exchange that messages go through whose time has come.
func (q delayQueue) due() string {
	if q.exchange == "" {
		return delayDue
	}
	return delayDue + "." + q.exchange
}

// sentTo is the exchange that a message was published to which comes by the given one: another when it was delayed.
func sentTo(exchange string) string {
	if to, delayed := strings.CutPrefix(exchange, delayDue+"."); delayed {
		return to
	}
	if exchange == delayDue {
		return ""
	}
	return exchange
}

// queue has no x-expires: RabbitMQ would delete it with its messages when nothing but publishing happened on it.
func (q delayQueue) queue() broker.Queue {
	queue := lookedAt(q.name())
	queue.Arguments[broker.ArgMessageTTL] = q.delay.Milliseconds()
	queue.Arguments[broker.ArgDeadLetterExchange] = q.due()
	queue.Arguments["x-dead-letter-strategy"] = "at-least-once"
	queue.Arguments["x-overflow"] = "reject-publish" // as that strategy demands
	return queue
}

// lookedAt is a queue for people to look at, which counts as delivering: RabbitMQ 4 would drop its messages after twenty looks.
func lookedAt(name string) broker.Queue {
	return broker.Queue{Name: name, Type: broker.Quorum, Arguments: broker.Table{broker.ArgDeliveryLimit: int32(math.MaxInt32)}}
}

// topology is the queue, and what its messages go through.
func (q delayQueue) topology() broker.Topology {
	queue, lost := q.queue(), lookedAt(LostQueue)
	t := broker.Topology{
		Exchanges: []broker.Exchange{{Name: lost.Name, Kind: broker.Fanout}, {Name: queue.Name, Kind: broker.Fanout}},
		Queues:    []broker.Queue{lost, queue},
		Bindings:  []broker.Binding{{Exchange: lost.Name, Queue: lost.Name}, {Exchange: queue.Name, Queue: queue.Name}},
	}
	if q.exchange == "" {
		t.Exchanges = append(t.Exchanges, dueExchange())
		return t
	}
	taken := broker.Queue{Name: delayTaken, Type: broker.Quorum, Arguments: broker.Table{"x-max-length": int32(0)}}
	t.Exchanges = append(t.Exchanges, broker.Exchange{Name: q.due(), Kind: broker.Fanout}, backExchange(q.exchange))
	t.Queues = append(t.Queues, taken)
	t.Bindings = append(t.Bindings, broker.Binding{Exchange: q.due(), Queue: taken.Name})
	t.Links = append(t.Links, broker.Link{Source: q.due(), Destination: delayBack + q.exchange})
	return t
}

func dueExchange() broker.Exchange {
	return broker.Exchange{Name: delayDue, Kind: broker.Direct, Arguments: broker.Table{argAlternate: LostQueue}}
}

func backExchange(to string) broker.Exchange {
	return broker.Exchange{Name: delayBack + to, Kind: broker.Fanout, Arguments: broker.Table{argAlternate: LostQueue}}
}

// register notes once that messages are delayed for an exchange.
func (b *Broker) register(ctx context.Context, q delayQueue) error {
	part := delayExchanges + "." + q.exchange
	if q.exchange == "" || b.parking.has(part) || !b.cfg.Declare.Creates() {
		return nil
	}
	longest := delayQueue{delay: parkLongest, exchange: q.exchange}
	if err := checkShort("exchange that messages are delayed for, with the name of its delay queue,", longest.name()); err != nil {
		return err
	}
	if err := b.declareOnce(ctx, delayExchanges, broker.Topology{Queues: []broker.Queue{lookedAt(delayExchanges)}}); err != nil {
		return err
	}
	return b.parking.once(ctx, func() bool { return b.parking.has(part) }, func() error {
		known, err := b.delayedExchanges(ctx)
		if err == nil && !slices.Contains(known, q.exchange) {
			err = b.Publish(ctx, broker.Address{RoutingKey: delayExchanges}, broker.Message{Body: []byte(q.exchange)})
		}
		if err != nil {
			return fmt.Errorf("amqp: note that messages are delayed for exchange %q: %w", q.exchange, err)
		}
		b.parking.add(part)
		return nil
	})
}

// delayedExchanges are those that messages were delayed for, each once.
func (b *Broker) delayedExchanges(ctx context.Context) ([]string, error) {
	var names []string
	_, err := b.sift(ctx, []string{delayExchanges}, func(_ string, d *arrival) (remove, more bool) {
		name := string(d.body)
		twice := slices.Contains(names, name) // two noted it at the same time
		if !twice {
			names = append(names, name)
		}
		return twice, true
	})
	return names, err
}

// wayBack makes sure that a destination exists and that what is parked for it comes back: that is bound to one of our exchanges, as far
// as anything may be declared here. It is done again from time to time, as both may be deleted and made anew.
func (b *Broker) wayBack(ctx context.Context, d destination) error {
	if d.exchange != "" {
		err := b.Declare(ctx, broker.Topology{Exchanges: []broker.Exchange{{Name: d.exchange}}, Passive: true})
		if err != nil || !b.cfg.Declare.Creates() {
			return err
		}
		return b.bindDue(ctx, d, broker.Topology{
			Exchanges: []broker.Exchange{backExchange(d.exchange)},
			Links:     []broker.Link{{Source: delayBack + d.exchange, Destination: d.exchange}},
		})
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
		Bindings:  []broker.Binding{{Exchange: delayDue, Queue: queue, Key: queue}},
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
	n, err := b.sift(ctx, []string{LostQueue}, func(_ string, lost *arrival) (remove, more bool) {
		exchange := sentTo(lost.exchange()) // it keeps the one that it first went through
		p := parkedMessage(exchange, lost)
		if destinationOf(p.To) != d {
			return false, true
		}
		p.To.Optional = exchange != "" // as it had been, had it been on time
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
				b.cfg.Logger.WarnContext(ctx, "Queues cannot be bound to "+delayDue+": tasks that are delayed for them may get lost in "+LostQueue, "error", err)
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
