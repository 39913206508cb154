package pool

import (
	"errors"
	"fmt"
)

var (
	// ErrStopped is returned by Submit and Resize once Stop was called, and is the cause of the contexts that Stop cancels.
	ErrStopped = errors.New("pool: stopped")
	// ErrNoSlot is returned when a resource is used with a context that does not come from a slot.
	ErrNoSlot = errors.New("the context comes from no slot: use it inside a job and hand the job's context down")
	// ErrNotHooked is returned when a resource is used on a pool whose hooks do not contain it.
	ErrNotHooked = errors.New("the resource is not among the hooks of this pool: add it to Config.Hooks (task.Needs does)")
	// ErrForeignSlot is what every *OwnershipError is: a slot's value was used outside of the job that it was lent to.
	ErrForeignSlot = errors.New("pool: used outside of its job")
	// ErrConcurrentUse is returned when two goroutines of one job use the slot's value at the same time, or one inside itself.
	ErrConcurrentUse = errors.New("in use by this job already: a slot's value serves one call at a time")
)

// LeftError is returned by Stop when something is left.
type LeftError struct {
	Running int   // jobs whose context Stop has cancelled and which have not returned yet
	Closing int   // slots without a job that have not closed their resources yet
	Stuck   int   // jobs that were given up before (Slot.Abandon) and have not returned either
	Cause   error // why Stop waited no longer; nil when only stuck jobs are left
}

// Error implements error.
func (e *LeftError) Error() string {
	text := fmt.Sprintf("pool: stopped with %d running jobs, %d stuck jobs and %d closing slots left", e.Running, e.Stuck, e.Closing)
	if e.Cause == nil {
		return text
	}
	return text + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *LeftError) Unwrap() error { return e.Cause }
