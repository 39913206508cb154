package worker

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// running is the set of executions that are not settled yet.
type running struct {
	mu    sync.Mutex
	set   map[*execution]struct{}
	empty chan struct{} // closed when the last one leaves while somebody waits; nil when nobody does
}

func (r *running) add(e *execution) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == nil {
		r.set = map[*execution]struct{}{}
	}
	r.set[e] = struct{}{}
}

func (r *running) remove(e *execution) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.set, e)
	if len(r.set) == 0 && r.empty != nil {
		close(r.empty)
		r.empty = nil
	}
}

func (r *running) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.set)
}

func (r *running) all() []*execution {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.set))
}

// wait returns once the set is empty, or with ctx's error.
func (r *running) wait(ctx context.Context) error {
	r.mu.Lock()
	if len(r.set) == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.empty == nil {
		r.empty = make(chan struct{})
	}
	empty := r.empty
	r.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// of returns the executions of the task with this id.
func (r *running) of(id string) []*execution {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*execution
	for e := range r.set {
		if e.req.ID == id {
			found = append(found, e)
		}
	}
	return found
}
