package brokertest

import (
	"context"
	"errors"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

func restartClaims() []claim {
	return []claim{
		{"RestartGivesBackUnsettledAndConsumersGoOn", restartConsumer},
		{"RestartKeepsMessagesAndPublishersGoOn", restartPublisher},
		{"RestartWhileNextWaitsIsNotSeen", restartWhileWaiting},
	}
}

func restartConsumer(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "done", "in work", "waits")
	c := f.consume(f, 2, queue)
	f.settle(f.nextBody(c, "done"), broker.Ack)
	old := f.nextBody(c, "in work")
	f.h.Restart(f.T)
	again := f.nextBody(c, "in work")
	if !again.Redelivered {
		f.Error("the delivery in work came again without saying so")
	}
	f.is(old.Settle(f.Context(), broker.Ack), broker.ErrStale, "settle a delivery from before the restart")
	f.settle(again, broker.Ack)
	f.settle(f.nextBody(c, "waits"), broker.Ack)
	f.none(c)
}

// republish publishes until the broker takes it: right after a restart it may still be reconnecting.
func (f *fixture) republish(queue, body string) {
	f.Helper()
	f.eventually(func() bool {
		ctx, cancel := context.WithTimeout(f.Context(), patience)
		defer cancel()
		err := f.Publish(ctx, broker.Address{RoutingKey: queue}, broker.Message{Body: []byte(body)})
		if errors.Is(err, broker.ErrClosed) || errors.Is(err, broker.ErrUnroutable) {
			f.Fatalf("publish after a restart: %v", err)
		}
		return err == nil
	}, "the broker takes no message after a restart")
}

func restartPublisher(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "before")
	f.h.Restart(f.T)
	f.republish(queue, "after")
	c := f.consume(f.open(), 1, queue)
	f.settle(f.nextBody(c, "before"), broker.Ack)
	f.settle(f.nextBody(c, "after"), broker.Ack)
}

func restartWhileWaiting(f *fixture) {
	queue := f.queue(broker.Queue{})
	c := f.consume(f, 1, queue)
	got := make(chan string, 1)
	go func() {
		ctx, cancel := context.WithTimeout(f.Context(), patience)
		defer cancel()
		d, err := c.Next(ctx)
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(d.Body)
	}()
	f.h.Restart(f.T)
	f.republish(queue, "after")
	select {
	case body := <-got:
		if body != "after" {
			f.Errorf("next = %q, want the message published after the restart", body)
		}
	case <-time.After(2 * patience):
		f.Error("next never returned")
	}
}
