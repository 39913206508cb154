package pool

import (
	"context"
	"log/slog"
	"time"
)

// Job is one piece of work. Its context carries the slot (see SlotFrom) and is cancelled by nothing but the end of Stop's grace;
// limits and revocations are the caller's, who derives from it. A job that submits to its own pool and waits can wait for ever.
//
// A job may find its context done at its first line: then the pool was stopped while the slot could not open its resources, so
// nothing of the job was started and its message can go back as it came. Stop brings that about at once, not after the grace.
type Job func(ctx context.Context)

// Pool runs jobs on slots, one job at a time on each. All methods are safe for concurrent use.
type Pool interface {
	// Submit waits until a slot takes the job, not until the job is done. The job is taken once, or not at all when an error is
	// returned: the cause of ctx, or ErrStopped.
	Submit(ctx context.Context, job Job) error
	// Resize changes the number of slots and does not wait for it: new slots start at once, superfluous ones end at once when they
	// are idle and after their job when they are busy. It returns ErrStopped after Stop, and an error for a number that this kind
	// of pool cannot have.
	Resize(n int) error
	// Stats counts the slots and jobs of this moment.
	Stats() Stats
	// Stop takes no more jobs and waits for the running ones. When ctx ends first, it cancels the contexts of what still runs with
	// a cause that is both ErrStopped and the cause of ctx, and returns a *LeftError. Calling it again waits for those, under the
	// new context. Slots end themselves: the hooks' SlotStop of each slot has run when its last job has returned.
	// Jobs that were given up are not waited for; they are counted in the *LeftError.
	Stop(ctx context.Context) error
}

// Config of a pool.
type Config struct {
	// Size is how many slots there are, at least 1. Solo also takes 0 and always has one.
	Size int
	// Hooks are told of the life of each slot: SlotStart in this order, JobDone and SlotStop in the reverse one.
	Hooks []Hook
	// MaxStuck is how many given-up slots are replaced by new ones at the same time. Beyond it the pool works with fewer slots
	// until a stuck job returns. 0 means Size, but at least 8; negative: none is replaced.
	MaxStuck int
	// RetryMin and RetryMax bound the wait before a slot tries again to open its resources: it starts at RetryMin, doubles up to
	// RetryMax and is jittered by half. Defaults 100 ms and 5 s.
	RetryMin, RetryMax time.Duration
	// Logger gets what happens to slots; slog.DiscardHandler when nil.
	Logger *slog.Logger
}

// Stats of a pool at one moment. Busy + Idle + Opening may differ from Size while slots start and end.
type Stats struct {
	Kind     Kind
	Size     int    // slots asked for (Config.Size, Resize)
	Busy     int    // slots that hold a job
	Idle     int    // slots that wait for a job, with those that would be started for one
	Opening  int    // slots that cannot take a job, because their resources are not open yet
	Stuck    int    // given-up slots whose job has not returned
	MaxStuck int    // how many of them are replaced
	Started  uint64 // jobs started since New
	Done     uint64 // jobs that returned (or panicked) since New
	Panics   uint64 // jobs that panicked up to the pool
}
