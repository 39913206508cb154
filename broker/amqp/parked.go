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
	// siftWindow is how many messages one consumer takes; AMQP's prefetch ends at 65,535. RabbitMQ sends nothing before it has read them
	// all, but what several consumers hold comes back in no order when the connection is lost.
	siftWindow = 50_000
	// siftFirst and siftNext bound the wait for the first message of a window, and for each after it: fewer may come than were counted,
	// when the time of some has come.
	siftFirst = 20 * time.Second
	siftNext  = time.Second
	// siftAcks is how many acknowledgements are sent before the queue's answer, half of what RabbitMQ's channel sends on.
	siftAcks = 16
	// siftPause and siftTries bound the wait for a busy queue, and for a window to be back.
	siftPause = 20 * time.Millisecond
	siftTries = 250
	// siftBusy is less than the time after which RabbitMQ gives up counting a busy quorum queue, and says 0.
	siftBusy = 200 * time.Millisecond
	// siftConsumer is the consumer tag. There is one at a time on the connection.
	siftConsumer = "taskq-looking"
)

// Parked implements broker.Parking. It takes the messages of each delay queue and gives them back, which holds up those that become due
// meanwhile: a second for some ten thousand. What show has not seen yet waits in memory, 50,000 messages of one delay queue at the most.
// When the connection is lost meanwhile, and some of a delay queue were out and others not, those that were out come late, by as much
// as they were parked apart. Messages in Celery's queues are not shown: on
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
	for _, exchange := range append([]string{""}, exchanges...) {
		for delay := parkStep; delay <= parkLongest; delay = nextBucket(delay) {
			name := delayQueue{delay: delay, exchange: exchange}.name()
			names = append(names, name)
			goesTo[name] = exchange
		}
	}
	return b.sift(ctx, names, func(queue string, d *arrival) (remove, more bool) {
		return judge(parkedMessage(goesTo[queue], d))
	})
}

// verdict says what to do with a message of a queue, and whether to go on.
type verdict func(queue string, d *arrival) (remove, more bool)

// sift looks through those of the queues that exist, over a connection of its own, and returns how many messages it has removed. Those who
// begin with the same queue do it one after the other.
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
	if err := lock(ctx, s, queues[0]+".looking"); err != nil {
		return 0, fmt.Errorf("amqp: look through delay queues: %w", err)
	}
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

// sieve looks through one queue. A quorum queue takes back what a closed channel had in the order in which it had it, and behind what
// came back before: so all its messages must be out before the first go back, and then go back in order.
type sieve struct {
	s       *session
	queue   string
	judge   verdict
	windows []*window
	removed int
	enough  bool // no more are wanted; the rest is taken all the same, for the order
}

// window is the channel of one consumer.
type window struct {
	*amqp091.Channel
	line   *line
	ended  <-chan amqp091.Delivery // closed by the client library with the consumer; nothing comes this way
	seen   int
	remove []uint64 // tags; not acknowledged before the consumer has ended, since it would get others in their place
}

func (f *sieve) run(ctx context.Context) error {
	waiting, err := f.waiting(ctx)
	for waiting > 0 && err == nil {
		n := min(waiting, siftWindow)
		waiting -= n
		err = f.look(ctx, n)
	}
	return errors.Join(err, f.giveBack(ctx))
}

// lock waits until nobody else looks through the same queues, who would see those empty that others hold: an exclusive queue of the
// name belongs to one connection at a time.
func lock(ctx context.Context, s *session, name string) error {
	for {
		err := s.withChannel(ctx, func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(name, false, true, true, false, nil)
			return err
		})
		switch {
		case err == nil:
			return nil
		case !isReply(err, codeLocked):
			return missingOrRefused(err)
		case !wait(ctx, siftPause):
			return fmt.Errorf("%w: somebody else looks through them: %w", broker.ErrUnavailable, ctx.Err())
		}
	}
}

// waiting is how many messages there are to look at; 0 when the queue does not exist. While the queue is too busy to say, it waits.
func (f *sieve) waiting(ctx context.Context) (int, error) {
	for range siftTries {
		began := time.Now()
		stats, err := f.measure()
		switch {
		case errors.Is(err, broker.ErrNoQueue):
			return 0, nil
		case err != nil || stats.Messages > 0:
			return stats.Messages, err
		case time.Since(began) < siftBusy:
			return 0, nil
		case !wait(ctx, siftPause):
			return 0, ctx.Err()
		}
	}
	return 0, fmt.Errorf("%w: it is too busy", broker.ErrUnavailable)
}

