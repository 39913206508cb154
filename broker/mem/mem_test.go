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

func TestOfTheConsumersThatWaitTheOneOfHigherPriorityGetsTheMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b := mem.NewServer().Open()
		if err := b.Declare(ctx, broker.Topology{Queues: []broker.Queue{{Name: "q"}}}); err != nil {
			t.Fatal(err)
		}
		got := make(chan int, 2)
		for _, priority := range []int{0, 7, 3} {
			c, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{"q"}, Prefetch: 1, Priority: priority})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if _, err := c.Next(ctx); err == nil {
					got <- priority
				}
			}()
		}
		synctest.Wait()
		for _, want := range []int{7, 3} {
			if err := b.Publish(ctx, broker.Address{RoutingKey: "q"}, broker.Message{}); err != nil {
				t.Fatal(err)
			}
			if priority := <-got; priority != want {
				t.Errorf("the consumer of priority %d got it, want %d", priority, want)
			}
		}
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}
