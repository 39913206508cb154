package task

import (
	"context"
	"sync"
)

// Trail is what a task has sent so far: the children of its outcome (celery/app/task.py, add_trail). A worker gives each run one of its
// own. It is safe for concurrent use; what is added after the task has ended comes too late for its outcome, and does no harm. The nil
// Trail takes everything and keeps nothing.
type Trail struct {
	mu   sync.Mutex
	refs []Ref
}

// Add notes what was sent, behind what was sent before.
func (t *Trail) Add(refs ...Ref) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refs = append(t.refs, refs...)
}

// Refs returns what was sent, in that order; never nil.
func (t *Trail) Refs() []Ref {
	if t == nil {
		return []Ref{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Ref{}, t.refs...)
}

type trailKey struct{}

// WithTrail returns a context for a task's handler: what is sent with it becomes the task's child. Workers call it, and tests.
func WithTrail(ctx context.Context, t *Trail) context.Context {
	return context.WithValue(ctx, trailKey{}, t)
}

// TrailFrom returns the trail of the task that ctx was given to, nil outside of a task.
func TrailFrom(ctx context.Context) *Trail {
	t, _ := ctx.Value(trailKey{}).(*Trail)
	return t
}
