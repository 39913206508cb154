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

// OwnershipError says that a slot's value was used by somebody else than the job it was lent to. errors.Is finds ErrForeignSlot.
type OwnershipError struct {
	Resource  string // name of the resource
	Slot      int    // the slot that opened the value and owns it
	OpenedFor uint64 // the job of that slot for which it was opened; 0 for none: when the slot started
	LentTo    uint64 // the job of that slot which may use it (or could, when it is over); 0 for none
	UserSlot  int    // the slot of the caller; 0 outside of a pool
	UserJob   uint64 // the job of the caller; 0 outside of a job
	Problem   string // what is wrong, in words
}

// Error implements error.
func (e *OwnershipError) Error() string {
	return fmt.Sprintf("pool: resource %q of slot %d: %s", e.Resource, e.Slot, e.Problem)
}

// Is makes errors.Is(err, ErrForeignSlot) true.
func (e *OwnershipError) Is(target error) bool { return target == ErrForeignSlot }

// LeftError is returned by Stop when jobs are left.
type LeftError struct {
	Running int   // jobs whose context Stop has cancelled and which have not returned yet
	Stuck   int   // jobs that were given up before (Slot.Abandon) and have not returned either
	Cause   error // why Stop waited no longer; nil when only stuck jobs are left
}

// Error implements error.
func (e *LeftError) Error() string {
	text := fmt.Sprintf("pool: stop: %d running and %d stuck jobs are left", e.Running, e.Stuck)
	if e.Cause == nil {
		return text
	}
	return text + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *LeftError) Unwrap() error { return e.Cause }
