package pool

import (
	"context"
	"fmt"
)

// Loan is one job's right to its slot's value: an object to hand around, or to keep in a struct, instead of the value itself.
// Whoever gets hold of it in another job, in another slot or outside of the pool can neither use the value nor close it, because
// the context of each call says who calls.
type Loan[T any] struct {
	resource *Resource[T]
	slot     *Slot
}

// Borrow returns the loan of the job that ctx comes from; nothing is opened yet. It returns ErrNoSlot, ErrNotHooked or an
// *OwnershipError when the job has no right to a value.
func (r *Resource[T]) Borrow(ctx context.Context) (*Loan[T], error) {
	s := SlotFrom(ctx)
	if s == nil {
		return nil, fmt.Errorf("pool: resource %q: %w", r.Name, ErrNoSlot)
	}
	if !s.valid() {
		return nil, r.foreign(s, s)
	}
	if _, err := r.cell(s); err != nil {
		return nil, err
	}
	return &Loan[T]{resource: r, slot: s}, nil
}

// Use is Resource.Use for the borrower; everybody else gets an *OwnershipError.
func (l *Loan[T]) Use(ctx context.Context, fn func(value T) error) error {
	if err := l.check(ctx); err != nil {
		return err
	}
	return l.resource.Use(ctx, fn)
}

// Discard is Resource.Discard for the borrower; everybody else gets an *OwnershipError.
func (l *Loan[T]) Discard(ctx context.Context) error {
	if err := l.check(ctx); err != nil {
		return err
	}
	return l.resource.Discard(ctx)
}

func (l *Loan[T]) check(ctx context.Context) error {
	caller := SlotFrom(ctx)
	if caller == nil || *caller != *l.slot || !l.slot.valid() {
		return l.resource.foreign(l.slot, caller)
	}
	return nil
}
