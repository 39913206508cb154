package worker

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// execution is one delivery on its way through the worker. Each step fills its own fields.
type execution struct {
	w        *Worker
	delivery *arrival
	received time.Time
	req      *task.Request // decode
	spec     *task.Spec    // lookup
	workflow.Followers
	permits permits

	running task.Run   // of the handler
	trail   task.Trail // what the task, or the worker on its behalf, has sent
	updates updates
	added   atomic.Int32 // calls that the task has added to its chord

	// claimed is set by whoever ends the execution: the slot, the hard time limit, or the shutdown.
	claimed atomic.Bool
	started time.Time
	result  codec.Raw // of a success, encoded
	handed  codec.Raw // the same for what is linked to the task, in the codec of its message
	repr    string    // the same for the log

	mu     sync.Mutex              // guards the fields below
	cancel context.CancelCauseFunc // of the running handler's context; nil before and after
	slot   *pool.Slot              // that the handler has for itself; nil before, and in a batch
	seated bool                    // the batch that it runs in has not ended
	doomed bool                    // it was terminated before its handler ran
}

// claim reports whether the caller is the one who ends the execution.
func (e *execution) claim() bool { return e.claimed.CompareAndSwap(false, true) }

// run is the job: on a slot's goroutine.
func (e *execution) run(ctx context.Context) {
	if settle := e.begin(ctx); settle != nil {
		settle()
		return
	}
	e.conclude(e.handle(ctx, pool.SlotFrom(ctx)))
}

// begin asks once more, on the slot, whether the task may start. It returns what settles the one that may not, nil for one that may.
func (e *execution) begin(ctx context.Context) (settle func()) {
	if ctx.Err() != nil || e.delivery.IsStale() {
		return e.giveBack // the pool stops, or the broker hands the message out again; nothing has started
	}
	now := time.Now()
	switch { // since it was received
	case e.w.isRevoked(e):
		return func() { e.discard(ctx) }
	case e.expired(now):
		return func() { e.expire(ctx) }
	}
	if settle := e.enter(ctx); settle != nil {
		return settle
	}
	if e.spec.AckEarly && e.w.settleDelivery(e.delivery, broker.AckNow) != nil {
		e.disown()
		return e.drop // the broker hands it out again: at most once means not here
	}
	e.started = now
	e.showStarted(ctx)
	return nil
}

// conclude makes the outcome of a task that has ended true, unless its time limit or the shutdown has ended it before. It does not wait
// for it.
func (e *execution) conclude(end ending) {
	if !e.claim() {
		e.returned()
		return
	}
	v := judge(end, e.req.Retries, &e.spec.Settings)
	if errors.Is(v.err, task.ErrShutdown) {
		e.w.counts.cut.Add(1)
	}
	if v.state == task.Success {
		v = e.encode(v, end.result)
	}
	e.w.settle(e, v)
}

// handle runs the handler under the time limits. In a batch there is no slot that is this task's own: the batch has the limits, and a
// termination cancels the context and no more.
func (e *execution) handle(ctx context.Context, slot *pool.Slot) ending {
	ctx, cancel := context.WithCancelCause(task.WithRun(ctx, e.asRun()))
	defer cancel(nil)
	e.interruptible(cancel)
	defer e.interruptible(nil)
	if e.isDoomed(slot) {
		return ending{err: task.ErrRevoked, cause: task.ErrRevoked}
	}
	e.interruptLost()
	if slot != nil {
		defer e.limit(ctx, cancel, slot)()
	}
	result, err := e.call(ctx)
	end := ending{result: result, err: err}
	if ctx.Err() != nil {
		end.cause = context.Cause(ctx)
	}
	return end
}

// asRun is what the handler's context carries.
func (e *execution) asRun() *task.Run {
	e.running = task.Run{Request: e.req, Trail: &e.trail, Update: e.update}
	if e.Chord != nil {
		e.running.Joining = e.extend
	}
	return &e.running
}

