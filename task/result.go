package task

import (
	"context"
	"errors"
	"fmt"
)

// Results looks up outcomes by task id. Every result store is one.
type Results interface {
	// Get returns what is known now; State Pending when nothing is.
	Get(ctx context.Context, id string) (Meta, error)
	// Wait returns once the state is final.
	Wait(ctx context.Context, id string) (Meta, error)
	// Watch calls yield with the state that is known, unless it is Pending, and with each later one that the store hears of; states that
	// follow each other quickly may be left out, the final one never is. It returns nil after a final state or once yield returns
	// false, and ctx's error when that ends first.
	Watch(ctx context.Context, id string, yield func(Meta) bool) error
	// Forget deletes the outcome.
	Forget(ctx context.Context, id string) error
}

// ErrNoResults is returned by the methods of a Result whose sender has no result store.
var ErrNoResults = errors.New("no result store is configured")

// Sender sends calls; the application is one.
type Sender interface {
	Send(ctx context.Context, s Signature) (*Result[any], error)
}

// Result is the outcome of a call that was sent, now or later.
type Result[R any] struct {
	id      string
	results Results // nil: no result store
}

// NewResult returns the handle of a task sent earlier or elsewhere. results may be nil.
func NewResult[R any](id string, results Results) *Result[R] {
	return &Result[R]{id: id, results: results}
}

// ID is the task's id.
func (r *Result[R]) ID() string { return r.id }

// Get waits for the outcome and returns the value, or a *RemoteError when the task failed or was revoked.
func (r *Result[R]) Get(ctx context.Context) (R, error) {
	var value R
	meta, err := r.Wait(ctx)
	if err != nil {
		return value, err
	}
	err = meta.Value(&value)
	return value, err
}

// Wait waits for the outcome and returns it whole.
func (r *Result[R]) Wait(ctx context.Context) (Meta, error) {
	if r.results == nil {
		return Meta{}, fmt.Errorf("task: result of %s: %w", r.id, ErrNoResults)
	}
	return r.results.Wait(ctx, r.id)
}

// State returns the task's state; Pending when nothing is known of it.
func (r *Result[R]) State(ctx context.Context) (State, error) {
	if r.results == nil {
		return "", fmt.Errorf("task: state of %s: %w", r.id, ErrNoResults)
	}
	meta, err := r.results.Get(ctx, r.id)
	return meta.State, err
}

// Forget deletes the outcome from the result store.
func (r *Result[R]) Forget(ctx context.Context) error {
	if r.results == nil {
		return fmt.Errorf("task: forget %s: %w", r.id, ErrNoResults)
	}
	return r.results.Forget(ctx, r.id)
}
