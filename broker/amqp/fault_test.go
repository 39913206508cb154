package amqp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// patience is how long something may take that must happen.
const patience = 20 * time.Second

func timeout(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// declared declares a queue of a name of its own, which is deleted after the test.
func declared(t testing.TB, b *amqp.Broker, q broker.Queue) string {
	t.Helper()
	q.Name = "taskq.test." + rand.Text()
	if err := b.Declare(timeout(t, patience), broker.Topology{Queues: []broker.Queue{q}}); err != nil {
		t.Fatalf("declare: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := b.DeleteQueue(ctx, q.Name); err != nil && !errors.Is(err, broker.ErrClosed) {
			t.Errorf("delete queue: %v", err)
		}
	})
	return q.Name
}

func publish(t testing.TB, b *amqp.Broker, queue, body string) {
	t.Helper()
	err := b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte(body)})
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func consume(t testing.TB, b *amqp.Broker, prefetch int, queues ...string) broker.Consumer {
	t.Helper()
	c, err := b.Consume(timeout(t, patience), broker.ConsumeConfig{Queues: queues, Prefetch: prefetch})
	if err != nil {
		t.Fatalf("consume: %v", err)
	}
	return c
}

func next(t testing.TB, c broker.Consumer) *broker.Delivery {
	t.Helper()
	d, err := c.Next(timeout(t, patience))
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	return d
}

func ack(t testing.TB, d *broker.Delivery) {
	t.Helper()
	if err := d.Settle(timeout(t, patience), broker.Ack); err != nil {
		t.Fatalf("ack %q: %v", d.Body, err)
	}
}

func TestPublisherAndConsumerOutliveAnOutage(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	b := open(t, config(t, proxy.URL))
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "first")
	old := next(t, c)
	proxy.Refuse()
	sent := make(chan error, 1)
	go func() {
		sent <- b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("second")})
	}()
	short := timeout(t, 100*time.Millisecond)
	if d, err := c.Next(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("next during the outage = %v, %v", d, err)
	}
	if err := old.Settle(t.Context(), broker.Ack); !errors.Is(err, broker.ErrStale) {
		t.Errorf("ack of a delivery from before the outage = %v, want %v", err, broker.ErrStale)
	}
	proxy.Resume()
	if err := <-sent; err != nil {
		t.Errorf("publish across the outage: %v", err)
	}
	var bodies []string
	for range 2 {
		d := next(t, c)
		bodies = append(bodies, string(d.Body))
		ack(t, d)
	}
	slices.Sort(bodies)
	if !slices.Equal(bodies, []string{"first", "second"}) {
		t.Errorf("bodies after the outage = %v, want first and second", bodies)
	}
}

func TestMereSenderHasOneConnection(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	b := open(t, config(t, proxy.URL))
	queue := declared(t, b, broker.Queue{})
	publish(t, b, queue, "a")
	if got := proxy.Connections(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestHalfOpenConnectionHoldsNobodyPastTheirDeadline(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	cfg := config(t, proxy.URL)
	cfg.WriteTimeout, cfg.DialTimeout, cfg.CallTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "a")
	d := next(t, c)
	proxy.Stall()
	publishTooMuch(t, b, queue)
	_ = d.Settle(t.Context(), broker.Ack) // stale or not: it must return
	short := timeout(t, 200*time.Millisecond)
	if _, err := b.Measure(short, queue); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("measure = %v, want %v", err, broker.ErrUnavailable)
	}
	proxy.Resume()
	publish(t, b, queue, "after")
}

func TestCloseDoesNotWaitForADeadBroker(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	b, err := amqp.Open(t.Context(), config(t, proxy.URL))
	if err != nil {
		t.Fatal(err)
	}
	queue := declared(t, open(t, config(t, testserver.AMQP(t))), broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "a")
	next(t, c)
	proxy.Stall()
	start := time.Now()
	_ = b.Close(timeout(t, 100*time.Millisecond)) // it may say that the consumer could not be cancelled in time
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("close took %v", took)
	}
	if _, err := c.Next(t.Context()); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("next after close = %v, want %v", err, broker.ErrClosed)
	}
}

func TestDeletedQueueIsDeclaredAndConsumedAgain(t *testing.T) {
	t.Parallel()
	b, other := open(t, config(t, testserver.AMQP(t))), open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	if err := other.DeleteQueue(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	for {
		err := other.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("again")})
		if err == nil {
			break
		}
		if !errors.Is(err, broker.ErrUnroutable) {
			t.Fatalf("publish: %v", err)
		}
	}
	d := next(t, c)
	if string(d.Body) != "again" {
		t.Errorf("body = %q, want again", d.Body)
	}
	ack(t, d)
}

func TestFragileQueuesComeBackWithTheConnection(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	b, other := open(t, config(t, proxy.URL)), open(t, config(t, testserver.AMQP(t)))
	consumed := declared(t, b, broker.Queue{Transient: true, AutoDelete: true, Exclusive: true})
	unused := declared(t, b, broker.Queue{Exclusive: true})
	c, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{consumed}, Prefetch: 1, AutoAck: true})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	for _, queue := range []string{consumed, unused} {
		if _, err := b.Measure(timeout(t, patience), queue); err != nil {
			t.Errorf("measure on the next connection: %v", err)
		}
	}
	publish(t, other, consumed, "reply")
	if d := next(t, c); string(d.Body) != "reply" {
		t.Errorf("body = %q, want reply", d.Body)
	}
}
