package amqp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

const (
	parkStep    = 100 * time.Millisecond // the grid of short delays, which round up to it
	parkExact   = 5 * time.Second        // up to here
	parkFine    = 20 * time.Second       // then whole seconds up to here, then parkGrowth
	parkGrowth  = 1.1
	parkLongest = 14 * 24 * time.Hour

	// parkTrust is how long a destination is believed to exist after it was seen.
	parkTrust = time.Minute
	// parkRefusals is how often a message is offered again that a delay queue has refused.
	parkRefusals = 10
)

// headerDue says when a parked message is due, in Unix milliseconds. It does not leave this package.
const headerDue = "x-taskq-due"

// destination is where a parked message goes: a queue, or an exchange.
type destination struct{ queue, exchange string }

func destinationOf(to broker.Address) destination {
	if to.Exchange != "" {
		return destination{exchange: to.Exchange}
	}
	return destination{queue: to.RoutingKey}
}

func (d destination) String() string {
	if d.exchange != "" {
		return fmt.Sprintf("exchange %q", d.exchange)
	}
	return fmt.Sprintf("queue %q", d.queue)
}

// parking remembers what was declared for delays and which destinations were seen.
type parking struct {
	turn chan struct{} // held by whoever asks the broker for something, of which one is enough

	mu       sync.Mutex
	declared map[string]bool // by delay queue, or celeryDelivery
	seen     map[destination]time.Time
	kinds    map[string]broker.ExchangeKind // of exchanges, for Celery's topology
	warned   bool                           // that queues cannot be bound
}

// PublishDelayed implements broker.Delayer. Up to 5 s the message comes on time or up to 100 ms late; a longer delay waits in the
// longest delay queue that is not longer, and comes early: the receiver parks it again for the rest. The expiration of msg does not
// pass the delay queue. ErrUnroutable when the queue or the exchange does not exist; that error wraps ErrNoQueue, too, when it is the
// delay queue that is missing and Config.Declare does not let it be declared. A message whose queue or exchange is gone when its time
// comes goes to the queue LostQueue; one to an exchange where no queue takes it then vanishes.
func (b *Broker) PublishDelayed(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	if delay <= 0 {
		return b.Publish(ctx, to, msg)
	}
	if to.Exchange == "" {
		if err := checkName("queue name", to.RoutingKey); err != nil {
			return err
		}
	}
	msg.Expiration = 0 // would end the delay early
	if _, err := encode(to, msg, b.cfg.MaxBody); err != nil {
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
	celery, err := b.celeryTakes(ctx, to, delay)
	if err != nil {
		return err
	}
	if celery {
		return b.parkWithCelery(ctx, to, msg, delay)
	}
	return b.park(ctx, to, msg, delay)
}

// park puts the message into the delay queue for its delay.
func (b *Broker) park(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	via := delayQueue{delay: parkBucket(delay), exchange: to.Exchange}
	if err := b.register(ctx, via); err != nil {
		return err
	}
	headers := maps.Clone(msg.Headers)
	if headers == nil {
		headers = broker.Table{}
	}
	headers[headerDue] = time.Now().Add(via.delay).UnixMilli()
	msg.Headers = headers
	parked := broker.Address{Exchange: via.name(), RoutingKey: to.RoutingKey, FailFast: to.FailFast}
	err := b.publishInto(ctx, parked, msg, via.name(), via.topology())
	if !b.cfg.Declare.Creates() && errors.Is(err, broker.ErrUnroutable) {
		return noParking(via, b.endpoints[0].vhost, b.cfg.Declare)
	}
	return err
}

// publishInto publishes to a part of the topology of delays, which is declared before, and once more if somebody has deleted it. These
// queues have no limit: one that refuses a message has no leader yet, as right after it was declared, and takes it a moment later.
func (b *Broker) publishInto(ctx context.Context, to broker.Address, msg broker.Message, part string, topology broker.Topology) error {
	for again, refusals := false, 0; ; {
		if err := b.declareOnce(ctx, part, topology); err != nil {
			return err
		}
		err := b.Publish(ctx, to, msg)
		switch {
		case errors.Is(err, broker.ErrUnroutable) && !again && b.cfg.Declare.Creates():
			again = true
			b.parking.forget(part)
		case errors.Is(err, broker.ErrRefused) && refusals < parkRefusals && !to.FailFast && wait(ctx, b.backoff(refusals)):
			refusals++
		default:
			return err
		}
	}
}

// declareOnce declares a part of the topology of delays, unless this was done before or must not be done.
func (b *Broker) declareOnce(ctx context.Context, part string, topology broker.Topology) error {
	done := func() bool { return b.parking.has(part) || !b.cfg.Declare.Creates() }
	return b.parking.once(ctx, done, func() error {
		vhost := b.endpoints[0].vhost
		err := b.request(ctx, b.requests(), func(ch *amqp091.Channel) error { return declareOn(ch, topology, vhost) })
		if err != nil {
			return fmt.Errorf("amqp: delay message: %w", err)
		}
		b.parking.add(part)
		return nil
	})
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
		next := nextBucket(bucket)
		if next > delay || next > parkLongest {
			return bucket
		}
		bucket = next
	}
}

