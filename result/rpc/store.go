package rpc

import (
	"context"
	"sync"

	"github.com/seed-399731e2/taskq/task"
)

// store holds the outcomes that have arrived, at most keep of them, and the waiters for those that have not.
type store struct {
	mu      sync.Mutex
	keep    int
	metas   map[string]task.Meta
	order   []string // ids of metas, oldest first; may name ids that were forgotten
	waiters map[string]*waiter
	closed  error
}

// waiter is shared by all who wait for one id.
type waiter struct {
	ready chan struct{} // closed by put or close
	meta  task.Meta
	err   error
	count int
}

func newStore(keep int) store {
	return store{keep: keep, metas: map[string]task.Meta{}, waiters: map[string]*waiter{}}
}

// put files an outcome. A final one stays: a hard time limit of Celery sends its FAILURE twice, and a late RETRY says nothing new.
func (s *store) put(meta task.Meta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.metas[meta.ID]
	if known && old.State.Ready() {
		return
	}
	s.metas[meta.ID] = meta
	if !known {
		s.order = append(s.order, meta.ID)
	}
	for len(s.order) > s.keep {
		delete(s.metas, s.order[0])
		s.order = s.order[1:]
	}
	if w := s.waiters[meta.ID]; w != nil && meta.State.Ready() {
		w.meta = meta
		close(w.ready)
		delete(s.waiters, meta.ID)
	}
}

func (s *store) get(id string) (task.Meta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if meta, ok := s.metas[id]; ok {
		return meta, nil
	}
	return task.Meta{ID: id, State: task.Pending}, s.closed
}

func (s *store) wait(ctx context.Context, id string) (task.Meta, error) {
	s.mu.Lock()
	if meta, ok := s.metas[id]; ok && meta.State.Ready() {
		s.mu.Unlock()
		return meta, nil
	}
	if s.closed != nil {
		s.mu.Unlock()
		return task.Meta{}, s.closed
	}
	w := s.waiters[id]
	if w == nil {
		w = &waiter{ready: make(chan struct{})}
		s.waiters[id] = w
	}
	w.count++
	s.mu.Unlock()
	select {
	case <-w.ready:
		return w.meta, w.err
	case <-ctx.Done():
		s.leave(id, w)
		return task.Meta{}, ctx.Err()
	}
}

// leave drops a waiter that nobody waits with any more.
func (s *store) leave(id string, w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.count--; w.count == 0 && s.waiters[id] == w {
		delete(s.waiters, id)
	}
}

func (s *store) forget(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.metas, id)
	return s.closed
}

func (s *store) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return
	}
	s.closed = err
	for _, w := range s.waiters {
		w.err = err
		close(w.ready)
	}
	clear(s.waiters)
}
