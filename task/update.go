package task

import (
	"context"
	"errors"
	"fmt"
)

// Errors of SetState and Progress.
var (
	// ErrNoTask: the context is not that of a running task.
	ErrNoTask = errors.New("no task runs with this context: use the one that the handler got, or task.WithUpdates in a test")
	// ErrEnded: the task has ended, or was given up; its outcome stays.
	ErrEnded = errors.New("the task has ended")
)

// SetState stores a state of the running task's own with a value that the caller reads with Result.Progress or Result.Watch (Celery's
// update_state). It costs a write to the result store, which is tried once; an error says that the state was not stored and is no
// reason to fail. States that end a task are not set but reached: return from the handler. Where outcomes are not kept at all,
// nothing happens.
func SetState(ctx context.Context, state State, value any) error {
	update, ok := ctx.Value(updateKey{}).(Update)
	switch {
	case !ok:
		return fmt.Errorf("task: set state %s: %w", state, ErrNoTask)
	case state == "" || state == Pending || state.Exceptional() || state.Ready():
		return fmt.Errorf("task: set state %q: this one is not for tasks to set: return a value or an error instead", string(state))
	}
	if err := update(ctx, state, value); err != nil {
		return fmt.Errorf("task: set state %s: %w", state, err)
	}
	return nil
}

// Progress is SetState with the state InProgress: "PROGRESS", as in Celery's documentation.
func Progress(ctx context.Context, value any) error { return SetState(ctx, InProgress, value) }

// Update stores a state of a running task.
type Update func(ctx context.Context, state State, value any) error

type updateKey struct{}

// WithUpdates returns a context for a task's handler, whose states go to update. Workers call it, and tests.
func WithUpdates(ctx context.Context, update Update) context.Context {
	return context.WithValue(ctx, updateKey{}, update)
}
