package worker

import (
	"context"
	"errors"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// keep stores the outcome. It returns the outcome with what the verdict has become. One that
// the store can never keep, because it is too large say, is a failure, as one that cannot be encoded is: to run the task again would only
// bring it again.
func (e *execution) keep(ctx context.Context, v verdict) (task.Meta, verdict) {
	meta := e.meta(v)
	err := e.store(ctx, meta)
	if errors.Is(err, result.ErrInvalid) {
		e.w.log.ErrorContext(ctx, "outcome cannot be kept", "task", e.req.DisplayName(), "id", e.req.ID, "state", meta.State, "error", err)
		if !v.state.Ready() { // nobody waits for it
			return meta, v
		}
		v = verdict{state: task.Failure, err: &encodeError{err}, disposition: v.disposition}
		meta = e.meta(v)
		if err = e.store(ctx, meta); errors.Is(err, result.ErrInvalid) {
			err = nil // there is no telling the caller
		}
	}
	if err != nil {
		v = verdict{disposition: broker.Requeue, err: err}
	}
	return meta, v
}
