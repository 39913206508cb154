package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// finish makes a verdict true, in the order that loses nothing: what follows published and confirmed, outcome stored, delivery
// settled. That a task is tried again is stored before its next try is on its way, whose outcome it would replace otherwise. The caller
// has claimed the execution or is the only one who knows it.
func (e *execution) finish(v verdict) {
	ctx := e.w.settling
	if v.again {
		e.standBack(ctx, e.w.comeAgain(ctx, e))
		return
	}
	defer e.drop()
	e.updates.end() // also of a task without an outcome: its chord must know what it has added
	if v.state == task.Retried || v.disposition == broker.Requeue {
		e.holdOn(ctx, v)
	}
	var meta task.Meta
	var stored task.State
	if v.state == task.Retried {
		meta, v = e.keep(ctx, v)
		stored = v.state
	}
	v = e.follow(ctx, v)
	if v.disposition == broker.Reject && e.w.keepsDead(e.delivery.Queue) {
		v = e.bury(ctx, v)
	}
	if v.state == task.Failure {
		e.reclaim() // there is no next try, after all
	}
	if v.state != stored {
		meta, v = e.keep(ctx, v)
	}
	if err := e.tell(ctx, v, meta); err != nil {
		v = verdict{disposition: broker.Requeue, err: err}
	}
	if e.spec == nil || !e.spec.AckEarly || e.started.IsZero() {
		how := v.disposition
		if v.buried {
			how = broker.Ack
		}
		if how == broker.Requeue {
			e.yield(ctx, 0)
		}
		if e.w.settleDelivery(e.delivery, how) != nil { // counted there; the broker hands the message out again
			e.disown()
		}
	}
	e.report(ctx, v, meta.Traceback)
}

// publishRetry sends the task again.
func (e *execution) publishRetry(ctx context.Context, v verdict) error {
	now := time.Now()
	msg, err := wire.Retry(e.req, now.Add(v.retryIn), now)
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrInvalid, err)
	}
	to := broker.Address{RoutingKey: e.req.Queue}
	return e.w.persist(ctx, "retry could not be published", e.req, func(ctx context.Context) error {
		return e.w.publishLater(ctx, to, msg, v.retryIn)
	})
}

// publishLater publishes now or, through the broker, after the delay.
func (w *Worker) publishLater(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	if delay <= 0 {
		return w.cfg.Broker.Publish(ctx, to, msg)
	}
	delayer, ok := w.cfg.Broker.(broker.Delayer)
	if !ok {
		return fmt.Errorf("worker: delay a message: the broker cannot: %w", broker.ErrInvalid)
	}
	return delayer.PublishDelayed(ctx, to, msg, delay)
}

// expire settles a request that came too late: REVOKED for its caller, as in Celery.
func (e *execution) expire(ctx context.Context) {
	if !e.claim() {
		return
	}
	e.w.log.InfoContext(ctx, "task expired", "task", e.req.DisplayName(), "id", e.req.ID)
	e.finish(verdict{state: task.Revoked, err: &revoked{"expired"}, disposition: broker.Ack})
}

// store keeps the outcome, for as long as it takes: a store that is away delays the acknowledgement and loses nothing.
func (e *execution) store(ctx context.Context, meta task.Meta) error {
	if e.req.IgnoreResult {
		return nil
	}
	return e.storeOf(ctx, meta)
}

// storeOf is store for a task that is another one, maybe.
func (e *execution) storeOf(ctx context.Context, meta task.Meta) error {
	if e.w.cfg.Results == nil {
		return nil
	}
	return e.w.persist(ctx, "outcome could not be stored", e.req, func(ctx context.Context) error {
		return e.w.cfg.Results.Store(ctx, meta)
	})
}

// persist tries again with growing pauses until it works, ctx is done, or the error is one that time does not mend. Once the worker
// stops there is settleWait for it: a store or broker that is away must not hold up the end of a process. What is not settled then runs
// again elsewhere.
func (w *Worker) persist(ctx context.Context, complaint string, req *task.Request, try func(context.Context) error) error {
	for wait := retryFirst; ; wait = min(2*wait, retryMax) {
		last := w.stopping.Err() != nil
		err := w.attempt(ctx, last, try)
		if err == nil || isFinal(err) {
			return err
		}
		if last || w.patient.Err() != nil {
			return fmt.Errorf("%s: %w", complaint, err)
		}
		w.log.WarnContext(ctx, "settling was delayed", "reason", complaint, "task", req.Name, "id", req.ID, "error", err, "retry_in", wait.Seconds())
		if wait == retryFirst {
			w.delayed.Add(1)
			defer w.delayed.Add(-1)
		}
		if !pause(ctx, wait) {
			return fmt.Errorf("%s: %w", complaint, err)
		}
	}
}

// attempt makes one attempt at settling, in its time.
func (w *Worker) attempt(ctx context.Context, last bool, try func(context.Context) error) error {
	if !last {
		return try(w.attempts.context())
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	return try(ctx)
}

// isFinal reports whether time does not mend the error. A delay queue that is missing and may not be declared here is one that
// somebody can create.
func isFinal(err error) bool {
	return errors.Is(err, broker.ErrInvalid) || errors.Is(err, broker.ErrClosed) || errors.Is(err, broker.ErrStale) ||
		errors.Is(err, result.ErrInvalid) || errors.Is(err, result.ErrClosed) ||
		errors.Is(err, broker.ErrUnroutable) && !errors.Is(err, broker.ErrNoQueue)
}

// settleDelivery tells the broker. A stale delivery is no accident: the broker hands the message out again.
func (w *Worker) settleDelivery(a *arrival, how broker.Disposition) error {
	ctx := w.goodbyes.context()
	if how == broker.Requeue {
		how = w.giveBack(ctx, a)
	}
	a.settled.Store(true)
	err := a.Settle(ctx, how)
	if errors.Is(err, broker.ErrSettled) { // with early acknowledgement, when the shutdown cuts the task off
		w.log.ErrorContext(ctx, "task was acknowledged early and does not run again", "queue", a.Queue, "id", a.CorrelationID)
		return err
	}
	if err != nil {
		w.counts.lost.Add(1)
		if a.suspect != nil {
			w.lived.add(wire.Identify(a.Delivery).ID)
		}
		w.log.WarnContext(ctx, "delivery was lost before it was settled and comes again", "queue", a.Queue, "id", a.CorrelationID, "error", err)
		return err
	}
	w.counts.settled.Add(1)
	return nil
}

// overtime is the failure of a task that outlasted its hard time limit.
type overtime struct{ limit time.Duration }

func (e *overtime) Error() string { return fmt.Sprintf("%s: %s", task.ErrTimeLimit, e.limit) }

func (e *overtime) Unwrap() error { return task.ErrTimeLimit }

// seconds are a whole number where they can be, as in the message that sets the limit.
func (e *overtime) seconds() any {
	if e.limit%time.Second == 0 {
		return int64(e.limit / time.Second)
	}
	return e.limit.Seconds()
}

// PythonException implements task.Raiser.
func (e *overtime) PythonException() task.Exception {
	return task.Exception{Type: "TimeLimitExceeded", Module: "billiard.exceptions", Message: []any{e.seconds()}}
}

// revoked is the outcome of a task that was not allowed to run.
type revoked struct{ reason string }

func (e *revoked) Error() string { return e.reason }

func (e *revoked) Unwrap() error { return task.ErrRevoked }

// PythonException implements task.Raiser.
func (e *revoked) PythonException() task.Exception {
	return task.Exception{Type: "TaskRevokedError", Module: "celery.exceptions", Message: []any{e.reason}}
}
