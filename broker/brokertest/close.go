package brokertest

import (
	"github.com/seed-399731e2/taskq/broker"
)

func closeClaims() []claim {
	return []claim{
		{"CancelGivesBackWhatWasNotReturned", cancelGivesBack},
		{"CancelLetsReturnedOnesBeSettled", cancelSettles},
		{"CancelWakesNext", cancelWakes},
		{"ConsumerCloseGivesBackUnsettled", closeConsumer},
		{"BrokerCloseGivesBackUnsettled", closeBroker},
		{"ClosedBrokerRefusesEverything", closeRefuses},
	}
}

func (f *fixture) ok(err error, doing string) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", doing, err)
	}
}

func cancelGivesBack(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "a", "b", "c", "d")
	c := f.consume(f, 4, queue)
	a := f.nextBody(c, "a")
	f.ok(c.Cancel(f.Context()), "cancel")
	other := f.consume(f.open(), 4, queue)
	for _, body := range []string{"b", "c", "d"} {
		f.settle(f.nextBody(other, body), broker.Ack)
	}
	_, err := c.Next(f.Context())
	f.is(err, broker.ErrClosed, "next after cancel")
	f.none(other)
	f.settle(a, broker.Ack)
}

func cancelSettles(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "ack", "requeue", "unsettled")
	c := f.consume(f, 3, queue)
	ack, requeue, unsettled := f.next(c), f.next(c), f.next(c)
	f.ok(c.Cancel(f.Context()), "cancel")
	f.settle(ack, broker.Ack)
	f.settle(requeue, broker.Requeue)
	other := f.consume(f.open(), 3, queue)
	f.settle(f.nextBody(other, "requeue"), broker.Ack)
	f.none(other)
	f.ok(c.Close(f.Context()), "close after cancel")
	f.settle(f.nextBody(other, "unsettled"), broker.Ack)
	f.is(unsettled.Settle(f.Context(), broker.Ack), broker.ErrStale, "settle after close")
}

func cancelWakes(f *fixture) {
	queue := f.queue(broker.Queue{})
	for _, end := range []func(broker.Consumer) error{
		func(c broker.Consumer) error { return c.Cancel(f.Context()) },
		func(c broker.Consumer) error { return c.Close(f.Context()) },
	} {
		c := f.consume(f, 1, queue)
		woken := make(chan error, 2)
		for range cap(woken) {
			go func() {
				_, err := c.Next(f.Context())
				woken <- err
			}()
		}
		f.ok(end(c), "end the consumer")
		for range cap(woken) {
			f.is(<-woken, broker.ErrClosed, "next while the consumer ends")
		}
		f.ok(end(c), "end the consumer again")
	}
}

func closeConsumer(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "a", "b", "c")
	c := f.consume(f, 3, queue)
	f.settle(f.nextBody(c, "a"), broker.Ack)
	f.nextBody(c, "b")
	f.ok(c.Close(f.Context()), "close")
	f.comeBack(queue, "b", "c")
}

// comeBack makes sure that the queue holds these, the first of them redelivered.
func (f *fixture) comeBack(queue string, bodies ...string) {
	f.Helper()
	c := f.consume(f, len(bodies)+1, queue)
	for i, body := range bodies {
		d := f.nextBody(c, body)
		if i == 0 {
			f.redelivered(d, 1)
		}
		f.settle(d, broker.Ack)
	}
	f.none(c)
}

func closeBroker(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "a", "b", "c")
	other := f.open()
	c := f.consume(other, 3, queue)
	f.settle(f.nextBody(c, "a"), broker.Ack)
	f.nextBody(c, "b")
	f.ok(other.Close(f.Context()), "close")
	_, err := c.Next(f.Context())
	f.is(err, broker.ErrClosed, "next after the broker's close")
	f.comeBack(queue, "b", "c")
	f.consumers(queue, 1)
}

func closeRefuses(f *fixture) {
	queue := f.queue(broker.Queue{})
	other := f.open()
	f.ok(other.Close(f.Context()), "close")
	f.ok(other.Close(f.Context()), "close again")
	ctx := f.Context()
	f.is(other.Publish(ctx, broker.Address{RoutingKey: queue}, broker.Message{}), broker.ErrClosed, "publish after close")
	f.is(other.PublishDelayed(ctx, broker.Address{RoutingKey: queue}, broker.Message{}, quiet), broker.ErrClosed, "delayed")
	f.is(other.Declare(ctx, broker.Topology{Queues: []broker.Queue{{Name: queue}}}), broker.ErrClosed, "declare after close")
	_, err := other.Consume(ctx, broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 1})
	f.is(err, broker.ErrClosed, "consume after close")
	_, err = other.Measure(ctx, queue)
	f.is(err, broker.ErrClosed, "measure after close")
	_, err = other.Purge(ctx, queue)
	f.is(err, broker.ErrClosed, "purge after close")
	f.is(other.DeleteQueue(ctx, queue), broker.ErrClosed, "delete after close")
}
