package amqp

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

const (
	// siftWindow is how many messages of one queue one consumer looks at. A quorum queue takes what a closed channel had back to its front in
	// order, but the windows of several channels only in the order in which they are closed: one window is right even when the
	// connection is lost. AMQP's prefetch ends at 65,535.
	siftWindow = 60_000
	// siftIdle is how long to wait for the next message before it is taken for gone: its time has come.
	siftIdle = time.Second
	// siftPause and siftTries bound the wait for somebody else who looks through the same queue, and for a window to be back.
	siftPause = 20 * time.Millisecond
	siftTries = 250
)

// Parked implements broker.Parking. It takes the messages of each delay queue and gives them back, which holds up those that become due
// meanwhile: a second for some ten thousand. What show has not seen yet waits in memory. Messages in Celery's queues are not shown: on
// RabbitMQ 4 each look would count against their delivery limit, which taskq does not set there.
func (b *Broker) Parked(ctx context.Context, show func(broker.Parked) bool) error {
	_, err := b.siftParked(ctx, func(p broker.Parked) (remove, more bool) { return false, show(p) })
	return err
}

// Unpark implements broker.Parking, at the cost of Parked. When the connection is lost meanwhile, it returns an error; what was not
// removed is parked as before.
func (b *Broker) Unpark(ctx context.Context, match func(broker.Parked) bool) (int, error) {
	return b.siftParked(ctx, func(p broker.Parked) (remove, more bool) { return match(p), true })
}

// siftParked looks through all delay queues that there can be.
func (b *Broker) siftParked(ctx context.Context, judge func(broker.Parked) (remove, more bool)) (int, error) {
	exchanges, err := b.delayedExchanges(ctx)
	if err != nil {
		return 0, err
	}
	var names []string
	goesTo := map[string]string{} // exchanges by queue
	for _, exchange := range append(exchanges, "") {
		for delay := parkStep; delay <= parkLongest; delay = nextBucket(delay) {
			name := delayQueue{delay: delay, exchange: exchange}.name()
			names = append(names, name)
			goesTo[name] = exchange
		}
	}
	return b.sift(ctx, names, func(queue string, d *amqp091.Delivery) (remove, more bool) {
		return judge(parkedMessage(goesTo[queue], d))
	})
}

// verdict says what to do with a message of a queue, and whether to go on.
type verdict func(queue string, d *amqp091.Delivery) (remove, more bool)

// sift looks through those of the queues that exist, over a connection of its own, and returns how many messages it has removed.
func (b *Broker) sift(ctx context.Context, queues []string, judge verdict) (removed int, err error) {
	if err := b.enter(); err != nil {
		return 0, fmt.Errorf("amqp: look through delay queues: %w", err)
	}
	defer b.publishes.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.life, cancel)()
	s, err := b.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer s.close(goodbye)
	for _, queue := range queues {
		f := sieve{s: s, queue: queue, judge: judge}
		err := f.run(ctx)
		removed += f.removed
		if err != nil {
			if errors.Is(err, errLost) {
				err = fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
			}
			return removed, fmt.Errorf("amqp: look through queue %q: %w", queue, err)
		}
		if f.enough {
			break
		}
	}
	return removed, nil
}

// sieve looks through one queue.
type sieve struct {
	s       *session
	queue   string
	judge   verdict
	windows []*amqp091.Channel
	held    []int // of each window: how many messages go back
	removed int
	enough  bool // no more are wanted
}

func (f *sieve) run(ctx context.Context) error {
	waiting, err := f.waiting(ctx)
	if err != nil || waiting == 0 {
		return err
	}
	for waiting > 0 && err == nil && !f.enough {
		n := min(waiting, siftWindow)
		waiting -= n
		err = f.look(ctx, n)
	}
	return errors.Join(err, f.giveBack(ctx))
}

