package pool

import "context"

// Hook is told of the life of each slot. All three run on the slot's own goroutine.
type Hook interface {
	// SlotStart runs before the slot takes its first job; a slot whose hook fails takes none and tries again with back-off.
	SlotStart(ctx context.Context, s *Slot) error
	// JobDone runs after every job.
	JobDone(ctx context.Context, s *Slot)
	// SlotStop runs when the slot ends, also after a SlotStart that failed half way.
	SlotStop(ctx context.Context, s *Slot)
}
