package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// remedy is what to do with a message whose earlier deliveries ended without an outcome.
type remedy uint8

const (
	proceed remedy = iota // run it
	recount               // send it once more, with the count on it, because its queue does not count
	isolate               // send it to the quarantine
	condemn               // it killed its workers
)

// diagnose says how many deliveries of the message ended without an outcome, and what to do about it. It decides and does nothing.
//
// What was prefetched dies together with the task that killed the worker. Only in the quarantine, where a message is delivered and run
// alone, does a death tell which it was: so nothing is condemned elsewhere, and the last death that is allowed happens there.
func diagnose(d *broker.Delivery, known int, suspect bool, limit int) (deaths int, what remedy) {
	deaths = known
	switch {
	case d.Recovered && (!suspect || deaths < limit): // otherwise it is condemned, and was about to be read
		return deaths, proceed
	case d.Recovered:
	case d.Count >= 0:
		deaths += d.Count
	case d.Redelivered:
		deaths++
	}
	switch {
	case suspect && deaths >= limit:
		return deaths, condemn
	case suspect || deaths == 0:
		return deaths, proceed
	case deaths >= limit-1:
		return deaths, isolate
	case d.Count < 0 && d.Redelivered:
		return deaths, recount
	}
	return deaths, proceed
}

// admit asks, before anything looks at the message, what became of its earlier deliveries. It returns false when the message has been
// settled.
func (w *Worker) admit(ctx context.Context, a *arrival) bool {
	if !w.keepsDead(a.Queue) {
		return true
	}
	if a.suspect != nil && w.lived.take(wire.Identify(a.Delivery).ID) {
		a.Recovered = true
	}
	var what remedy
	a.deaths, what = diagnose(a.Delivery, a.known, a.suspect != nil, w.cfg.DeliveryLimit)
	switch what {
	case recount:
		return !w.relocate(ctx, a, a.Queue)
	case isolate:
		return !w.relocate(ctx, a, deadletter.Quarantine(a.Queue))
	case condemn:
		w.condemn(ctx, a)
		return false
	case proceed:
	}
	return true
}

// relocate replaces the message by a stamped copy in a queue. It returns false for one that cannot be sent again: that one is run where
// it is.
func (w *Worker) relocate(ctx context.Context, a *arrival, queue string) bool {
	req := wire.Identify(a.Delivery)
	err := w.persist(w.settling, "suspect could not be sent on", req, func(ctx context.Context) error { return w.resend(ctx, a, queue) })
	switch {
	case err == nil:
		w.log.WarnContext(ctx, "task came again without an outcome", "task", req.Name, "id", req.ID, "deliveries", a.deaths, "queue", queue)
		_ = w.settleDelivery(a, broker.Ack) // counted there; a copy too many runs twice
		if queue != a.Queue {
			w.poke()
		}
		return true
	case errors.Is(err, broker.ErrInvalid):
		w.log.WarnContext(ctx, "deaths of the task's workers cannot be counted", "task", req.Name, "id", req.ID, "error", err)
		return false
	}
	_ = w.settleDelivery(a, broker.Requeue) // the worker gives up
	return true
}

// condemn ends the message that killed its workers. Those who wait for it are named in its body, and reading that may be what kills: so
// it is read once, and that is counted before. Whoever gets the message after that looks at the headers only.
func (w *Worker) condemn(ctx context.Context, a *arrival) {
	e := &execution{w: w, delivery: a, req: wire.Identify(a.Delivery), received: time.Now()}
	switch counted := a.Count >= 0 || a.known >= w.cfg.DeliveryLimit; {
	case a.deaths > w.cfg.DeliveryLimit: // it was read
	case counted:
		if req, err := wire.Decode(a.Delivery, w.cfg.Accept, w.cfg.Limits); err == nil {
			e.req = req
			e.Followers, _ = w.readFollowers(req) // what can be read is told
		}
	case w.countReading(ctx, a, e.req):
		return
	}
	e.req.Hostname = w.cfg.Hostname
	e.lookUp()
	w.running.add(e)
	err := &workerLostError{a.deaths}
	w.log.ErrorContext(ctx, "task was condemned", "task", e.req.DisplayName(), "id", e.req.ID, "queue", a.Queue, "error", err)
	e.claim()
	v := verdict{err: err, disposition: broker.Reject, reason: deadletter.DeliveryLimit}
	if e.req.ID != "" {
		v.state = task.Failure
	}
	e.finish(v)
}

// countReading replaces the message by a copy that says that its workers' deaths are as many as may be, so that its next delivery is the
// one that is read. It returns false for one that cannot be sent again.
func (w *Worker) countReading(ctx context.Context, a *arrival, req *task.Request) bool {
	err := w.persist(w.settling, "suspect could not be sent on", req, func(ctx context.Context) error {
		return w.resendAs(ctx, a, a.suspect.quarantine, w.cfg.DeliveryLimit)
	})
	switch {
	case errors.Is(err, broker.ErrInvalid):
		w.log.WarnContext(ctx, "what waits for a condemned task cannot be told", "task", req.Name, "id", req.ID, "error", err)
		return false
	case err == nil:
		_ = w.settleDelivery(a, broker.Ack) // counted there; a copy too many is condemned twice
	default:
		_ = w.settleDelivery(a, broker.Requeue) // the worker gives up
	}
	close(a.suspect.over)
	w.poke()
	return true
}

// workerLostError is the failure of a task whose workers died.
type workerLostError struct{ deaths int }

func (e *workerLostError) Error() string {
	return fmt.Sprintf("the worker was lost %d times while it had this task", e.deaths)
}

func (e *workerLostError) Unwrap() error { return task.ErrWorkerLost }
