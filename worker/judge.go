package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// ending is how a handler ended.
type ending struct {
	result any
	err    error
	cause  error // of the cancelled context, nil while it is not
	// limit is the hard time limit that ended the task; 0 when it returned by itself.
	limit time.Duration
}

// verdict is what to do about it.
type verdict struct {
	state task.State // "": nothing is stored
	err   error      // why, for the exceptional states
	// disposition of the delivery; with early acknowledgement it is settled already.
	disposition broker.Disposition
	reason      deadletter.Reason // of a rejection
	buried      bool              // a copy is in the dead letters of the worker's own: the delivery is done
	retryIn     time.Duration     // before the next try, when state is Retried
	again       bool              // it runs again when its limits let it, as if it had not run
	replacement *task.Signature   // runs in its place
}

// judge is the whole outcome policy. It decides and does nothing.
func judge(end ending, retries int, settings *task.Settings) verdict {
	err := end.err
	if end.limit > 0 {
		return failure(&overtime{end.limit}, settings)
	}
	if err == nil {
		return verdict{state: task.Success, disposition: broker.Ack}
	}
	if errors.Is(err, task.ErrIgnore) {
		return verdict{disposition: broker.Ack, err: err}
	}
	if reject, ok := errors.AsType[*task.RejectError](err); ok {
		if reject.Requeue {
			return verdict{disposition: broker.Requeue, err: err}
		}
		return verdict{state: task.Failure, disposition: broker.Reject, reason: deadletter.Rejected, err: err}
	}
	if errors.Is(end.cause, task.ErrRevoked) { // whatever the error: it was asked to end, and did not succeed
		return verdict{state: task.Revoked, err: &revoked{"terminated"}, disposition: broker.Ack}
	}
	if other, ok := errors.AsType[*task.ReplaceError](err); ok {
		return verdict{replacement: &other.With, disposition: broker.Ack, err: err}
	}
	if stopped(end) {
		return verdict{disposition: broker.Requeue, err: task.ErrShutdown}
	}
	if unprotected(end) && !settings.AckEarly {
		return verdict{again: true, err: task.ErrLockLost}
	}
	if (errors.Is(end.cause, task.ErrSoftTimeLimit) || errors.Is(end.cause, task.ErrLockLost)) && errors.Is(err, context.Canceled) {
		err = limited(end.cause, err)
	}
	if wait, cause, ok := retry(err, retries, settings.Retry); ok {
		return verdict{state: task.Retried, err: cause, disposition: broker.Ack, retryIn: wait}
	}
	if again, ok := errors.AsType[*task.RetryError](err); ok {
		if err = again.Err; err == nil {
			err = fmt.Errorf("%w: %d", task.ErrMaxRetries, retries)
		}
	}
	return failure(err, settings)
}

// limited is the failure of a task that ended at its soft time limit. One that says no more than that it was cancelled is the limit's
// own.
func limited(cause, err error) error {
	if err == context.Canceled { //nolint:errorlint // one that wraps it says more
		return cause
	}
	return fmt.Errorf("%w: %w", cause, err)
}

func failure(err error, settings *task.Settings) verdict {
	v := verdict{state: task.Failure, err: err, disposition: broker.Ack}
	if settings.RejectOnFailure {
		v.disposition, v.reason = broker.Reject, deadletter.Failed
	}
	return v
}

// stopped reports whether the task failed because the worker went away under it: that is not the task's outcome.
func stopped(end ending) bool {
	away := errors.Is(end.cause, task.ErrShutdown) || errors.Is(end.cause, pool.ErrStopped)
	return away && (errors.Is(end.err, context.Canceled) || errors.Is(end.err, end.cause))
}

// unprotected reports whether the task failed because its place was lost under it.
func unprotected(end ending) bool {
	return errors.Is(end.cause, task.ErrLockLost) && (errors.Is(end.err, context.Canceled) || errors.Is(end.err, task.ErrLockLost))
}

// retry says whether the task runs again after err, when, and why.
func retry(err error, retries int, policy *task.RetryPolicy) (wait time.Duration, cause error, ok bool) {
	if _, permanent := errors.AsType[*task.PermanentError](err); permanent {
		return 0, nil, false
	}
	asked, explicit := errors.AsType[*task.RetryError](err)
	if !explicit && (policy == nil || policy.If != nil && !policy.If(err)) {
		return 0, nil, false
	}
	if policy == nil {
		policy = &task.RetryPolicy{}
	}
	if !policy.Allows(retries) {
		return 0, nil, false
	}
	if !explicit {
		return policy.Wait(retries), err, true
	}
	if asked.After < 0 {
		return policy.Wait(retries), asked.Err, true
	}
	return asked.After, asked.Err, true
}
