// Package waiters is the part that all result stores share: those who wait for outcomes, by task id.
package waiters

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/seed-399731e2/taskq/task"
)

// Set holds the waiters. The zero value is empty. It is safe for concurrent use.
type Set struct {
	mu       sync.Mutex
	byID     map[string]*waiter
	watchers map[string][]*watcher
	closed   error
}

// waiter is shared by all who wait for one id.
type waiter struct {
	ready chan struct{} // closed by Deliver or Close, after meta or err is set
	meta  task.Meta
	err   error
	count int
}

// Wait returns the final outcome of a task: what look finds, or what is delivered later. It returns ctx's error when that ends
// first, and the error given to Close.
func (s *Set) Wait(ctx context.Context, id string, look func() (task.Meta, error)) (task.Meta, error) {
	w, err := s.join(id)
	if err != nil {
		return task.Meta{}, err
	}
	defer s.leave(id, w)
	meta, err := look() // after joining: an outcome stored now is either seen or delivered
	if err != nil || meta.State.Ready() {
		return meta, err
	}
	select {
	case <-w.ready:
		return w.meta, w.err
	case <-ctx.Done():
		return task.Meta{}, ctx.Err()
	}
}

// Deliver hands a state to those who watch the task, and a final one to those who wait for it.
func (s *Set) Deliver(meta task.Meta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.show(meta)
	if !meta.State.Ready() {
		return
	}
	if w := s.byID[meta.ID]; w != nil {
		w.meta = meta
		close(w.ready)
		delete(s.byID, meta.ID)
	}
}

// Fail ends the waits for a task and the watching of it with err: what is stored of it cannot be read.
func (s *Set) Fail(id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.byID[id]; w != nil {
		w.err = err
		close(w.ready)
		delete(s.byID, id)
	}
	for _, w := range s.watchers[id] {
		w.err = err
		w.rouse()
	}
}

// IDs returns the tasks that are waited for or watched, some of them twice.
func (s *Set) IDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Keys(s.byID)), maps.Keys(s.watchers))
}

// Waited reports whether a task is waited for or watched.
func (s *Set) Waited(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id] != nil || s.watchers[id] != nil
}

// Close ends all waits, now and later, with err.
func (s *Set) Close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return
	}
	s.closed = err
	for _, w := range s.byID {
		w.err = err
		close(w.ready)
	}
	clear(s.byID)
	for _, watchers := range s.watchers {
		for _, w := range watchers {
			w.rouse()
		}
	}
}

// Err is the error given to Close, nil before.
func (s *Set) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Set) join(id string) (*waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return nil, s.closed
	}
	w := s.byID[id]
	if w == nil {
		w = &waiter{ready: make(chan struct{})}
		if s.byID == nil {
			s.byID = map[string]*waiter{}
		}
		s.byID[id] = w
	}
	w.count++
	return w, nil
}

func (s *Set) leave(id string, w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.count--; w.count == 0 && s.byID[id] == w {
		delete(s.byID, id)
	}
}
