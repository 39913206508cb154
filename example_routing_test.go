package taskq_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

// routing is the part of a configuration that says which queues there are and which calls go where.
func routing() taskq.Config {
	return taskq.Config{
		Queues: []taskq.Queue{
			{Name: "celery"},
			{Name: "high", MaxPriority: 10},
			{Name: "media", Exchange: broker.Exchange{Name: "files", Kind: broker.Topic}, RoutingKey: "media.#"},
			{Name: "reports", Type: broker.Quorum, MessageTTL: time.Hour, MaxLength: 100_000},
		},
		Routes: taskq.Routes{
			{Match: "orders.*", Queue: "high", Options: []task.CallOption{task.Priority(5)}},
			{Match: "orders.cancel", Queue: "high", Options: []task.CallOption{task.Priority(9)}},
			{Regexp: `(image|video)\.`, Queue: "media", RoutingKey: "media.pictures"},
			{Func: byTenant},
		},
	}
}

// byTenant gives each tenant with a contract a queue of its own.
func byTenant(_ context.Context, s task.Signature) (taskq.Route, bool) {
	tenant, ok := s.Headers["tenant"].(string)
	return taskq.Route{Queue: "tenant." + tenant}, ok && tenant != "free"
}

func ExampleRoutes() {
	cfg := routing()
	cfg.BrokerURL = "memory://"
	app, err := taskq.New(cfg)
	if err != nil {
		panic(err)
	}
	for _, call := range []task.Signature{
		{Task: "orders.create"},
		{Task: "orders.cancel"},
		task.Signature{Task: "orders.create"}.With(task.Queue("slow"), task.Priority(0)),
		{Task: "video.cut"},
		task.Signature{Task: "mails.send"}.With(task.Header("tenant", "acme")),
		{Task: "mails.send"},
	} {
		d, err := app.Destination(context.Background(), call)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: queue %s, exchange %q, key %s, priority %d, by %s\n",
			call.Task, d.Call.Queue, d.Address.Exchange, d.Address.RoutingKey, d.Call.Priority, d.Decided)
	}
	// Output:
	// orders.create: queue high, exchange "", key high, priority 5, by routes[0], match "orders.*"
	// orders.cancel: queue high, exchange "", key high, priority 9, by routes[1], match "orders.cancel"
	// orders.create: queue slow, exchange "", key slow, priority 0, by the call
	// video.cut: queue media, exchange "files", key media.pictures, priority 0, by routes[2], regexp "(image|video)\\."
	// mails.send: queue tenant.acme, exchange "", key tenant.acme, priority 0, by routes[3], a function
	// mails.send: queue celery, exchange "", key celery, priority 0, by the default
}
