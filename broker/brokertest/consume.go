package brokertest

import (
	"context"
	"errors"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

func consumeClaims() []claim {
	return []claim{
		{"ConsumerOfSeveralQueuesGetsAll", consumeSeveral},
		{"ConsumersOfOneQueueShareIt", consumeShared},
		{"ConsumingAMissingQueueFails", consumeMissing},
		{"ConsumingWithoutBoundIsInvalid", consumeInvalid},
		{"NextHonoursItsContext", consumeContext},
		{"NextWakesWhenAMessageComes", consumeWakes},
		{"AutoAckSettlesWhatItHandsOut", consumeAutoAck},
		{"ExclusiveConsumerIsAlone", consumeExclusive},
		{"ExclusiveConsumerNeedsAFreeQueue", consumeExclusiveTaken},
		{"AutoDeleteQueueGoesWithItsLastConsumer", consumeAutoDelete},
		{"HigherPriorityComesFirst", consumePriority},
	}
}

func consumeSeveral(f *fixture) {
	queues := []string{f.queue(broker.Queue{}), f.queue(broker.Queue{}), f.queue(broker.Queue{})}
	for _, queue := range queues {
		f.publish(queue, queue)
	}
	c := f.consume(f, 2, queues...)
	seen := map[string]bool{}
	for range queues {
		d := f.next(c)
		if d.Queue != string(d.Body) {
			f.Errorf("delivery from %q says it is from %q", d.Body, d.Queue)
		}
		seen[d.Queue] = true
		f.settle(d, broker.Ack)
	}
	if len(seen) != len(queues) {
		f.Errorf("deliveries came from %d queues, want %d", len(seen), len(queues))
	}
}

func consumeShared(f *fixture) {
	queue := f.queue(broker.Queue{})
	one, two := f.consume(f, 1, queue), f.consume(f.open(), 1, queue)
	f.publish(queue, "a", "b")
	a, b := f.next(one), f.next(two)
	if string(a.Body) == string(b.Body) {
		f.Errorf("both consumers got %q", a.Body)
	}
	f.settle(a, broker.Ack)
	f.settle(b, broker.Ack)
}

func consumeMissing(f *fixture) {
	queue := f.queue(broker.Queue{})
	cfg := broker.ConsumeConfig{Queues: []string{queue, f.name()}, Prefetch: 1}
	_, err := f.Consume(f.Context(), cfg)
	f.is(err, broker.ErrNoQueue, "consume a missing queue")
	f.consumers(queue, 0)
}

// consumers waits until as many consumers are on the queue.
func (f *fixture) consumers(queue string, want int) {
	f.Helper()
	var got int
	f.eventually(func() bool {
		stats, err := f.Measure(f.Context(), queue)
		if err != nil {
			f.Fatalf("measure: %v", err)
		}
		got = stats.Consumers
		return got == want
	}, "queue has %d consumers, want %d", &got, &want)
}

func consumeInvalid(f *fixture) {
	queue := f.queue(broker.Queue{})
	for _, cfg := range []broker.ConsumeConfig{{Prefetch: 1}, {Queues: []string{queue}}, {Queues: []string{queue}, Prefetch: -1}} {
		_, err := f.Consume(f.Context(), cfg)
		f.is(err, broker.ErrInvalid, "consume")
	}
	c := f.consume(f, 1, queue)
	f.is(c.SetPrefetch(f.Context(), 0), broker.ErrInvalid, "set the prefetch to 0")
}

func consumeContext(f *fixture) {
	queue := f.queue(broker.Queue{})
	c := f.consume(f, 1, queue)
	ctx, cancel := context.WithCancel(f.Context())
	time.AfterFunc(quiet/2, cancel)
	_, err := c.Next(ctx)
	f.is(err, context.Canceled, "next with a cancelled context")
	f.publish(queue, "not lost on the one who left")
	f.settle(f.next(c), broker.Ack)
}

func consumeWakes(f *fixture) {
	queue := f.queue(broker.Queue{})
	c := f.consume(f.open(), 1, queue)
	failed := make(chan error, 1)
	time.AfterFunc(quiet/2, func() {
		failed <- f.Publish(f.Context(), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte("late")})
	})
	d := f.nextBody(c, "late")
	if err := <-failed; err != nil {
		f.Errorf("publish: %v", err)
	}
	f.settle(d, broker.Ack)
}

func consumeAutoAck(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publish(queue, "gone")
	c, err := f.Consume(f.Context(), broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 1, AutoAck: true})
	if err != nil {
		f.Fatalf("consume: %v", err)
	}
	d := f.nextBody(c, "gone")
	f.is(d.Settle(f.Context(), broker.Ack), broker.ErrSettled, "settle with AutoAck")
	f.publish(queue, "next") // not held up by the one before
	f.nextBody(c, "next")
	if err := c.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	f.none(f.consume(f, 1, queue))
}

func consumeExclusive(f *fixture) {
	queue := f.queue(broker.Queue{})
	cfg := broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 1, Exclusive: true}
	c, err := f.Consume(f.Context(), cfg)
	if err != nil {
		f.Fatalf("consume exclusively: %v", err)
	}
	other := f.open()
	_, err = other.Consume(f.Context(), broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 1})
	f.is(err, broker.ErrAccess, "consume beside an exclusive consumer")
	f.publish(queue, "mine")
	f.settle(f.nextBody(c, "mine"), broker.Ack)
	if err := c.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	f.eventually(func() bool {
		_, err := other.Consume(f.Context(), cfg)
		return err == nil
	}, "the queue is still taken")
}

func consumeExclusiveTaken(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.consume(f, 1, queue)
	_, err := f.open().Consume(f.Context(), broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 1, Exclusive: true})
	f.is(err, broker.ErrAccess, "consume exclusively beside another consumer")
}

func consumeAutoDelete(f *fixture) {
	queue := f.queue(broker.Queue{AutoDelete: true})
	one, two := f.consume(f, 1, queue), f.consume(f.open(), 1, queue)
	if err := one.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	f.consumers(queue, 1)
	if err := two.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	f.eventually(func() bool {
		_, err := f.Measure(f.Context(), queue)
		return errors.Is(err, broker.ErrNoQueue)
	}, "the queue outlives its consumers")
}

func consumePriority(f *fixture) {
	queue := f.queue(broker.Queue{MaxPriority: 9})
	for _, p := range []struct {
		priority uint8
		body     string
	}{{0, "f"}, {5, "c"}, {9, "a"}, {2, "e"}, {5, "d"}, {200, "b"}} { // 200 counts as 9, the most there is
		f.publishTo(broker.Address{RoutingKey: queue}, broker.Message{Priority: p.priority, Body: []byte(p.body)})
	}
	c := f.consume(f, 1, queue)
	for _, want := range []string{"a", "b", "c", "d", "e", "f"} {
		f.settle(f.nextBody(c, want), broker.Ack)
	}
}
