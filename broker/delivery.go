package broker

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Disposition is what to do with a delivery.
type Disposition uint8

const (
	// Ack removes the message: its work is done.
	Ack Disposition = iota + 1
	// Requeue gives it back to its queue, to be delivered again.
	Requeue
	// Reject removes it, to the queue's dead-letter exchange when there is one.
	Reject
	// AckNow is Ack before work that must not be done twice: the broker is told before Settle returns, and not a moment later together
	// with others.
	AckNow
)

// String returns the name of the disposition in lower case.
func (d Disposition) String() string {
	switch d {
	case Ack:
		return "ack"
	case Requeue:
		return "requeue"
	case Reject:
		return "reject"
	case AckNow:
		return "ack now"
	}
	return fmt.Sprintf("disposition(%d)", uint8(d))
}

// Delivery is one message handed to a consumer. It stays the broker's until it is settled.
type Delivery struct {
	Message
	// Queue it was taken from.
	Queue string
	// Exchange and RoutingKey it was published with.
	Exchange, RoutingKey string
	// Redelivered is set when the message was handed out before, to anybody.
	Redelivered bool
	// Count is how many times it was handed out before; -1 when the broker does not count (classic queues of RabbitMQ).
	Count int
	// Recovered is set on a redelivery that came right after a lost connection was replaced. Such a one says nothing about
	// the worker that had it before: the broker was away, or that worker is this one.
	Recovered bool

	settle  func(context.Context, Disposition) error
	stale   func() bool // nil: nobody knows before it is settled
	settled atomic.Bool
}

// NewDelivery is for adapters: d's settle function is called at most once, by the first Settle. A nil settle marks a delivery
// that is settled already (AutoAck).
func NewDelivery(msg Message, settle func(context.Context, Disposition) error) *Delivery {
	d := &Delivery{Message: msg, Count: -1, settle: settle}
	d.settled.Store(settle == nil)
	return d
}

// WithStale is for adapters: stale reports whether settling the delivery would return ErrStale. It returns d.
func (d *Delivery) WithStale(stale func() bool) *Delivery {
	d.stale = stale
	return d
}

// IsStale reports whether it is known that the delivery cannot be settled any more: the broker hands the message out again, so that
// there is no use in beginning with this one.
func (d *Delivery) IsStale() bool { return d.stale != nil && d.stale() }

// Settle tells the broker what became of the delivery. It returns ErrSettled the second time, and ErrStale when the session or
// lease that the delivery came with is gone; the broker hands the message out again then.
func (d *Delivery) Settle(ctx context.Context, how Disposition) error {
	if how < Ack || how > AckNow {
		return fmt.Errorf("broker: settle with %s: %w", how, ErrInvalid)
	}
	if !d.settled.CompareAndSwap(false, true) {
		return fmt.Errorf("broker: %s delivery from %s: %w", how, d.Queue, ErrSettled)
	}
	return d.settle(ctx, how)
}
