package brokertest

import "github.com/seed-399731e2/taskq/broker"

func depthClaims() []claim {
	return []claim{
		{"MeasureCountsMessagesAndConsumers", measure},
		{"PurgeRemovesWhatWaitsAndCountsIt", purge},
	}
}

func measure(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.consumers(queue, 0)
	f.publish(queue, "a", "b", "c")
	f.waiting(queue, 3)
	c := f.consume(f, 1, queue)
	f.consumers(queue, 1)
	other := f.consume(f.open(), 1, queue)
	f.consumers(queue, 2)
	f.settle(f.next(c), broker.Ack)
	f.next(other)
	if err := c.Cancel(f.Context()); err != nil {
		f.Fatalf("cancel: %v", err)
	}
	f.waiting(queue, 1)
	f.consumers(queue, 1)
	_, err := f.Measure(f.Context(), f.name())
	f.is(err, broker.ErrNoQueue, "measure a missing queue")
}

func purge(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "unsettled")
	c := f.consume(f, 1, queue)
	d := f.next(c)
	f.publish(queue, "a", "b", "c")
	for _, want := range []int{3, 0} {
		if got, err := f.Purge(f.Context(), queue); err != nil || got != want {
			f.Errorf("purge = %d, %v, want %d", got, err, want)
		}
	}
	f.settle(d, broker.Requeue) // purging does not touch what is handed out
	f.settle(f.nextBody(c, "unsettled"), broker.Ack)
	_, err := f.Purge(f.Context(), f.name())
	f.is(err, broker.ErrNoQueue, "purge a missing queue")
}
