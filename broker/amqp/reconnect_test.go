package amqp_test

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// footprint is what a process holds.
type footprint struct{ goroutines, files int }

func footprintNow(t testing.TB) footprint {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		files, _ = os.ReadDir("/dev/fd") // not on Linux
	}
	return footprint{runtime.NumGoroutine(), len(files)}
}

func leavesNothingBehind(t *testing.T, n *tenant) {
	const brokers, cuts = 4, 125 // times two connections
	cfg := n.config()
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, time.Millisecond
	all := make([]*amqp.Broker, brokers)
	consumers := make([]broker.Consumer, brokers)
	queues := make([]string, brokers)
	for i := range all {
		all[i] = open(t, cfg)
		queues[i] = declared(t, all[i], broker.Queue{})
		consumers[i] = consume(t, all[i], 5, queues[i])
	}
	work := func(round string) {
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() { exchange(t, all[i], consumers[i], queues[i], round) })
		}
		wg.Wait()
	}
	work("first")
	before := footprintNow(t)
	for range cuts {
		n.proxy.Cut()
		work("again")
	}
	if got := n.log.count("Connected to broker again"); got < 2*brokers*cuts {
		t.Errorf("%d reconnects, want at least %d", got, 2*brokers*cuts)
	}
	eventually(t, "as many goroutines and files as before", func() bool {
		now := footprintNow(t)
		return now.goroutines <= before.goroutines && now.files <= before.files
	})
	eventually(t, "two connections with a channel each and one consumer per broker", func() bool {
		return n.connections() == 2*brokers && n.channels() == 2*brokers && n.consumers() == brokers
	})
}

// exchange publishes a message and takes messages until it comes: what was in flight at a cut may come twice.
func exchange(t testing.TB, b *amqp.Broker, c broker.Consumer, queue, body string) {
	t.Helper()
	if err := b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte(body)}); err != nil {
		t.Errorf("publish: %v", err)
		return
	}
	for {
		d, err := c.Next(timeout(t, patience))
		if err != nil {
			t.Errorf("next: %v", err)
			return
		}
		if err := d.Settle(t.Context(), broker.Ack); err != nil && !errors.Is(err, broker.ErrStale) {
			t.Errorf("ack: %v", err)
		}
		if string(d.Body) == body {
			return
		}
	}
}

func keepsStaleDeliveriesOffTheWire(t *testing.T, n *tenant) {
	const messages = 6
	cfg := n.config()
	cfg.Heartbeat = time.Minute // none disturbs the count of bytes
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 2*messages, queue)
	for range messages {
		publish(t, b, queue, "m")
	}
	take := func() (out []*broker.Delivery) {
		for range messages {
			out = append(out, next(t, c))
		}
		return out
	}
	old := take()
	n.proxy.Cut()
	fresh := take() // with the same tags
	eventually(t, "all are out again", func() bool { return n.unsettled() == messages })
	n.log.await(2, "Connected to broker again") // the other connection writes nothing more either
	sent := n.proxy.Bytes(instance.ToServer)
	for i, d := range old {
		if i == messages-1 { // with the last one, the consumer asks for as many as it could before
			if now := n.proxy.Bytes(instance.ToServer); now != sent {
				t.Errorf("settling stale deliveries wrote %d bytes", now-sent)
			}
		}
		how := broker.Disposition(i%3 + 1)
		if err := d.Settle(t.Context(), how); !errors.Is(err, broker.ErrStale) {
			t.Errorf("%s of a stale delivery = %v, want %v", how, err, broker.ErrStale)
		}
	}
	if n.unsettled() != messages || n.ready() != 0 {
		t.Errorf("%d messages are unsettled and %d ready, want all %d unsettled", n.unsettled(), n.ready(), messages)
	}
	for _, d := range fresh {
		ack(t, d)
	}
	eventually(t, "all are settled", func() bool { return n.unsettled() == 0 && n.ready() == 0 })
	if n.log.count("Consumer of queue lost") > 0 {
		t.Error("a stale delivery was settled on the new channel")
	}
}