// interruptible says how to cancel the handler's context while it runs.
func (e *execution) interruptible(cancel context.CancelCauseFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cancel = cancel
}

// interrupt cancels the context of the handler while it runs, from any goroutine.
func (e *execution) interrupt(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cancel != nil {
		e.cancel(cause)
	}
}

// isHandling reports whether a handler runs, or the function of its batch.
func (e *execution) isHandling() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cancel != nil || e.seated
}

// seat says that the execution's batch begins, or has ended.
func (e *execution) seat(taken bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seated = taken
}

// maxFrames is how much of a panic's stack is kept.
const maxFrames = 100

// call runs the handler and turns a panic into an error.
func (e *execution) call(ctx context.Context) (result any, err error) {
	defer func() {
		if v := recover(); v != nil {
			stack := make([]uintptr, maxFrames)
			err = &task.PanicError{Value: v, Stack: stack[:runtime.Callers(1, stack)]}
		}
	}()
	if e.spec == e.w.builtin[e.req.Name] {
		ctx = context.WithValue(ctx, executionKey{}, e)
	}
	return e.w.handlers[e.spec].Handle(ctx, e.req)
}

// limits are the time limits: those of the message win over the task's, and those over the worker's.
func (e *execution) limits() (soft, hard time.Duration) {
	soft, hard = e.w.timeLimits(e.spec)
	return firstSet(e.req.SoftTimeLimit, soft), firstSet(e.req.TimeLimit, hard)
}

// limit starts the timers of the time limits and returns what stops them.
func (e *execution) limit(ctx context.Context, cancel context.CancelCauseFunc, slot *pool.Slot) (stop func()) {
	soft, hard := e.limits()
	if soft == 0 && hard == 0 {
		return func() {} // most tasks have none
	}
	return timers(
		timer{soft, func() {
			e.w.log.WarnContext(ctx, "soft time limit exceeded", "task", e.req.DisplayName(), "id", e.req.ID, "limit", soft.Seconds())
			cancel(task.ErrSoftTimeLimit)
		}},
		timer{hard, func() { e.outlast(ctx, cancel, slot, hard) }},
	)
}

type timer struct {
	after time.Duration // 0: never
	then  func()
}

// timers starts them and returns what stops them.
func timers(list ...timer) (stop func()) {
	var started []*time.Timer
	for _, t := range list {
		if t.after > 0 {
			started = append(started, time.AfterFunc(t.after, t.then))
		}
	}
	return func() {
		for _, t := range started {
			t.Stop()
		}
	}
}

// outlast ends an execution whose handler does not: on the timer's goroutine, while the handler may still run on the given-up slot.
func (e *execution) outlast(ctx context.Context, cancel context.CancelCauseFunc, slot *pool.Slot, hard time.Duration) {
	if !e.claim() {
		return
	}
	cancel(task.ErrTimeLimit)
	slot.Abandon()
	e.w.log.ErrorContext(ctx, "hard time limit exceeded", "task", e.req.DisplayName(), "id", e.req.ID, "limit", hard.Seconds())
	e.finish(judge(ending{limit: hard}, e.req.Retries, &e.spec.Settings))
}

// giveBack ends an execution without an outcome: the broker hands the delivery out again.
func (e *execution) giveBack() {
	if !e.claim() {
		return
	}
	e.yield(e.w.settling, 0)
	_ = e.w.settleDelivery(e.delivery, broker.Requeue) // counted there
	e.drop()
}

// drop forgets an execution that is over.
func (e *execution) drop() {
	e.leave()
	e.w.running.remove(e)
	if e.delivery.suspect != nil {
		close(e.delivery.suspect.over)
	}
}

func (e *execution) expired(now time.Time) bool {
	return !e.req.Expires.IsZero() && now.After(e.req.Expires)
}

func firstSet(limits ...time.Duration) time.Duration {
	for _, l := range limits {
		if l > 0 {
			return l
		}
	}
	return 0
}
