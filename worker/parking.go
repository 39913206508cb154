package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/task"
)

const (
	// parkWindow is how many deliveries that came before their time are on their way back into the broker at once, over all queues: it
	// confirms each after some milliseconds. See source for how they get that many.
	parkWindow = 128
	// staleCheck is how often one that waits for its confirm is asked whether the broker hands it out again.
	staleCheck = 50 * time.Millisecond
)

// park puts a delivery that came before its time back into the broker until then, and settles it once that is confirmed. It waits for a
// place among those that are on their way, not for the confirm. However short the wait: a delay of up to 5 s is exact to 100 ms, and a
// timer here would be one more place where a task waits. The caller has claimed the execution.
func (e *execution) park(ctx context.Context, wait time.Duration) {
	e.yield(ctx, wait)
	w, due := e.w, time.Now().Add(wait)
	select {
	case w.parking <- struct{}{}:
	case <-ctx.Done():
		_ = w.settleDelivery(e.delivery, broker.Requeue) // counted there
		e.drop()
		return
	}
	e.delivery.from.early(w.settling)
	w.loops.Go(func() {
		defer func() { <-w.parking }()
		e.putOff(due)
	})
}

// putOff publishes the message for later and settles the delivery. A message that cannot be published has failed: given back, it would
// come again at once, and again, until its time.
func (e *execution) putOff(due time.Time) {
	w := e.w
	msg, to := e.waiting(time.Now()), broker.Address{RoutingKey: e.req.Queue}
	err := w.persist(w.settling, "task could not be parked", e.req, func(ctx context.Context) error {
		return e.unlessStale(ctx, func(ctx context.Context) error { return w.publishLater(ctx, to, msg, time.Until(due)) })
	})
	if errors.Is(err, broker.ErrInvalid) {
		w.log.ErrorContext(w.settling, "task could not be parked", "task", e.req.DisplayName(), "id", e.req.ID, "eta", due, "error", err)
		err = fmt.Errorf("the task cannot wait in the broker: %w", err)
		e.finish(verdict{state: task.Failure, err: err, disposition: broker.Reject, reason: deadletter.Refused})
		return
	}
	defer e.drop()
	if err != nil {
		_ = w.settleDelivery(e.delivery, broker.Requeue) // counted there
		return
	}
	w.log.DebugContext(w.settling, "task parked", "task", e.req.DisplayName(), "id", e.req.ID, "eta", due)
	_ = w.settleDelivery(e.delivery, broker.Ack) // counted there
}

// unlessStale publishes what takes the delivery's place, and gives it up when the delivery goes stale meanwhile: the broker hands that
// out again, and both would run.
func (e *execution) unlessStale(ctx context.Context, publish func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		for pause(ctx, staleCheck) {
			if e.delivery.IsStale() {
				cancel()
			}
		}
	})
	if !e.delivery.IsStale() {
		if err := publish(ctx); err == nil || !e.delivery.IsStale() {
			return err
		}
	}
	return fmt.Errorf("worker: park: %w", broker.ErrStale)
}
