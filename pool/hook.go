package pool

import "context"

// Hook is told of the life of each slot. All methods run on the slot's own goroutine, one at a time; one hook serves all slots, so
// what belongs to a slot is kept in a Resource. The context carries the slot as a job's does.
type Hook interface {
	// SlotStart runs before the slot takes its first job. A slot whose hook fails takes none and calls it again after a while.
	SlotStart(ctx context.Context, s *Slot) error
	// JobDone runs after every job, also one that panicked or was cancelled. The context is not cancelled.
	JobDone(ctx context.Context, s *Slot)
	// SlotStop runs when the slot ends, also after a SlotStart that failed. The context is not cancelled.
	SlotStop(ctx context.Context, s *Slot)
}

// Checker is a Hook that also is asked between jobs. An error means: not yet; the slot asks again after a while.
type Checker interface {
	Hook
	// SlotReady runs before the slot waits for its next job: until it returns nil, the slot takes none.
	SlotReady(ctx context.Context, s *Slot) error
	// JobReady runs when a job has come, before it starts: until it returns nil, the job waits.
	JobReady(ctx context.Context, s *Slot) error
}
