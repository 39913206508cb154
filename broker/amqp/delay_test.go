package amqp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// When the server comes back, what has expired meanwhile goes on before the destination has a leader again.
func TestMessagesWhoseTimeComesDuringAnOutageAreNotLost(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	b := open(t, config(t, server.URL))
	queues := []string{declared(t, b, broker.Queue{Type: broker.Quorum}), declared(t, b, broker.Queue{})}
	const messages, delay = 20, time.Second
	for n := range messages {
		for _, queue := range queues {
			err := b.PublishDelayed(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: fmt.Append(nil, n)}, delay)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	// RabbitMQ 3.10 notes new quorum queues a few seconds late, and a killed one would begin them anew, empty
	server.Eval(`[dets:sync(Table) || Table <- dets:all()]`)
	sent := time.Now()
	server.Kill()
	eventually(t, "their time comes", func() bool { return time.Since(sent) > delay })
	server.Start()
	for _, queue := range queues {
		c := consume(t, b, messages, queue)
		got := map[string]bool{}
		for len(got) < messages {
			d := next(t, c)
			got[string(d.Body)] = true
			ack(t, d)
		}
	}
}
