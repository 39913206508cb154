package amqp

import (
	"context"
	"fmt"
	"strconv"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// headerDeliveryCount is set by quorum queues: how often the message was handed out before.
const headerDeliveryCount = "x-delivery-count"

// received is a delivery that is on its way to a caller of Next.
type received struct {
	amqp091.Delivery
	st    *stream
	queue string
	count int // of earlier hand-outs when the message does not say: 0 or, for queues that do not count, -1
}

// deliver hands it out; nil when its stream has ended. With autoAck the place in the gate is free again at once.
func (r received) deliver(autoAck bool) *broker.Delivery {
	settle := func(_ context.Context, how broker.Disposition) error {
		if err := r.st.settle(r.DeliveryTag, how); err != nil {
			return fmt.Errorf("amqp: %s delivery from %s: %w", how, r.queue, err)
		}
		return nil
	}
	if autoAck {
		settle = nil
	}
	if autoAck && !r.st.acknowledge(r.DeliveryTag) || !autoAck && !r.st.handOut(r.DeliveryTag) {
		return nil
	}
	d := broker.NewDelivery(message(&r.Delivery), settle).WithStale(r.st.hasEnded)
	d.Queue, d.Exchange, d.RoutingKey, d.Redelivered = r.queue, sentTo(r.Exchange), r.RoutingKey, r.Redelivered
	d.Count = r.count
	d.Recovered = r.Redelivered && time.Now().Before(r.st.innocent)
	if n, ok := d.Headers[headerDeliveryCount].(int64); ok {
		d.Count = int(n)
	}
	return d
}

// message is the delivery's message in the terms of package broker.
func message(d *amqp091.Delivery) broker.Message {
	msg := broker.Message{
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		Headers:         decodeTable(d.Headers),
		Transient:       d.DeliveryMode != amqp091.Persistent,
		Priority:        d.Priority,
		CorrelationID:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		MessageID:       d.MessageId,
		Timestamp:       d.Timestamp,
		Type:            d.Type,
		AppID:           d.AppId,
		Body:            d.Body,
	}
	delete(msg.Headers, headerDue)
	if !msg.Timestamp.IsZero() {
		msg.Timestamp = msg.Timestamp.UTC()
	}
	if ms, err := strconv.ParseInt(d.Expiration, 10, 64); err == nil && ms <= int64(maxExpiration/time.Millisecond) {
		msg.Expiration = time.Duration(ms) * time.Millisecond
	}
	return msg
}
