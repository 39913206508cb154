package pool

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	defaultOpenTimeout = 10 * time.Second
	defaultPingTimeout = time.Second
	closeTimeout       = 5 * time.Second
)

// Resource is a Hook that gives every slot one value of its own, such as a database connection. Put one Resource into Config.Hooks
// and reach the value of the slot at hand with Use. The value is opened, checked and closed by its slot, between jobs; the fields
// must not change once a pool has the Resource. Only Open is required.
type Resource[T any] struct {
	// Name is for errors and logs.
	Name string
	// Open makes the value. Its context ends after OpenTimeout (default 10 s), or when the slot is told to end.
	Open        func(ctx context.Context) (T, error)
	OpenTimeout time.Duration
	// Close ends the value. Its context ends after 5 s.
	Close func(ctx context.Context, value T) error
	// Interrupt cuts the value off, so that calls on it fail soon. Unlike all the others it must be safe while another goroutine
	// uses the value, and must not block: close the net.Conn, say. It is called when a job leaves a goroutine inside Use, and by
	// Slot.Abandon. Without it, such a value lives until that goroutine returns.
	Interrupt func(value T)
	// Usable is asked after every job that used the value, and must not do a round trip; false closes the value.
	Usable func(value T) bool
	// Peek is asked before every job, when the value has been idle for PeekAfter (default 0: always), and must not do a round trip;
	// false closes the value and opens a new one before the job starts.
	Peek      func(value T) bool
	PeekAfter time.Duration
	// Ping is a round trip, done before the next use after Failed, and before a job when the value has been idle for PingAfter
	// (default 0: never). Its context ends after PingTimeout (default 1 s). An error closes the value and opens a new one. Without
	// Ping, a value that failed is closed.
	Ping        func(ctx context.Context, value T) error
	PingAfter   time.Duration
	PingTimeout time.Duration
	// MaxAge is after what time a value is replaced, between jobs, less a random tenth, so that slots do not do it all at once;
	// 0: never.
	MaxAge time.Duration
	// MaxUses is after how many jobs that used it a value is replaced; 0: never.
	MaxUses int
	// Suspect is asked about each error that the function given to Use returns; true is as good as a call of Failed.
	Suspect func(err error) bool
	// Lazy opens the value at its first use, on the goroutine of that use, instead of before the slot takes a job.
	Lazy bool
}

// SlotStart implements Hook.
func (r *Resource[T]) SlotStart(ctx context.Context, s *Slot) error {
	if err := r.checkHook(ctx, s); err != nil {
		return err
	}
	if r.Open == nil {
		return fmt.Errorf("pool: resource %q has no Open", r.Name)
	}
	if s.seat.cells[r] == nil {
		s.seat.cells[r] = &cell[T]{cut: r.Interrupt}
	}
	return r.keep(ctx, s, afterFailure)
}

// SlotReady implements Checker.
func (r *Resource[T]) SlotReady(ctx context.Context, s *Slot) error {
	if err := r.checkHook(ctx, s); err != nil {
		return err
	}
	return r.keep(ctx, s, afterFailure)
}

// JobReady implements Checker.
func (r *Resource[T]) JobReady(ctx context.Context, s *Slot) error {
	if err := r.checkHook(ctx, s); err != nil {
		return err
	}
	return r.keep(ctx, s, afterIdling)
}

// keep makes sure that the slot's value is open and in order; a lazy one may stay closed.
func (r *Resource[T]) keep(ctx context.Context, s *Slot, o occasion) error {
	c, err := r.cell(s)
	if err != nil {
		return err
	}
	h := c.peek()
	if h == nil && r.Lazy {
		return nil
	}
	if h != nil && r.fault(ctx, c, h, o) == nil {
		return nil
	}
	if c.take(); h != nil {
		r.close(ctx, s, h, "replaced")
	}
	if r.Lazy {
		return nil
	}
	if h, err = r.open(ctx, s); err == nil {
		c.put(h)
	}
	return err
}

// JobDone implements Hook: it closes the value when it is unusable or obsolete.
func (r *Resource[T]) JobDone(ctx context.Context, s *Slot) {
	c := r.hookCell(ctx, s)
	if c == nil {
		return
	}
	h := r.reclaim(s, c)
	if h == nil || h.lastJob != s.epoch-1 {
		return // closed, or this job did not use it
	}
	h.idleSince = time.Now()
	h.uses++
	if why := r.unfit(h); why != "" {
		c.take()
		r.close(ctx, s, h, why)
	}
}

// unfit says why the value cannot serve another job; "" when it can.
func (r *Resource[T]) unfit(h *holding[T]) string {
	switch {
	case r.Usable != nil && !r.Usable(h.value):
		return "unusable"
	case r.MaxUses > 0 && h.uses >= r.MaxUses:
		return "used up"
	case r.expired(h):
		return "too old"
	}
	return ""
}

// SlotStop implements Hook: it closes the value.
func (r *Resource[T]) SlotStop(ctx context.Context, s *Slot) {
	c := r.hookCell(ctx, s)
	if c == nil {
		return
	}
	if h := r.reclaim(s, c); h != nil {
		c.take()
		r.close(ctx, s, h, "slot ends")
	}
}

// reclaim takes the value back after a job. A goroutine that the job left inside Use keeps it, cut off, and closes it.
func (r *Resource[T]) reclaim(s *Slot, c *cell[T]) *holding[T] {
	h, straggler := c.reclaim()
	if straggler {
		s.seat.log.Warn("job left a goroutine inside its resource", slog.String("resource", r.Name))
	}
	return h
}

// hookCell finds the cell for JobDone and SlotStop. It returns nil when there is none, or when the caller is not the slot.
func (r *Resource[T]) hookCell(ctx context.Context, s *Slot) *cell[T] {
	if err := r.checkHook(ctx, s); err != nil {
		if s != nil {
			s.seat.log.Error("resource refused a call from outside of its slot", slog.String("error", err.Error()))
		}
		return nil
	}
	c, err := r.cell(s)
	if err != nil {
		return nil // SlotStart failed before it made one
	}
	return c
}

// checkHook lets only the pool call the hooks: with the slot of ctx, between jobs.
func (r *Resource[T]) checkHook(ctx context.Context, s *Slot) error {
	caller := SlotFrom(ctx)
	if s == nil {
		return fmt.Errorf("pool: resource %q: %w", r.Name, ErrNoSlot)
	}
	if caller == nil || *caller != *s || s.inJob() || !s.valid() {
		return r.foreign(s, caller)
	}
	return nil
}

// cell returns the slot's place for this resource.
func (r *Resource[T]) cell(s *Slot) (*cell[T], error) {
	c, ok := s.seat.cells[r].(*cell[T])
	if !ok {
		return nil, fmt.Errorf("pool: resource %q: %w", r.Name, ErrNotHooked)
	}
	return c, nil
}