func (f *sieve) measure() (stats broker.QueueStats, err error) {
	ch, err := f.open()
	if err != nil {
		return stats, err
	}
	defer f.s.guard()()
	q, err := ch.QueueDeclarePassive(f.queue, false, false, false, false, nil) // properties do not count when passive
	if err != nil {
		return stats, missingOrRefused(f.s.explain(err)) // it closed the channel
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
	w := &window{Channel: ch}
	f.windows = append(f.windows, w)
	if err := f.consume(w, n); err != nil {
		return err
	}
	err = f.receive(ctx, w, n)
	if err == nil {
		err = f.cancel(w)
	}
	f.s.frames.intake.close(w.line)
	for _, a := range w.line.clear() {
		if err == nil {
			f.decide(w, a)
		}
	}
	return err
}

func (f *sieve) cancel(w *window) error {
	defer f.s.guard()()
	return f.s.explain(w.Cancel(siftConsumer, false))
}

// receive judges n messages, or fewer when no more come.
func (f *sieve) receive(ctx context.Context, w *window, n int) error {
	silence := time.NewTimer(siftFirst)
	defer silence.Stop()
	for w.seen < n {
		if a := w.line.in.next(); a != nil {
			f.decide(w, a)
			silence.Reset(siftNext)
			continue
		}
		select {
		case <-w.line.in.ready:
		case <-w.ended:
			return f.s.explain(errLost)
		case <-silence.C:
			return nil
		case <-f.s.done:
			return fmt.Errorf("%w: %w", broker.ErrUnavailable, f.s.cause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *sieve) consume(w *window, n int) error {
	defer f.s.guard()()
	if err := w.Qos(n, 0, false); err != nil {
		return f.s.explain(err)
	}
	w.line = newLine(newInbox(), siftConsumer)
	f.s.frames.intake.open(w.line)
	var err error
	w.ended, err = w.Consume(f.queue, siftConsumer, false, false, false, false, nil)
	if err != nil {
		f.s.frames.intake.close(w.line)
		return missingOrRefused(f.s.explain(err))
	}
	return nil
}

// decide notes what is to be removed.
func (f *sieve) decide(w *window, d *arrival) {
	w.seen++
	if f.enough {
		return
	}
	remove, more := f.judge(f.queue, d)
	f.enough = !more
	if remove {
		w.remove = append(w.remove, d.tag)
	}
}

// giveBack removes what is to be removed and gives back the rest: the windows in their order, each once the one before is back.
func (f *sieve) giveBack(ctx context.Context) error {
	for _, w := range f.windows {
		if err := f.acknowledge(w); err != nil {
			return err
		}
		f.removed += len(w.remove)
	}
	back := 0
	for i, w := range f.windows {
		if err := f.close(w); err != nil {
			return err
		}
		back += w.seen - len(w.remove)
		for tries := 0; i < len(f.windows)-1 && tries < siftTries; tries++ {
			if stats, err := f.measure(); err != nil || stats.Messages >= back {
				break
			}
			wait(ctx, siftPause)
		}
	}
	return nil
}

// close gives back what the window holds.
func (f *sieve) close(w *window) error {
	defer f.s.guard()()
	return f.s.explain(w.Close())
}

// acknowledge removes what is to be removed. Every acknowledgement has reached the queue when it returns.
func (f *sieve) acknowledge(w *window) error {
	all := len(w.remove) == w.seen
	for i, tag := range w.remove {
		last := i == len(w.remove)-1
		if all && !last {
			continue // the last one stands for them
		}
		if err := w.Ack(tag, all); err != nil {
			return f.s.explain(err)
		}
		if last || (i+1)%siftAcks == 0 {
			if err := f.await(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// await waits until the queue has seen what was sent on the channel. RabbitMQ's channel holds back acknowledgements for a quorum queue that
// has not answered those before, and forgets them when it is closed; a request for a message is answered by the queue itself. One that
// comes goes back with the rest.
func (f *sieve) await(w *window) error {
	defer f.s.guard()()
	_, _, err := w.Get(f.queue, false)
	return f.s.explain(err)
}

// parkedMessage is what others see of a message in a delay queue.
func parkedMessage(exchange string, d *arrival) broker.Parked {
	p := broker.Parked{Message: d.parked(), To: broker.Address{Exchange: exchange, RoutingKey: d.routingKey()}}
	if due, ok := p.Headers[headerDue].(int64); ok {
		p.Due = time.UnixMilli(due)
	}
	delete(p.Headers, headerDue)
	for _, name := range deadLetterHeaders() {
		delete(p.Headers, name)
	}
	return p
}
