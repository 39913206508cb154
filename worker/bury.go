package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
)

// bury puts a copy of a rejected message into the dead letters of its queue. What cannot be kept there goes back to its queue, not at
// once: nothing is lost, and nothing goes round in circles.
func (e *execution) bury(ctx context.Context, v verdict) verdict {
	err := e.publishLetter(ctx, e.letter(v))
	if err == nil {
		v.buried = true
		return v
	}
	e.w.log.ErrorContext(ctx, "dead letter could not be kept; the message goes back to its queue",
		"task", e.req.Name, "id", e.req.ID, "queue", e.delivery.Queue, "error", err, "retry_in", retryMax.Seconds())
	pause(e.w.stopping, retryMax)
	return verdict{disposition: broker.Requeue, err: err}
}

func (e *execution) letter(v verdict) deadletter.Letter {
	a := e.delivery
	l := deadletter.Letter{
		Reason: v.reason, Origin: deadletter.OriginOf(a.Delivery), Worker: e.w.cfg.Hostname, At: time.Now(), Deliveries: a.deaths,
	}
	if v.reason != deadletter.DeliveryLimit {
		l.Deliveries++ // this one
	}
	if v.err != nil {
		l.Error = v.err.Error()
	}
	return l
}

func (e *execution) publishLetter(ctx context.Context, l deadletter.Letter) error {
	queue := deadletter.Queue(e.delivery.Queue)
	publish := func(msg broker.Message) error {
		return e.w.persist(ctx, "dead letter could not be published", e.req, func(ctx context.Context) error {
			return e.w.deposit(ctx, queue, msg)
		})
	}
	err := publish(l.Write(e.delivery.Delivery))
	if !errors.Is(err, broker.ErrInvalid) {
		return err
	}
	e.w.log.WarnContext(ctx, "dead letter is kept without its headers, which cannot be sent again", "task", e.req.Name, "id", e.req.ID, "error", err)
	return publish(l.WriteBare(e.delivery.Delivery))
}

// deposit publishes to a queue by its name, and declares it again when somebody has deleted it.
func (w *Worker) deposit(ctx context.Context, queue string, msg broker.Message) error {
	to := broker.Address{RoutingKey: queue}
	err := w.cfg.Broker.Publish(ctx, to, msg)
	if !errors.Is(err, broker.ErrUnroutable) {
		return err
	}
	if err := w.redeclare(ctx, queue); err != nil {
		return err
	}
	return w.cfg.Broker.Publish(ctx, to, msg)
}

// redeclare declares a queue that is missing. Where nothing may be declared, somebody else has to create it: the error says so.
func (w *Worker) redeclare(ctx context.Context, queue string) error {
	topology := w.topologyOf(queue)
	if topology.IsEmpty() {
		return fmt.Errorf("worker: queue %s: %w", queue, broker.ErrNoQueue)
	}
	return w.cfg.Broker.Declare(ctx, topology)
}
