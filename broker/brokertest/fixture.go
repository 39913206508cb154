package brokertest

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

const (
	// patience is how long something may take that must happen.
	patience = time.Minute
	// quiet is how long nothing must happen to count as nothing.
	quiet = 100 * time.Millisecond
)

// full is what every broker of this module can do.
type full interface {
	broker.Broker
	broker.Purger
	broker.Deleter
	broker.Measurer
	broker.Delayer
	broker.BatchPublisher
	broker.Prober
	broker.Parking
}

// fixture is one test's view of the broker: the test itself, a connection of its own, and short verbs that fail the test.
type fixture struct {
	*testing.T
	h Harness
	full
}

func newFixture(t *testing.T, h Harness) *fixture {
	t.Helper()
	f := &fixture{T: t, h: h}
	f.full = f.open()
	return f
}

// open returns one more connection.
func (f *fixture) open() full {
	f.Helper()
	b, ok := f.h.Open(f.T).(full)
	if !ok {
		f.Fatal("the broker lacks one of Purger, Deleter, Measurer, Delayer, BatchPublisher, Prober, Parking")
	}
	f.Cleanup(func() {
		ctx, cancel := f.cleanupContext()
		defer cancel()
		if err := b.Close(ctx); err != nil {
			f.Errorf("close at the end: %v", err)
		}
	})
	return b
}

func (f *fixture) cleanupContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(f.Context()), patience)
}

// name returns a name that nobody else uses.
func (f *fixture) name() string { return "taskq.test." + rand.Text() }

// queue declares a queue of the given properties under a name of its own and returns that.
func (f *fixture) queue(q broker.Queue) string {
	f.Helper()
	q.Name = f.name()
	f.declare(broker.Topology{Queues: []broker.Queue{q}})
	return q.Name
}

// declare declares the topology and deletes its queues in the end; its exchanges are to be AutoDelete.
func (f *fixture) declare(topology broker.Topology) {
	f.Helper()
	for _, q := range topology.Queues {
		f.deleteLater(q.Name)
	}
	if err := f.Declare(f.Context(), topology); err != nil {
		f.Fatalf("declare: %v", err)
	}
}

func (f *fixture) deleteLater(queue string) {
	f.Cleanup(func() {
		ctx, cancel := f.cleanupContext()
		defer cancel()
		if err := f.DeleteQueue(ctx, queue); err != nil && !errors.Is(err, broker.ErrClosed) {
			f.Errorf("delete queue at the end: %v", err)
		}
	})
}

// publish puts a message with the body into the queue.
func (f *fixture) publish(queue string, bodies ...string) {
	f.Helper()
	for _, body := range bodies {
		f.publishTo(broker.Address{RoutingKey: queue}, broker.Message{Body: []byte(body)})
	}
}

func (f *fixture) publishTo(to broker.Address, msg broker.Message) {
	f.Helper()
	if err := f.Publish(f.Context(), to, msg); err != nil {
		f.Fatalf("publish to %q with key %q: %v", to.Exchange, to.RoutingKey, err)
	}
}

// consume starts a consumer on b; it is closed with b.
func (f *fixture) consume(b broker.Broker, prefetch int, queues ...string) broker.Consumer {
	f.Helper()
	c, err := b.Consume(f.Context(), broker.ConsumeConfig{Queues: queues, Prefetch: prefetch})
	if err != nil {
		f.Fatalf("consume %v: %v", queues, err)
	}
	return c
}

// next returns the next delivery.
func (f *fixture) next(c broker.Consumer) *broker.Delivery {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	d, err := c.Next(ctx)
	if err != nil {
		f.Fatalf("next: %v", err)
	}
	return d
}

// nextBody returns the next delivery, which must have the body.
func (f *fixture) nextBody(c broker.Consumer, body string) *broker.Delivery {
	f.Helper()
	d := f.next(c)
	if string(d.Body) != body {
		f.Fatalf("next body = %q, want %q", d.Body, body)
	}
	return d
}

// none makes sure that no delivery comes.
func (f *fixture) none(c broker.Consumer) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), quiet)
	defer cancel()
	if d, err := c.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		f.Fatalf("next = %v, %v, want no delivery", d, err)
	}
}

func (f *fixture) settle(d *broker.Delivery, how broker.Disposition) {
	f.Helper()
	if err := d.Settle(f.Context(), how); err != nil {
		f.Fatalf("%s %q: %v", how, d.Body, err)
	}
}

// is makes sure that err is the one wanted.
func (f *fixture) is(err, want error, doing string) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s: error = %v, want %v", doing, err, want)
	}
}

// waiting makes sure that soon as many messages wait in the queue.
func (f *fixture) waiting(queue string, want int) {
	f.Helper()
	var got int
	f.eventually(func() bool {
		stats, err := f.Measure(f.Context(), queue)
		if err != nil {
			f.Fatalf("measure: %v", err)
		}
		got = stats.Messages
		return got == want
	}, "queue holds %d messages, want %d", &got, &want)
}

// eventually waits until the condition holds. The message's arguments are pointers to int, read when it is printed.
func (f *fixture) eventually(holds func() bool, format string, args ...*int) {
	f.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			values := make([]any, len(args))
			for i, p := range args {
				values[i] = *p
			}
			f.Fatalf(format, values...)
		}
	}
}
