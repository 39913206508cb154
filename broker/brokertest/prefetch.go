package brokertest

import "github.com/seed-399731e2/taskq/broker"

func prefetchClaims() []claim {
	return []claim{
		{"PrefetchBoundsWhatIsUnsettled", prefetchBounds},
		{"PrefetchCountsOverAllQueues", prefetchOverQueues},
		{"PrefetchCanBeRaised", prefetchRaise},
		{"PrefetchCanBeLowered", prefetchLower},
	}
}

func prefetchBounds(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "a", "b", "c", "d", "e")
	c := f.consume(f, 2, queue)
	a, b := f.next(c), f.next(c)
	f.none(c)
	f.settle(b, broker.Ack)
	f.nextBody(c, "c")
	f.none(c)
	f.settle(a, broker.Reject)
	f.nextBody(c, "d")
	f.none(c)
}

func prefetchOverQueues(f *fixture) {
	one, two := f.queue(broker.Queue{}), f.queue(broker.Queue{})
	f.publish(one, "a", "b")
	f.publish(two, "c", "d")
	c := f.consume(f, 3, one, two)
	d := f.next(c)
	f.next(c)
	f.next(c)
	f.none(c)
	f.settle(d, broker.Ack)
	f.next(c)
}

func prefetchRaise(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "a", "b", "c", "d")
	c := f.consume(f, 1, queue)
	f.nextBody(c, "a")
	f.none(c)
	f.setPrefetch(c, 3)
	f.nextBody(c, "b")
	f.nextBody(c, "c")
	f.none(c)
}

func prefetchLower(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "a", "b", "c", "d", "e")
	c := f.consume(f, 3, queue)
	outstanding := []*broker.Delivery{f.next(c), f.next(c), f.next(c)}
	f.setPrefetch(c, 1)
	for _, d := range outstanding {
		f.none(c) // as long as one is outstanding
		f.settle(d, broker.Ack)
	}
	f.nextBody(c, "d")
	f.none(c)
}

func (f *fixture) setPrefetch(c broker.Consumer, n int) {
	f.Helper()
	if err := c.SetPrefetch(f.Context(), n); err != nil {
		f.Fatalf("set prefetch to %d: %v", n, err)
	}
}