// nextBucket is the bucket after one.
func nextBucket(bucket time.Duration) time.Duration {
	switch {
	case bucket < parkExact:
		return bucket + parkStep
	case bucket < parkFine:
		return bucket + time.Second
	}
	return time.Duration(float64(bucket) * parkGrowth).Truncate(time.Second)
}

// noParking says which delay queue is missing, and how to make it.
func noParking(q delayQueue, vhost string, mode broker.DeclareMode) error {
	args := q.queue().WireArguments()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		list = append(list, fmt.Sprintf("%s=%#v", name, args[name]))
	}
	return fmt.Errorf("amqp: delay message: %w: %w: the delay queue %q is missing in vhost %q and declare is %s; create a durable fanout exchange and "+
		"a durable queue of that name, the queue with the arguments %s, bind one to the other, and what they lead to, "+
		"or delay once for %s with declare=auto as a user who may", broker.ErrUnroutable, broker.ErrNoQueue, q.name(), vhost, mode,
		strings.Join(list, ", "), q.delay)
}

// checkDestination makes sure that the destination exists and that parked messages find back to it.
func (b *Broker) checkDestination(ctx context.Context, to broker.Address) error {
	d := destinationOf(to)
	err := b.parking.once(ctx, func() bool { return b.parking.isTrusted(d) }, func() error {
		err := b.wayBack(ctx, d)
		if err == nil {
			b.parking.trust(d)
		}
		return err
	})
	if errors.Is(err, broker.ErrNoQueue) || errors.Is(err, broker.ErrUnroutable) {
		if to.Optional {
			return nil
		}
		return fmt.Errorf("amqp: delay message for %s, which does not exist: %w", d, broker.ErrUnroutable)
	}
	if err != nil {
		return fmt.Errorf("amqp: delay message for %s: %w", d, err)
	}
	return nil
}

// once does what is not done yet, for one caller at a time: the others find it done. A thousand would ask the broker the same at once.
func (p *parking) once(ctx context.Context, done func() bool, do func() error) error {
	if done() {
		return nil
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
	}
	if done() {
		return nil
	}
	return do()
}

func (p *parking) has(part string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.declared[part]
}

func (p *parking) add(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.declared == nil {
		p.declared = map[string]bool{}
	}
	p.declared[part] = true
}

func (p *parking) forget(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.declared, part)
}

func (p *parking) isTrusted(d destination) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, ok := p.seen[d]
	return ok && time.Since(seen) < parkTrust
}

func (p *parking) trust(d destination) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil || len(p.seen) >= 1000 { // names of reply queues would add up
		p.seen = map[destination]time.Time{}
	}
	p.seen[d] = time.Now()
}
