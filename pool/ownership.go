package pool

import "fmt"

// OwnershipError says that a slot's value was used by somebody else than the job that the slot lent it to. errors.Is finds
// ErrForeignSlot in it.
type OwnershipError struct {
	Resource  string // its name
	Slot      int    // the slot that opened the value and owns it
	OpenedFor uint64 // the job of that slot during which it was opened; 0: between jobs
	LentTo    uint64 // the job of that slot that may use it, as far as the caller can know; 0: none, only the slot's hooks
	UserSlot  int    // the slot of the caller; 0: none
	UserJob   uint64 // the job of the caller; 0: none
	Reason    string // why that is refused
}

// Error implements error.
func (e *OwnershipError) Error() string {
	opened := fmt.Sprintf("opened by slot %d", e.Slot)
	if e.OpenedFor > 0 {
		opened += fmt.Sprintf(" for job %d", e.OpenedFor)
	}
	lent := "can only be used by its hooks"
	if e.LentTo > 0 {
		lent = fmt.Sprintf("was lent to its job %d and can only be used there", e.LentTo)
	}
	user := "outside of a pool"
	switch {
	case e.UserJob > 0:
		user = fmt.Sprintf("by slot %d with the context of its job %d", e.UserSlot, e.UserJob)
	case e.UserSlot > 0:
		user = fmt.Sprintf("by slot %d between its jobs", e.UserSlot)
	}
	return fmt.Sprintf("pool: resource %q was %s, %s; it was used %s: %s", e.Resource, opened, lent, user, e.Reason)
}

// Is makes errors.Is(err, ErrForeignSlot) true.
func (e *OwnershipError) Is(target error) bool { return target == ErrForeignSlot }

// foreign describes the use of the value of owner by caller, nil for a caller without a slot.
func (r *Resource[T]) foreign(owner, caller *Slot) error {
	e := &OwnershipError{Resource: r.Name, Slot: owner.ID(), LentTo: owner.Job(), Reason: reason(owner, caller)}
	if caller != nil {
		e.UserSlot, e.UserJob = caller.ID(), caller.Job()
	}
	if c, err := r.cell(owner); err == nil {
		e.OpenedFor = c.openedFor()
	}
	return e
}

// reason says why caller may not use what owner has.
func reason(owner, caller *Slot) string {
	now := owner.seat.epoch.Load()
	switch {
	case caller == nil:
		return "the context comes from no slot"
	case caller.seat != owner.seat:
		return "that is another slot"
	case owner.epoch == now && *caller == *owner:
		return "only the pool calls a slot's hooks, between its jobs"
	case now&over != 0:
		return "that slot has ended"
	case now&gone != 0:
		return "that job was given up"
	case now&1 == 1 && caller.epoch != now:
		return fmt.Sprintf("that is over, slot %d runs its job %d now", owner.ID(), jobNumber(now))
	case caller.epoch != now:
		return "that is over"
	}
	return "that is another job"
}
