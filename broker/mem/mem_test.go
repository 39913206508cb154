package mem_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/brokertest"
	"github.com/seed-399731e2/taskq/broker/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPassesTheBrokerSuite(t *testing.T) {
	t.Parallel()
	server := mem.NewServer()
	brokertest.Run(t, brokertest.Harness{Open: func(*testing.T) broker.Broker { return server.Open() }})
}

func TestDelaysAndExpiryRunOnVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b := mem.NewServer().Open()
		queues := []broker.Queue{
			{Name: "dead"},
			{Name: "day", Arguments: broker.Table{
				broker.ArgMessageTTL: int64(24 * time.Hour / time.Millisecond), broker.ArgDeadLetterExchange: "",
				broker.ArgDeadLetterRoutingKey: "dead",
			}},
		}
		if err := b.Declare(ctx, broker.Topology{Queues: queues}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := b.PublishDelayed(ctx, broker.Address{RoutingKey: "day"}, broker.Message{}, time.Hour); err != nil {
			t.Fatal(err)
		}
		c, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{"dead"}, Prefetch: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Next(ctx); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 25*time.Hour {
			t.Errorf("dead letter came after %v, want 25h", got)
		}
	})
}
