package amqp_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// noticesStall returns a test of a connection on which bytes stop in the directions.
func noticesStall(directions ...instance.Direction) func(*testing.T, *tenant) {
	return func(t *testing.T, n *tenant) {
		cfg := n.config()
		cfg.Heartbeat, cfg.WriteTimeout, cfg.DialTimeout = time.Second, time.Second, 300*time.Millisecond
		b := open(t, cfg)
		queue := declared(t, b, broker.Queue{})
		c := consume(t, b, 1, queue)
		publish(t, b, queue, "a")
		d := next(t, c)
		n.proxy.Stall(directions...)
		publishTooMuch(t, b, queue)
		n.log.await(2, "Connection to broker lost") // both connections
		if err := d.Settle(t.Context(), broker.Ack); !errors.Is(err, broker.ErrStale) {
			t.Errorf("ack after the loss = %v, want %v", err, broker.ErrStale)
		}
		n.proxy.Resume()
		publish(t, b, queue, "after")
		for { // the publishes that ran out of time may have been taken
			d := next(t, c)
			_ = d.Settle(t.Context(), broker.Ack)
			if string(d.Body) == "after" {
				break
			}
		}
		eventually(t, "one connection for each purpose", func() bool { return n.connections() == 2 })
	}
}

// publishTooMuch has publishers fill a connection that nobody reads from; each must return by its deadline.
func publishTooMuch(t testing.TB, b *amqp.Broker, queue string) {
	t.Helper()
	body := make([]byte, 4<<20) // more than the buffers of both sockets hold
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			start := time.Now()
			err := b.Publish(timeout(t, 200*time.Millisecond), broker.Address{RoutingKey: queue}, broker.Message{Body: body})
			if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("publish = %v, want ErrUnavailable and the context's error", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("publish took %v with a deadline of 200 ms", took)
			}
		})
	}
	wg.Wait()
}

func makesProgressWhileFlapping(t *testing.T, n *tenant) {
	b := open(t, n.config())
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 10, queue)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	var sent, taken atomic.Int64
	work.Go(func() {
		for ctx.Err() == nil {
			if b.Publish(ctx, broker.Address{RoutingKey: queue}, broker.Message{}) == nil {
				sent.Add(1)
			}
		}
	})
	work.Go(func() {
		for ctx.Err() == nil {
			if d, err := c.Next(ctx); err == nil && d.Settle(t.Context(), broker.Ack) == nil {
				taken.Add(1)
			}
		}
	})
	const cuts = 30
	for range cuts { // each as soon as there was some progress since the last one
		sentBefore, takenBefore := sent.Load(), taken.Load()
		eventually(t, "a message is sent and one is taken", func() bool { return sent.Load() > sentBefore && taken.Load() > takenBefore })
		n.proxy.Cut()
	}
	before := n.log.count("Cannot connect to broker")
	n.proxy.Refuse()
	outage := time.After(300 * time.Millisecond)
	<-outage
	if tries := n.log.count("Cannot connect to broker") - before; tries > 150 {
		t.Errorf("%d tries in 300 ms, want pauses between them", tries)
	}
	n.proxy.Resume()
	stop()
	work.Wait()
	if tries := n.log.count("Connected to broker again"); tries > 3*cuts {
		t.Errorf("%d connects over %d cuts, want at most one for each connection and cut", tries, cuts)
	}
}

func findsTheLivingHost(t *testing.T, n *tenant) {
	gone, silent := testserver.StartProxy(t, n.server.URL), testserver.StartProxy(t, n.server.URL)
	gone.Refuse()
	silent.BlackHole()
	cfg := n.config()
	cfg.DialTimeout = 200 * time.Millisecond
	cfg.URL = n.at(gone.URL) + ";amqp://no..such..name/" + ";" + n.at(silent.URL) + ";" + n.url()
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "one")
	ack(t, next(t, c))
	gone.Resume()
	n.proxy.Refuse()
	publish(t, b, queue, "two")
	ack(t, next(t, c))
	if gone.Connections() == 0 {
		t.Error("the first host is back and nobody is connected to it")
	}
	gone.Refuse()
	silent.Resume()
	publish(t, b, queue, "three")
	ack(t, next(t, c))
	dead := amqp.Config{URL: n.at(gone.URL) + ";amqp://no..such..name/;" + n.url(), DialTimeout: cfg.DialTimeout}
	refused(t, dead, broker.ErrUnavailable, "none of the 3 brokers", "connection refused", "no such host")
}
