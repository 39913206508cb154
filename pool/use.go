package pool

import (
	"context"
	"errors"
	"fmt"
)

var errUnfinished = errors.New("pool: the call on it did not return") // it panicked: nobody knows what state the value is in

// visit is one call that holds a slot's value.
type visit[T any] struct {
	slot   *Slot
	cell   *cell[T]
	number uint64
	held   *holding[T] // nil while closed
}

// Use calls fn with this slot's value and holds it meanwhile, opening or pinging it first when needed. It is the recommended way:
// the value does not get out, so what could go wrong is an error of Use. It returns
//   - the error of fn, as it is;
//   - ErrNoSlot when ctx does not come from a job;
//   - an *OwnershipError (ErrForeignSlot) when the job that ctx comes from is over or was given up;
//   - ErrConcurrentUse when the job is inside Use already, in another goroutine or in this one;
//   - the error of Open when a value that failed during this job, or is lazy, cannot be opened.
func (r *Resource[T]) Use(ctx context.Context, fn func(value T) error) error {
	v, err := r.enter(ctx)
	if err != nil {
		return err
	}
	failure := errUnfinished
	defer func() { r.exit(ctx, v, failure) }()
	if err = r.mend(ctx, &v); err != nil {
		failure = nil
		return err
	}
	err = fn(v.held.value)
	failure = nil
	if err != nil && r.Suspect != nil && r.Suspect(err) {
		failure = err
	}
	return err
}

// Get returns this slot's value, in the same state and with the same errors as Use. Nothing can stop a goroutine from keeping the
// value longer than its job, or two from using it at once: hand ctx on and not the value, or take Use.
func (r *Resource[T]) Get(ctx context.Context) (T, error) {
	var zero T
	if h := r.glance(ctx); h != nil {
		return h.value, nil
	}
	v, err := r.enter(ctx)
	if err != nil {
		return zero, err
	}
	failure := errUnfinished
	defer func() { r.exit(ctx, v, failure) }()
	err = r.mend(ctx, &v)
	failure = nil
	if err != nil {
		return zero, err
	}
	return v.held.value, nil
}

// Failed says that err, a failure of the connection rather than of what was asked, happened on this slot's value: before its next
// use, and before the slot takes another job, it is pinged, or reopened when there is no Ping. It does nothing when err is nil or
// the job of ctx is over: then the value was looked after already.
func (r *Resource[T]) Failed(ctx context.Context, err error) {
	s := SlotFrom(ctx)
	if err == nil || s == nil {
		return
	}
	c, lost := r.cell(s)
	if lost != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.valid() && c.held != nil {
		c.held.failure = err
	}
}

// Discard closes this slot's value now; the next use, or else the next job, opens a new one. For a job that has left something
// behind in the value that the next one must not meet. The errors are those of Use; in particular nobody can close a value of
// another slot or after the job.
func (r *Resource[T]) Discard(ctx context.Context) error {
	v, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { r.exit(ctx, v, nil) }()
	r.drop(ctx, &v, "discarded")
	return nil
}

// mend makes sure that the value is open and that a failure reported for it is looked into.
func (r *Resource[T]) mend(ctx context.Context, v *visit[T]) error {
	if v.held != nil {
		if r.fault(ctx, v.cell, v.held, afterFailure) == nil {
			return nil
		}
		r.drop(ctx, v, "failed")
	}
	h, err := r.open(ctx, v.slot)
	if err != nil {
		return err
	}
	h.lastJob = v.slot.epoch
	v.held = h
	v.cell.hold(v.number, h)
	if !v.slot.valid() { // the job ended while its goroutine opened: exit closes, or the slot does
		return r.foreign(v.slot, v.slot)
	}
	return nil
}

// drop closes the value during a visit.
func (r *Resource[T]) drop(ctx context.Context, v *visit[T], why string) {
	h := v.held
	if h == nil {
		return
	}
	v.held = nil
	v.cell.hold(v.number, nil) // out of reach of Interrupt before it is closed
	r.close(ctx, v.slot, h, why)
}

// lookup finds out who calls, and the cell of the caller's slot.
func (r *Resource[T]) lookup(ctx context.Context) (*Slot, *cell[T], error) {
	s := SlotFrom(ctx)
	if s == nil {
		return nil, nil, fmt.Errorf("pool: resource %q: %w", r.Name, ErrNoSlot)
	}
	if !s.valid() {
		return nil, nil, r.foreign(s, s)
	}
	c, err := r.cell(s)
	return s, c, err
}

// glance returns a value that needs no visit: open, in order, and nobody inside; else nil.
func (r *Resource[T]) glance(ctx context.Context) *holding[T] {
	s, c, err := r.lookup(ctx)
	if err != nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.valid() || c.inside != 0 || c.held == nil || c.held.failure != nil {
		return nil
	}
	c.held.lastJob = s.epoch
	return c.held
}

// enter begins a visit, when the caller may.
func (r *Resource[T]) enter(ctx context.Context) (visit[T], error) {
	s, c, err := r.lookup(ctx)
	if err != nil {
		return visit[T]{}, err
	}
	inside, foreign := c.enter(s)
	switch {
	case foreign:
		return visit[T]{}, r.foreign(s, s)
	case inside.number == 0:
		return visit[T]{}, fmt.Errorf("pool: resource %q of slot %d, job %d: %w", r.Name, s.ID(), s.Job(), ErrConcurrentUse)
	}
	return inside, nil
}

// exit ends a visit. When the slot went on without this visitor, nobody else knows the value any more.
func (r *Resource[T]) exit(ctx context.Context, v visit[T], failure error) {
	if !v.cell.leave(v.number, failure) && v.held != nil {
		r.close(ctx, v.slot, v.held, "left behind")
	}
}
