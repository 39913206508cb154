package brokertest

import (
	"github.com/seed-399731e2/taskq/broker"
)

func settleClaims() []claim {
	return []claim{
		{"AckRemovesForGood", settleAck},
		{"RequeueComesBackAsRedelivered", settleRequeue},
		{"RejectWithoutDeadLettersDrops", settleReject},
		{"RejectGoesToTheDeadLetterQueue", settleDeadLetter},
		{"DeadLetterKeepsItsRoutingKey", settleDeadLetterKey},
		{"SettlingTwiceIsAnError", settleTwice},
		{"SettlingOutOfOrderSettlesTheRightOnes", settleOutOfOrder},
		{"SettlingAfterConsumerCloseIsStale", settleAfterConsumerClose},
		{"SettlingAfterBrokerCloseIsStale", settleAfterBrokerClose},
	}
}

func settleAck(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "done")
	c := f.consume(f, 1, queue)
	f.settle(f.nextBody(c, "done"), broker.Ack)
	f.publish(queue, "done now")
	f.settle(f.nextBody(c, "done now"), broker.AckNow)
	if err := c.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	f.none(f.consume(f.open(), 1, queue))
}

func settleRequeue(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "again", "after")
	c := f.consume(f, 1, queue)
	for handedOut := range 3 {
		d := f.nextBody(c, "again") // goes back to where it was
		f.redelivered(d, handedOut)
		f.settle(d, broker.Requeue)
	}
	f.settle(f.nextBody(c, "again"), broker.Ack)
	d := f.nextBody(c, "after")
	f.redelivered(d, 0)
	f.settle(d, broker.Ack)
}

// redelivered makes sure that the delivery says how often it was handed out before. Brokers need not count.
func (f *fixture) redelivered(d *broker.Delivery, before int) {
	f.Helper()
	if d.Redelivered != (before > 0) {
		f.Errorf("redelivered = %v of a delivery handed out %d times before", d.Redelivered, before)
	}
	if d.Count != -1 && d.Count != before {
		f.Errorf("count = %d, want %d (or -1)", d.Count, before)
	}
}

func settleReject(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "bad", "good")
	c := f.consume(f, 1, queue)
	f.settle(f.nextBody(c, "bad"), broker.Reject)
	f.settle(f.nextBody(c, "good"), broker.Ack)
	f.none(c)
}

func settleDeadLetter(f *fixture) {
	dead := f.queue(broker.Queue{})
	queue := f.queue(broker.Queue{Arguments: broker.Table{
		broker.ArgDeadLetterExchange: "", broker.ArgDeadLetterRoutingKey: dead,
	}})
	f.publishTo(broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("bad"), MessageID: "kept"})
	c := f.consume(f, 1, queue)
	f.settle(f.nextBody(c, "bad"), broker.Reject)
	d := f.nextBody(f.consume(f, 1, dead), "bad")
	if d.MessageID != "kept" || d.Queue != dead || d.RoutingKey != dead {
		f.Errorf("dead letter has message id %q, queue %q, key %q", d.MessageID, d.Queue, d.RoutingKey)
	}
	f.settle(d, broker.Ack)
	f.none(c)
}

func settleDeadLetterKey(f *fixture) {
	exchange, dead := f.bound(broker.Topic, []string{"#"})
	queue := f.queue(broker.Queue{Arguments: broker.Table{broker.ArgDeadLetterExchange: exchange}})
	f.publish(queue, "bad")
	f.settle(f.next(f.consume(f, 1, queue)), broker.Reject)
	d := f.nextBody(f.consume(f, 1, dead[0]), "bad")
	if d.Exchange != exchange || d.RoutingKey != queue {
		f.Errorf("dead letter has exchange %q, key %q, want %q, %q", d.Exchange, d.RoutingKey, exchange, queue)
	}
}

func settleTwice(f *fixture) {
	queue := f.queue(broker.Queue{})
	for _, first := range []broker.Disposition{broker.Ack, broker.Reject} {
		f.publish(queue, "once")
		c := f.consume(f, 1, queue)
		d := f.next(c)
		f.settle(d, first)
		f.is(d.Settle(f.Context(), broker.Requeue), broker.ErrSettled, "requeue after "+first.String())
		f.none(c)
		if err := c.Close(f.Context()); err != nil {
			f.Fatalf("close: %v", err)
		}
	}
	c := f.consume(f, 1, queue)
	f.publish(queue, "strange")
	d := f.next(c)
	f.is(d.Settle(f.Context(), broker.Disposition(9)), broker.ErrInvalid, "settle with a disposition that is none")
	f.settle(d, broker.Ack)
}

func settleOutOfOrder(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "a", "b", "c", "d")
	c := f.consume(f, 4, queue)
	a, b, x, d := f.next(c), f.next(c), f.next(c), f.next(c)
	f.settle(d, broker.Ack)
	f.settle(b, broker.Ack)
	f.settle(x, broker.Reject)
	f.settle(a, broker.Requeue)
	again := f.nextBody(c, "a")
	f.redelivered(again, 1)
	f.settle(again, broker.Ack)
	f.none(c)
}

func settleAfterConsumerClose(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "mine no more")
	c := f.consume(f, 1, queue)
	old := f.next(c)
	if err := c.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	d := f.nextBody(f.consume(f, 1, queue), "mine no more")
	f.redelivered(d, 1)
	f.is(old.Settle(f.Context(), broker.Ack), broker.ErrStale, "settle after the consumer's close")
	f.settle(d, broker.Ack) // the stale one did not take it away
}

func settleAfterBrokerClose(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "mine no more")
	other := f.open()
	old := f.next(f.consume(other, 1, queue))
	if err := other.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	f.is(old.Settle(f.Context(), broker.Ack), broker.ErrStale, "settle after the broker's close")
	d := f.nextBody(f.consume(f, 1, queue), "mine no more")
	f.redelivered(d, 1)
	f.settle(d, broker.Ack)
}
