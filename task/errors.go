package task

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// What a handler may return besides plain errors. They wrap their cause, so errors.Is and errors.As see through them.

// ErrIgnore makes the worker forget the call: the delivery is acknowledged, nothing is stored (Celery's Ignore).
var ErrIgnore = errors.New("task ignored")

// Causes of a cancelled task context (context.Cause), and what a *RemoteError of the same name in Celery matches with errors.Is.
var (
	// ErrSoftTimeLimit: the task should end now (SoftTimeLimitExceeded).
	ErrSoftTimeLimit = errors.New("soft time limit exceeded")
	// ErrTimeLimit: the task was given up (TimeLimitExceeded).
	ErrTimeLimit = errors.New("time limit exceeded")
	// ErrRevoked: the task was revoked or has expired (TaskRevokedError).
	ErrRevoked = errors.New("task revoked")
	// ErrShutdown: the worker stops and its grace is over; the delivery goes back to the queue.
	ErrShutdown = errors.New("worker shutdown")
	// ErrNotRegistered: no task of this name in the worker (NotRegistered).
	ErrNotRegistered = errors.New("task is not registered")
	// ErrWorkerLost: the worker died while it ran the task (WorkerLostError).
	ErrWorkerLost = errors.New("worker lost")
	// ErrLockLost: the task runs no longer under its limit, Unique or MaxConcurrent: its worker could not say in time that it is alive,
	// and another call may have its place. One that ends for this reason runs again when it may.
	ErrLockLost = errors.New("lock lost")
	// ErrMaxRetries: no try is left (MaxRetriesExceededError).
	ErrMaxRetries = errors.New("max retries exceeded")
)

// RetryError asks for another try. Make it with RetryAfter.
type RetryError struct {
	Err   error         // why; may be nil
	After time.Duration // negative: as the task's policy says
}

// Error says why and when.
func (e *RetryError) Error() string {
	text := "retry"
	if e.After >= 0 {
		text = fmt.Sprintf("retry in %s", e.After)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// RetryAfter makes the worker run the task again, with the same id, after the delay; a negative delay means as the task's policy
// says. err is the reason and what the task fails with when no try is left; it may be nil.
func RetryAfter(err error, after time.Duration) error { return &RetryError{Err: err, After: after} }

// PermanentError is a failure that no retry policy applies to. Make it with Permanent.
type PermanentError struct{ Err error }

// Error returns the cause's text.
func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PermanentError) Unwrap() error { return e.Err }

// Permanent marks err as one that a retry cannot mend: the task fails at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &PermanentError{Err: err}
}

// RejectError sends the message away instead of acknowledging it. Make it with Reject or Requeue.
type RejectError struct {
	Err     error // why; may be nil
	Requeue bool
}

// Error says why.
func (e *RejectError) Error() string {
	if e.Err == nil {
		return "rejected"
	}
	return "rejected: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *RejectError) Unwrap() error { return e.Err }

// PythonException implements Raiser: Celery's Reject, with the reason and whether to requeue.
func (e *RejectError) PythonException() Exception {
	var reason any
	if e.Err != nil {
		reason = e.Err.Error()
	}
	return Exception{Type: "Reject", Module: "celery.exceptions", Message: []any{reason, e.Requeue}}
}

// Reject sends the message to the queue's dead letters (Celery's Reject); the task has failed.
func Reject(err error) error { return &RejectError{Err: err} }

// Requeue gives the message back to its queue at once (Celery's Reject with requeue=True). It comes again without delay: prefer
// RetryAfter.
func Requeue(err error) error { return &RejectError{Err: err, Requeue: true} }

// PanicError is the failure of a task that panicked.
type PanicError struct {
	Value any
	Stack []uintptr // program counters of the goroutine that panicked, as runtime.Callers returns them
}

// StackTrace returns Stack.
func (e *PanicError) StackTrace() []uintptr { return e.Stack }

// Error returns the panic's value as text.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// ArgumentError says that a call does not fit the task's parameters. Python callers see a TypeError with the same words that a
// Python function would use.
type ArgumentError struct{ Text string }

// Error returns the text.
func (e *ArgumentError) Error() string { return e.Text }

// PythonException implements Raiser.
func (e *ArgumentError) PythonException() Exception {
	return Exception{Type: "TypeError", Module: "builtins", Message: []any{e.Text}}
}

// ErrDuplicateCall is what a *DuplicateError matches.
var ErrDuplicateCall = errors.New("call is a duplicate")

// DuplicateError says that a call was not sent, because another one of its key waits or runs; see Unique.
type DuplicateError struct {
	Task string
	ID   string // of the other call
}

// Error names the other call.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("task %s: %s of %s", e.Task, ErrDuplicateCall, e.ID)
}

// Unwrap returns ErrDuplicateCall.
func (e *DuplicateError) Unwrap() error { return ErrDuplicateCall }

// BatchError is returned for a batch of calls of which some were not sent.
type BatchError struct {
	Errors []error // one for each call of the batch; nil for those that were sent
}

// Error counts the calls that were not sent and says why the first one was not.
func (e *BatchError) Error() string {
	failed := e.Unwrap()
	switch {
	case len(failed) == 0:
		return "every task was sent"
	case len(e.Errors) == 1:
		return failed[0].Error()
	}
	return fmt.Sprintf("%d of %d tasks were not sent, the first one because: %s", len(failed), len(e.Errors), failed[0])
}

// Unwrap returns the errors that are not nil.
func (e *BatchError) Unwrap() []error {
	return slices.DeleteFunc(slices.Clone(e.Errors), func(err error) bool { return err == nil })
}
