package worker

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// asideMost is how many executions are settled beside the slots at a time. The prefetch bounds them, too, but for tasks that are
// acknowledged early, and where it is larger.
const asideMost = 128

// asideIdle is how long nothing has been settled when the goroutines for it end.
const asideIdle = 5 * time.Second

// encode writes down the result of a success while the slot is still the task's: what was returned may be a part of what the slot keeps
// for its next one. A result that is no value fails the task; that is found out before anything has been sent.
func (e *execution) encode(v verdict, result any) verdict {
	var err error
	if e.result, err = encode(e.w.outcomes, result); err == nil && e.isFollowed() {
		e.handed, err = encode(e.req.Codec, result)
	}
	if err != nil {
		return verdict{state: task.Failure, err: &encodeError{err}, disposition: v.disposition}
	}
	if e.w.log.Enabled(e.w.settling, slog.LevelInfo) {
		e.repr = reprResult(result)
	}
	return v
}

// encode encodes a result. A panic, of a type's own MarshalJSON say, is an error: it must not end the worker.
func encode(c codec.Codec, result any) (raw codec.Raw, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &task.PanicError{Value: v}
		}
	}()
	return c.Marshal(result)
}

// reprResult shows a result in the log. A panic, of an error's own Error say, must not keep the task from being settled.
func reprResult(result any) (repr string) {
	defer func() {
		if v := recover(); v != nil {
			repr = fmt.Sprintf("<%T>", result)
		}
	}()
	return task.ReprResult(result)
}

// isFollowed reports whether calls are linked to the success of the task.
func (e *execution) isFollowed() bool { return len(e.Links)+len(e.Chain) > 0 }

// settle settles an execution whose handler has returned. What has to wait for the broker or a store does so beside the slot, which takes
// its next task meanwhile; the order of the steps is the same.
//
// It waits on the slot after all where that is what bounds the work: with as many beside it as may be; while the store or the broker is
// away, since it makes no sense to run tasks whose outcomes cannot be kept; and in the solo pool, which promises one thing after the other.
// When the worker stops, so does the pool, which then waits for its slots.
func (w *Worker) settle(e *execution, v verdict) {
	if w.cfg.Pool == pool.Solo || !e.waits(v) || w.delayed.Load() > 0 || w.stopping.Err() != nil {
		e.finish(v)
		return
	}
	select {
	case w.unsettled <- settling{e, v}:
		return
	default: // nobody has nothing to do
	}
	select {
	case w.aside <- struct{}{}:
		go w.settleAside(settling{e, v}) // waited for by settleAll
	default:
		e.finish(v)
	}
}

// settling is an execution that is to be settled.
type settling struct {
	e *execution
	v verdict
}

// settleAside settles one execution after the other, until none comes any more: a goroutine for each would have to grow its stack anew.
func (w *Worker) settleAside(next settling) {
	defer func() { <-w.aside }()
	for {
		w.settleOne(next)
		select {
		case next = <-w.unsettled:
		case w.idle <- struct{}{}:
			return
		case <-w.stopping.Done():
			return
		}
	}
}

// settleOne settles an execution. A panic, of an error's own methods say, does not end the worker, as on a slot; the delivery comes again.
func (w *Worker) settleOne(s settling) {
	defer func() {
		if v := recover(); v != nil {
			w.log.ErrorContext(w.settling, "settling panicked", "task", s.e.req.DisplayName(), "id", s.e.req.ID,
				"error", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	s.e.finish(s.v)
}

// retireIdle ends the goroutines that have nothing to settle, once nothing has been settled for a while: a timer for each of their waits
// would cost more than they save.
func (w *Worker) retireIdle() {
	for before := uint64(0); pause(w.stopping, asideIdle); {
		now := w.counts.settled.Load()
		for quiet := now == before; quiet; {
			select {
			case <-w.idle:
			default:
				quiet = false
			}
		}
		before = now
	}
}

// settleAll waits until nothing is settled beside the slots any more, and lets nothing begin to be.
func (w *Worker) settleAll() {
	for range asideMost {
		w.aside <- struct{}{}
	}
}

// waits reports whether settling has to wait for more than the delivery's acknowledgement, which is not waited for.
func (e *execution) waits(v verdict) bool {
	return v.state != task.Success || e.isKept() || e.isFollowed() || e.Chord != nil || e.spec.Unique != nil || e.spec.Capacity != nil
}

// isKept reports whether there is a store that keeps the outcome.
func (e *execution) isKept() bool {
	if e.w.cfg.Results == nil || e.req.IgnoreResult {
		return false
	}
	_, answers := e.w.cfg.Results.(result.Replier)
	return !answers || e.req.ReplyTo != ""
}
