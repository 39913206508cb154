package brokertest

import (
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

func expiryClaims() []claim {
	return []claim{
		{"ExpiredMessageVanishes", expireMessage},
		{"ExpiredMessageIsNotHandedOut", expireBeforeConsumer},
		{"QueueTTLExpiresIntoTheDeadLetterQueue", expireQueueTTL},
		{"HandedOutMessageDoesNotExpire", expireNotUnsettled},
		{"UnusedQueueExpires", expireQueue},
	}
}

func expireMessage(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.publishTo(broker.Address{RoutingKey: queue}, broker.Message{Expiration: 50 * time.Millisecond, Body: []byte("brief")})
	f.publish(queue, "lasting")
	f.waiting(queue, 1)
	c := f.consume(f, 2, queue)
	f.settle(f.nextBody(c, "lasting"), broker.Ack)
	f.none(c)
}

func expireBeforeConsumer(f *fixture) {
	queue := f.queue(broker.Queue{})
	c := f.consume(f, 1, queue)
	f.publish(queue, "blocks")
	blocks := f.nextBody(c, "blocks")
	f.publishTo(broker.Address{RoutingKey: queue}, broker.Message{Expiration: 10 * time.Millisecond, Body: []byte("brief")})
	f.waiting(queue, 0)
	f.settle(blocks, broker.Ack)
	f.none(c)
}

func expireQueueTTL(f *fixture) {
	dead := f.queue(broker.Queue{})
	queue := f.queue(broker.Queue{Arguments: broker.Table{
		broker.ArgMessageTTL: int32(50), broker.ArgDeadLetterExchange: "", broker.ArgDeadLetterRoutingKey: dead,
	}})
	f.publish(queue, "a", "b")
	c := f.consume(f, 2, dead)
	f.settle(f.nextBody(c, "a"), broker.Ack)
	f.settle(f.nextBody(c, "b"), broker.Ack)
	f.waiting(queue, 0)
}

func expireNotUnsettled(f *fixture) {
	dead := f.queue(broker.Queue{})
	queue := f.queue(broker.Queue{Arguments: broker.Table{
		broker.ArgMessageTTL: int32(150), broker.ArgDeadLetterExchange: "", broker.ArgDeadLetterRoutingKey: dead,
	}})
	c := f.consume(f, 1, queue)
	f.publish(queue, "in work", "waits")
	d := f.nextBody(c, "in work")
	f.settle(f.nextBody(f.consume(f, 5, dead), "waits"), broker.Ack)
	f.settle(d, broker.Ack)
	f.waiting(dead, 0)
}

func expireQueue(f *fixture) {
	queue := f.queue(broker.Queue{Arguments: broker.Table{broker.ArgExpires: int32(200)}})
	c := f.consume(f, 1, queue)
	f.none(c)
	f.none(c)
	f.none(c)
	f.publish(queue, "a consumer is use")
	f.settle(f.next(c), broker.Ack)
	if err := c.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	f.gone(queue)
}
