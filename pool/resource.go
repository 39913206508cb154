package pool

import (
	"context"
	"errors"
	"time"
)

// Resource is a Hook that gives every slot one value of its own, such as a database connection.
type Resource[T any] struct {
	// Name is for errors and logs.
	Name string
	// Open makes the value. It is called with a context that ends after OpenTimeout.
	Open func(ctx context.Context) (T, error)
	// Close ends the value; optional. It is called with a context that ends after 5 s.
	Close func(ctx context.Context, value T) error
	// Interrupt cuts the value off, so that calls on it fail soon; optional. Unlike all others it must be safe while another
	// goroutine uses the value (close the net.Conn, say). Called when a job leaves a goroutine inside Use, and by Slot.Abandon.
	Interrupt func(value T)
	// Usable is asked after every job that used the value and must not do a round trip; false closes the value. Optional.
	Usable func(value T) bool
	// Peek is asked before every job when the value has been idle for PeekAfter (default 0: always), and must not do a round trip;
	// false closes the value and opens a new one before the job starts. Optional; see internal/netpeek.
	Peek      func(value T) bool
	PeekAfter time.Duration
	// Ping is a round trip, done before use after Failed, and when the value has been idle for PingAfter (default 0: never).
	// Its context ends after PingTimeout (default 1 s). An error closes the value and opens a new one. Optional: without it a
	// value that failed is closed.
	Ping        func(ctx context.Context, value T) error
	PingAfter   time.Duration
	PingTimeout time.Duration
	// OpenTimeout bounds one Open; default 10 s.
	OpenTimeout time.Duration
	// MaxAge is after what time a value is closed between jobs, less a random tenth; 0: never.
	MaxAge time.Duration
	// MaxUses is after how many jobs that used it a value is closed; 0: never.
	MaxUses int
	// Suspect is asked about each error that a function given to Use returns; true is as good as a call of Failed. Optional.
	Suspect func(err error) bool
	// Lazy opens the value at its first use, on the goroutine of that use, not at the start of the slot.
	Lazy bool
}

// SlotStart implements Hook.
func (r *Resource[T]) SlotStart(ctx context.Context, s *Slot) error { return nil }

// SlotReady implements Checker.
func (r *Resource[T]) SlotReady(ctx context.Context, s *Slot) error { return nil }

// JobReady implements Checker.
func (r *Resource[T]) JobReady(ctx context.Context, s *Slot) error { return nil }

// JobDone implements Hook.
func (r *Resource[T]) JobDone(ctx context.Context, s *Slot) {}

// SlotStop implements Hook.
func (r *Resource[T]) SlotStop(ctx context.Context, s *Slot) {}

// Use calls fn with this slot's value and holds it meanwhile; this is the recommended way.
func (r *Resource[T]) Use(ctx context.Context, fn func(value T) error) error {
	return errors.New("pool: not there yet")
}

// Get returns this slot's value, which must not be used after the job; prefer Use.
func (r *Resource[T]) Get(ctx context.Context) (T, error) {
	var zero T
	return zero, errors.New("pool: not there yet")
}

// Failed says that err happened on this slot's value: before its next use it is pinged, or reopened when there is no Ping.
func (r *Resource[T]) Failed(ctx context.Context, err error) {}

// Discard closes this slot's value now; the next use opens a new one.
func (r *Resource[T]) Discard(ctx context.Context) error { return errors.New("pool: not there yet") }
