package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestKilledServerLosesNothingThatWasConfirmed(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	b := open(t, config(t, server.URL))
	queue := declared(t, b, broker.Queue{})
	const messages = 300
	var wg sync.WaitGroup
	started := make(chan struct{}, messages)
	for n := range messages {
		wg.Go(func() {
			started <- struct{}{}
			err := b.Publish(timeout(t, 2*time.Minute), broker.Address{RoutingKey: queue}, broker.Message{Body: fmt.Append(nil, n)})
			if err != nil {
				t.Errorf("publish %d: %v", n, err)
			}
		})
	}
	<-started
	server.Kill()
	server.Start()
	wg.Wait()
	c := consume(t, b, 50, queue)
	got := map[string]bool{}
	for len(got) < messages { // some may come twice
		d := next(t, c)
		got[string(d.Body)] = true
		ack(t, d)
	}
}

func TestAlarmMakesPublishersWaitAndConsumersGoOn(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	b := open(t, config(t, server.URL))
	queue := declared(t, b, broker.Queue{})
	publish(t, b, queue, "before")
	publish(t, b, queue, "also before")
	c := consume(t, b, 1, queue)
	d := next(t, c)
	server.Eval(`rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})`)
	for { // the broker says that it blocks once something was published
		ctx := timeout(t, 200*time.Millisecond)
		err := b.Publish(ctx, broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("during")})
		if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("publish during the alarm = %v, want ErrUnavailable and the context's error", err)
		}
		if strings.Contains(err.Error(), "alarm") {
			break
		}
	}
	waits := make(chan error, 1)
	go func() {
		waits <- b.Publish(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("after")})
	}()
	ack(t, d)
	ack(t, next(t, c)) // consuming has a connection of its own
	server.Eval(`rabbit_alarm:clear_alarm({resource_limit, memory, node()})`)
	if err := <-waits; err != nil {
		t.Errorf("publish that waited for the end of the alarm: %v", err)
	}
	for { // the broker took those whose publishers had gone as well
		d := next(t, c)
		ack(t, d)
		if string(d.Body) == "after" {
			break
		}
	}
}
