package waiters

import (
	"bytes"
	"context"
	"slices"

	"github.com/seed-399731e2/taskq/task"
)

// watcher is one Watch under way.
type watcher struct {
	meta task.Meta     // the newest state that was delivered; guarded by Set.mu
	err  error         // why there will be none; guarded by Set.mu
	wake chan struct{} // one place: there is a newer state, or the set was closed
}

// Watch calls yield with what look finds and with the states that are delivered later, as task.Results asks for.
func (s *Set) Watch(ctx context.Context, id string, look func() (task.Meta, error), yield func(task.Meta) bool) error {
	w, err := s.watch(id)
	if err != nil {
		return err
	}
	defer s.unwatch(id, w)
	meta, err := look() // after joining: a state stored now is either seen or delivered
	if err != nil {
		return err
	}
	var shown task.Meta
	for {
		fresh := meta.State != shown.State || !bytes.Equal(meta.Result, shown.Result)
		if fresh && meta.State != task.Pending && (!yield(meta) || meta.State.Ready()) {
			return nil
		}
		shown = meta
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		if meta, err = s.newest(w); err != nil {
			return err
		}
	}
}

func (s *Set) watch(id string) (*watcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return nil, s.closed
	}
	w := &watcher{wake: make(chan struct{}, 1)}
	if s.watchers == nil {
		s.watchers = map[string][]*watcher{}
	}
	s.watchers[id] = append(s.watchers[id], w)
	return w, nil
}

func (s *Set) unwatch(id string, w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := slices.DeleteFunc(s.watchers[id], func(other *watcher) bool { return other == w })
	if s.watchers[id] = left; len(left) == 0 {
		delete(s.watchers, id)
	}
}

// newest is the state that woke the watcher; a final one is never replaced.
func (s *Set) newest(w *watcher) (task.Meta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil && !w.meta.State.Ready() {
		return task.Meta{}, s.closed
	}
	return w.meta, w.err
}

// show hands a state to those who watch the task; the caller holds mu.
func (s *Set) show(meta task.Meta) {
	for _, w := range s.watchers[meta.ID] {
		if !w.meta.State.Ready() {
			w.meta = meta
		}
		w.rouse()
	}
}

func (w *watcher) rouse() {
	select {
	case w.wake <- struct{}{}:
	default: // it has not looked yet
	}
}