// waiting is how many messages there are to look at; 0 when the queue does not exist. When somebody else is looking at them it waits.
func (f *sieve) waiting(ctx context.Context) (int, error) {
	for range siftTries {
		stats, err := f.measure()
		if err != nil || stats.Messages > 0 || stats.Consumers == 0 {
			return stats.Messages, err
		}
		if !wait(ctx, siftPause) {
			return 0, ctx.Err()
		}
	}
	return 0, nil
}

func (f *sieve) measure() (stats broker.QueueStats, err error) {
	ch, err := f.open()
	if err != nil {
		return stats, err
	}
	defer f.s.guard()()
	q, err := ch.QueueDeclarePassive(f.queue, false, false, false, false, nil) // properties do not count when passive
	if err != nil {
		err = missingOrRefused(f.s.explain(err))
		if errors.Is(err, broker.ErrNoQueue) {
			err = nil
		}
		return stats, err // it closed the channel
	}
	return broker.QueueStats{Messages: q.Messages, Consumers: q.Consumers}, f.s.explain(ch.Close())
}

func (f *sieve) open() (*amqp091.Channel, error) {
	defer f.s.guard()()
	ch, err := f.s.conn.Channel()
	return ch, f.s.explain(err)
}

// look judges the next n messages of the queue. They stay with the channel.
func (f *sieve) look(ctx context.Context, n int) error {
	ch, err := f.open()
	if err != nil {
		return err
	}
	f.windows, f.held = append(f.windows, ch), append(f.held, 0)
	deliveries, err := f.consume(ch, n)
	if err != nil {
		return err
	}
	idle := time.NewTimer(siftIdle)
	defer idle.Stop()
	for range n {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return f.s.explain(errLost)
			}
			if err := f.decide(ch, &d); err != nil || f.enough {
				return err
			}
			idle.Reset(siftIdle)
		case <-idle.C:
			return nil
		case <-f.s.done:
			return fmt.Errorf("%w: %w", broker.ErrUnavailable, f.s.cause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *sieve) consume(ch *amqp091.Channel, n int) (<-chan amqp091.Delivery, error) {
	defer f.s.guard()()
	if err := ch.Qos(n, 0, false); err != nil {
		return nil, f.s.explain(err)
	}
	deliveries, err := ch.Consume(f.queue, "", false, false, false, false, nil)
	if err != nil {
		return nil, missingOrRefused(f.s.explain(err))
	}
	return deliveries, nil
}

// decide removes a message or keeps it for the end.
func (f *sieve) decide(ch *amqp091.Channel, d *amqp091.Delivery) error {
	remove, more := f.judge(f.queue, d)
	f.enough = !more
	if !remove {
		f.held[len(f.held)-1]++
		return nil
	}
	if err := ch.Ack(d.DeliveryTag, false); err != nil {
		return f.s.explain(err)
	}
	f.removed++
	return nil
}

// giveBack closes the windows, the first one first, each once the messages of the one before are back. The broker has seen every
// acknowledgement when it answers.
func (f *sieve) giveBack(ctx context.Context) error {
	for i, ch := range f.windows {
		if err := f.close(ch); err != nil {
			return err
		}
		for tries := 0; i < len(f.windows)-1 && tries < siftTries; tries++ {
			if stats, err := f.measure(); err != nil || stats.Messages >= f.held[i] {
				break
			}
			wait(ctx, siftPause)
		}
	}
	return nil
}

func (f *sieve) close(ch *amqp091.Channel) error {
	defer f.s.guard()()
	return f.s.explain(ch.Close())
}

// parkedMessage is what others see of a message in a delay queue.
func parkedMessage(exchange string, d *amqp091.Delivery) broker.Parked {
	p := broker.Parked{Message: message(d), To: broker.Address{Exchange: exchange, RoutingKey: d.RoutingKey}}
	if due, ok := d.Headers[headerDue].(int64); ok {
		p.Due = time.UnixMilli(due)
	}
	for _, name := range deadLetterHeaders() {
		delete(p.Headers, name)
	}
	return p
}
