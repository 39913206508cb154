package task

import (
	"context"
	"errors"
	"fmt"
)

// ReplaceError says what runs in the place of a task. Make it with Replace.
type ReplaceError struct{ With Signature }

// Error names what runs instead.
func (e *ReplaceError) Error() string { return "task replaced by " + e.With.Task }

// Replace makes the worker run other work in the place of the task, a task or a workflow (Celery's Task.replace): return it from the
// handler. The work has the id of the task, and with it whoever waits for the result, the chord and the place in it, what is linked and
// the rest of the chain; Request.ReplacedNesting counts. The outcome of the task itself is stored nowhere. That of a group is the list
// of its results, by way of celery.accumulate.
//
// Work that cannot be sent, because it belongs to a chord already say, is a failure of the task.
func Replace(s Signature) error { return &ReplaceError{With: s} }

// ErrNotInChord is what AddToChord returns for a task that belongs to no chord whose tasks are counted.
var ErrNotInChord = errors.New("the task belongs to no chord")

// AddToChord has the chord that the running task belongs to wait for one more call, which is sent at once, and gives its result to the body
// after those of the header (Celery's Task.add_to_chord). It returns the call's id. A task that runs again adds the same calls again, if
// it adds them in the same order, and each counts once. The error wraps ErrNotInChord, ErrNoTask outside of a task, and ErrEnded when the
// task has ended.
func AddToChord(ctx context.Context, s Signature) (id string, err error) {
	add, ok := ctx.Value(joiningKey{}).(Joining)
	if !ok {
		err = ErrNoTask
		if FromContext(ctx) != nil {
			err = ErrNotInChord
		}
		return "", fmt.Errorf("task: add %s to the chord: %w", s.Task, err)
	}
	if id, err = add(ctx, s); err != nil {
		return "", fmt.Errorf("task: add %s to the chord: %w", s.Task, err)
	}
	return id, nil
}

// Joining adds a call to the chord of a running task.
type Joining func(ctx context.Context, s Signature) (id string, err error)

type joiningKey struct{}

// WithJoining returns a context for a task's handler, whose additions to its chord go to add. Workers call it, and tests.
func WithJoining(ctx context.Context, add Joining) context.Context {
	return context.WithValue(ctx, joiningKey{}, add)
}
