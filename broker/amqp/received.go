package amqp

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// headerDeliveryCount is set by quorum queues: how often the message was handed out before.
const headerDeliveryCount = "x-delivery-count"

// deliver hands it out; nil when its stream has ended. With autoAck the place in the gate is free again at once.
func (a *arrival) deliver(autoAck bool) *broker.Delivery {
	st, tag := a.line.st, a.tag
	settle := func(_ context.Context, how broker.Disposition) error {
		if err := st.settle(tag, how); err != nil {
			return fmt.Errorf("amqp: %s delivery from %s: %w", how, st.queue, err)
		}
		return nil
	}
	if autoAck {
		settle = nil
	}
	if autoAck && !st.acknowledge(tag) || !autoAck && !st.handOut(tag) {
		return nil
	}
	d := broker.NewDelivery(a.message(), settle).WithStale(st.stale)
	d.Queue, d.Exchange, d.RoutingKey, d.Redelivered = st.queue, sentTo(a.exchange()), a.routingKey(), a.redelivered
	d.Count = st.count
	d.Recovered = d.Redelivered && time.Now().Before(st.innocent)
	if n, ok := d.Headers[headerDeliveryCount].(int64); ok {
		d.Count = int(n)
	}
	return d
}
