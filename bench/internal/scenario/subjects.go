package scenario

import (
	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// bare is the limit.
func bare() lab.Subject {
	return lab.Subject{
		Name: result.Bare, Setting: "prefetch 64, acks coalesced", Broker: lab.RabbitMQ, Order: order.Order{Prefetch: 64}, Speed: 20_000,
	}
}

// taskq as it is measured unless something is varied.
func taskq() lab.Subject {
	return lab.Subject{
		Name: result.Taskq, Setting: "goroutines -c 10, prefetch 60", Broker: lab.RabbitMQ,
		Order: order.Order{Pool: "goroutines", Slots: 10, Prefetch: 60}, Speed: 15_000,
	}
}
