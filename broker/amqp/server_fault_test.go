package amqp_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func namesTheChannelLimit(t *testing.T, n *tenant) {
	n.server.Eval(`application:set_env(rabbit, channel_max, 2)`)
	defer n.server.Eval(`application:set_env(rabbit, channel_max, 2047)`)
	b := open(t, n.config())
	one, two, three := declared(t, b, broker.Queue{}), declared(t, b, broker.Queue{}), declared(t, b, broker.Queue{})
	_, err := b.Consume(timeout(t, patience), broker.ConsumeConfig{Queues: []string{one, two, three}, Prefetch: 1})
	if !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "channel_max") || !strings.Contains(err.Error(), " 2 ") {
		t.Errorf("consume from more queues than channels = %v, want ErrUnavailable that names the limit", err)
	}
}

func closesDuringAlarm(t *testing.T, n *tenant) {
	b, err := amqp.Open(t.Context(), n.config())
	if err != nil {
		t.Fatal(err)
	}
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "m")
	d := next(t, c)
	n.server.Eval(`rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})`)
	defer n.server.Eval(`rabbit_alarm:clear_alarm({resource_limit, memory, node()})`)
	for {
		err := b.Publish(timeout(t, 100*time.Millisecond), broker.Address{RoutingKey: queue}, broker.Message{})
		if err == nil || strings.Contains(err.Error(), "alarm") {
			break
		}
	}
	waits := make(chan error, 1)
	go func() { waits <- b.Publish(t.Context(), broker.Address{RoutingKey: queue}, broker.Message{}) }()
	ack(t, d)
	start := time.Now()
	_ = b.Close(timeout(t, 300*time.Millisecond)) // what waits for the alarm is given up
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("close took %v with a deadline of 300 ms", took)
	}
	if err := <-waits; !errors.Is(err, broker.ErrClosed) && !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("publish that waited = %v, want an error", err)
	}
}

func outlivesShortPause(t *testing.T, n *tenant) {
	b := open(t, n.config())
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "before")
	ack(t, next(t, c))
	n.server.Pause()
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := b.Publish(short, broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("late")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publish to a paused server = %v, want %v", err, context.DeadlineExceeded)
	}
	n.server.Continue()
	if d := next(t, c); string(d.Body) != "late" {
		t.Errorf("body = %q, want late", d.Body)
	}
	if n.log.count("Connection to broker lost") > 0 {
		t.Error("a connection was lost")
	}
}

func replacesSessionOnce(t *testing.T, n *tenant) {
	cfg := n.config()
	cfg.Heartbeat, cfg.DialTimeout = time.Second, 200*time.Millisecond
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 2, queue) // the old delivery counts until it is settled
	publish(t, b, queue, "m")
	old := next(t, c)
	n.server.Pause()
	n.log.await(2, "Connection to broker lost")
	n.log.await(2, "Cannot connect to broker", "in time")
	n.server.Continue()
	d := next(t, c)
	if err := old.Settle(t.Context(), broker.Ack); !errors.Is(err, broker.ErrStale) {
		t.Errorf("ack of the delivery from before = %v, want %v", err, broker.ErrStale)
	}
	ack(t, d)
	publish(t, b, queue, "again")
	ack(t, next(t, c))
	if lost, again := n.log.count("Connection to broker lost"), n.log.count("Connected to broker again"); lost != 2 || again != 2 {
		t.Errorf("%d losses and %d reconnects, want one for each of two connections", lost, again)
	}
}

// failsOver is the last one: it kills the server.
func failsOver(t *testing.T, n *tenant) {
	second := testserver.AMQP(t)
	cfg := n.config()
	cfg.URL = n.directly() + ";" + second
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	there := open(t, config(t, second))
	if err := there.Declare(t.Context(), broker.Topology{Queues: []broker.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	c := consume(t, b, 10, queue)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for ctx.Err() == nil {
				err := b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("m")})
				if err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
	}
	for range 20 {
		ack(t, next(t, c))
	}
	n.server.Kill()
	n.log.await(2, "Connected to broker again", parse(t, second).Host)
	stop()
	load.Wait()
	publish(t, b, queue, "last")
	for last := ""; last != "last"; { // what the first server had is there still
		d := next(t, c)
		ack(t, d)
		last = string(d.Body)
	}
}
