package scenario

import (
	"fmt"

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

// bareChannels is the limit on several channels.
func bareChannels(n int) lab.Subject {
	s := bare()
	s.Setting, s.Order.Pool = fmt.Sprintf("%d channels, prefetch 64 in all, acks coalesced", n), fmt.Sprintf("%d channels", n)
	return s
}

// pgx is the limit of storing.
func pgx(connections, batch int) lab.Subject {
	s := lab.Subject{
		Name: result.Pgx, Setting: fmt.Sprintf("%d connections, INSERT each", connections), Foreign: true,
		Order: order.Order{Slots: connections, Batch: batch}, Speed: 10_000,
	}
	if batch > 0 {
		s.Setting, s.Speed = fmt.Sprintf("%d connections, COPY %d", connections, batch), 60_000
	}
	return s
}

// taskq as it is measured unless something is varied.
func taskq() lab.Subject { return taskqWith("goroutines", 10, 60) }

// taskqWith is taskq with a pool and as many messages at hand in all.
func taskqWith(pool string, slots, prefetch int) lab.Subject {
	return lab.Subject{
		Name: result.Taskq, Setting: fmt.Sprintf("%s -c %d, prefetch %d", pool, slots, prefetch), Broker: lab.RabbitMQ,
		Order: order.Order{Pool: pool, Slots: slots, Prefetch: prefetch}, Speed: 15_000,
	}
}

// taskqBatch collects visits.
func taskqBatch(batch int) lab.Subject {
	s := taskqWith("goroutines", 2, 0)
	s.Setting, s.Order.Batch, s.Speed = fmt.Sprintf("goroutines -c 2, batches of %d", batch), batch, 12_000
	return s
}

// taskqEmbedded is taskq on its embedded store.
func taskqEmbedded() lab.Subject {
	s := taskq()
	s.Setting, s.Broker, s.Foreign, s.Fillers, s.Speed = "embedded store, two processes", lab.File, true, 1, 4000
	return s
}
