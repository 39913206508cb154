package amqp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// Delayed messages wait in one queue per delay, whose messages expire after exactly that time and go back, through the default
// exchange, to the queue that their routing key names. One delay per queue, because RabbitMQ expires messages at the head only. They
// are quorum queues, which keep a message until its destination has confirmed it. A classic one forgets it at once: then it is lost
// while the destination has no leader, as right after a restart, or when the server dies before the destination has written it.
const (
	parkPrefix = "taskq.delay."         // exchange and queue, followed by milliseconds
	parkQuorum = parkPrefix + "quorum." // likewise, for quorum queues

	parkStep    = 100 * time.Millisecond // the grid of short delays, which round up to it
	parkExact   = 5 * time.Second        // up to here
	parkFine    = 20 * time.Second       // then whole seconds up to here, then parkGrowth
	parkGrowth  = 1.1
	parkLongest = 14 * 24 * time.Hour

	// parkTrust is how long a destination is believed to exist after it was seen.
	parkTrust = time.Minute
)

// delayQueue is one of the delay queues: its delay.
type delayQueue time.Duration

// parking remembers which delay queues were declared and which destinations were seen.
type parking struct {
	mu       sync.Mutex
	declared map[delayQueue]bool
	seen     map[string]time.Time
}

// PublishDelayed implements broker.Delayer for the default exchange; another exchange is ErrInvalid, since the message could not
// keep both its way there and its routing key. Up to 5 s the message comes on time or up to 100 ms late; a longer delay waits in
// the longest delay queue that is not longer, and comes early: the receiver parks it again for the rest. The expiration of msg does
// not pass the delay queue. ErrUnroutable when the queue does not exist; that error wraps ErrNoQueue, too, when it is the delay queue
// that is missing and Config.Declare does not let it be declared.
func (b *Broker) PublishDelayed(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	if delay <= 0 {
		return b.Publish(ctx, to, msg)
	}
	if to.Exchange != "" {
		return invalid("delayed message", "it must go to a queue through the default exchange; publish it there with the queue's name as routing key")
	}
	if err := checkName("queue name", to.RoutingKey); err != nil {
		return err
	}
	if to.FailFast {
		if err := b.Probe(); err != nil {
			return err
		}
	}
	if err := b.checkDestination(ctx, to); err != nil {
		return err
	}
	via := delayQueue(parkBucket(delay))
	msg.Expiration = 0 // would end the delay early
	parked := broker.Address{Exchange: via.name(), RoutingKey: to.RoutingKey, FailFast: to.FailFast}
	for again := false; ; again = true {
		if err := b.declareParking(ctx, via); err != nil {
			return err
		}
		err := b.Publish(ctx, parked, msg)
		if !b.cfg.Declare.Creates() && errors.Is(err, broker.ErrUnroutable) {
			return noParking(via, b.endpoints[0].vhost, b.cfg.Declare)
		}
		if again || !errors.Is(err, broker.ErrUnroutable) {
			return err
		}
		b.parking.forget(via) // somebody deleted the delay queue
	}
}

// parkBucket is the delay queue for a delay: rounded up to the grid when short, else the longest one that is not longer.
func parkBucket(delay time.Duration) time.Duration {
	switch {
	case delay <= parkExact:
		return (delay + parkStep - 1).Truncate(parkStep)
	case delay < parkFine+time.Second:
		return min(delay.Truncate(time.Second), parkFine)
	}
	bucket := parkFine
	for {
		next := time.Duration(float64(bucket) * parkGrowth).Truncate(time.Second)
		if next > delay || next > parkLongest {
			return bucket
		}
		bucket = next
	}
}

func (q delayQueue) milliseconds() int64 { return time.Duration(q).Milliseconds() }

func (q delayQueue) name() string { return parkPrefix + strconv.FormatInt(q.milliseconds(), 10) }

func (q delayQueue) topology() broker.Topology {
	queue := broker.Queue{Name: q.name(), Type: broker.Quorum, Arguments: broker.Table{
		broker.ArgMessageTTL:         q.milliseconds(),
		broker.ArgDeadLetterExchange: "",
		"x-dead-letter-strategy":     "at-least-once",
		"x-overflow":                 "reject-publish", // as that strategy demands
	}}
	return broker.Topology{
		Exchanges: []broker.Exchange{{Name: queue.Name, Kind: broker.Fanout}},
		Queues:    []broker.Queue{queue},
		Bindings:  []broker.Binding{{Exchange: queue.Name, Queue: queue.Name}},
	}
}

// declareParking declares the delay queue once. It has no x-expires: RabbitMQ would delete it with its messages when nothing but
// publishing happened on it.
func (b *Broker) declareParking(ctx context.Context, q delayQueue) error {
	if b.parking.has(q) || !b.cfg.Declare.Creates() {
		return nil
	}
	topology := q.topology()
	vhost := b.endpoints[0].vhost
	err := b.request(ctx, b.requests(), func(ch *amqp091.Channel) error { return declareOn(ch, topology, vhost) })
	if err != nil {
		return fmt.Errorf("amqp: delay message: %w", err)
	}
	b.parking.add(q)
	return nil
}

// noParking says which delay queue is missing, and how to make it.
func noParking(q delayQueue, vhost string, mode broker.DeclareMode) error {
	args := q.topology().Queues[0].WireArguments()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		list = append(list, fmt.Sprintf("%s=%#v", name, args[name]))
	}
	return fmt.Errorf("amqp: delay message: %w: %w: the delay queue %q is missing in vhost %q and declare is %s; create a durable fanout exchange and "+
		"a durable queue of that name, the queue with the arguments %s, and bind one to the other, "+
		"or delay once for %s with declare=auto as a user who may", broker.ErrUnroutable, broker.ErrNoQueue, q.name(), vhost, mode,
		strings.Join(list, ", "), time.Duration(q))
}

// checkDestination looks whether the queue exists: after the delay, a message to a missing queue would vanish without a word.
func (b *Broker) checkDestination(ctx context.Context, to broker.Address) error {
	if to.Optional || b.parking.isTrusted(to.RoutingKey) {
		return nil
	}
	_, err := b.Measure(ctx, to.RoutingKey)
	if errors.Is(err, broker.ErrNoQueue) {
		return fmt.Errorf("amqp: delay message for queue %q: %w", to.RoutingKey, broker.ErrUnroutable)
	}
	if err != nil && !errors.Is(err, broker.ErrAccess) { // exclusive to another connection: it exists
		return err
	}
	b.parking.trust(to.RoutingKey)
	return nil
}

func (p *parking) has(q delayQueue) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.declared[q]
}

func (p *parking) add(q delayQueue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.declared == nil {
		p.declared = map[delayQueue]bool{}
	}
	p.declared[q] = true
}

func (p *parking) forget(q delayQueue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.declared, q)
}

func (p *parking) isTrusted(queue string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, ok := p.seen[queue]
	return ok && time.Since(seen) < parkTrust
}

func (p *parking) trust(queue string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil || len(p.seen) >= 1000 { // names of reply queues would add up
		p.seen = map[string]time.Time{}
	}
	p.seen[queue] = time.Now()
}
