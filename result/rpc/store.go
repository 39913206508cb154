package rpc

import (
	"errors"
	"fmt"
	"sync"

	"github.com/seed-399731e2/taskq/task"
)

// ErrDropped is returned for an outcome that had to make room for newer ones before anybody asked for it: see Config.KeepBytes.
var ErrDropped = errors.New("outcome was dropped, because too many came that nobody asked for; wait for outcomes while they come, or ignore them")

// maxDropped bounds how many outcomes are remembered that cannot be had, so that who asks for one does not wait for it in vain.
const maxDropped = 100_000

// overhead is what an outcome takes beside its texts, about.
const overhead = 512

// store holds the outcomes that have arrived, the newest, in at most limit bytes.
type store struct {
	limit int

	mu    sync.Mutex
	metas map[string]task.Meta
	bytes int
	order []string // ids of metas, oldest first; may name ids that were forgotten

	dropped      map[string]error // why an outcome cannot be had
	droppedOrder []string
}

func newStore(limit int) store {
	return store{limit: limit, metas: map[string]task.Meta{}, dropped: map[string]error{}}
}

// put files an outcome; false when a final one is there already, which stays.
func (s *store) put(meta task.Meta) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.metas[meta.ID]
	switch {
	case !known:
		s.order = append(s.order, meta.ID)
	case old.State.Ready():
		return false
	default:
		s.bytes -= size(old)
	}
	s.metas[meta.ID] = meta
	s.bytes += size(meta)
	for s.bytes > s.limit && len(s.order) > 1 {
		s.makeRoom(s.order[0])
		s.order = s.order[1:]
	}
	return true
}

// makeRoom is called with mu held.
func (s *store) makeRoom(id string) {
	if s.metas[id].State.Ready() { // else there is more to come
		s.lose(id, ErrDropped)
	}
	s.drop(id)
}

// fail remembers why an outcome that came cannot be read; false when a final one is there already.
func (s *store) fail(id string, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.metas[id].State.Ready() {
		return false
	}
	s.drop(id)
	s.lose(id, err)
	return true
}

// lose is called with mu held.
func (s *store) lose(id string, err error) {
	if _, known := s.dropped[id]; !known {
		s.droppedOrder = append(s.droppedOrder, id)
	}
	s.dropped[id] = err
	if len(s.droppedOrder) > maxDropped {
		delete(s.dropped, s.droppedOrder[0])
		s.droppedOrder = s.droppedOrder[1:]
	}
}

func (s *store) get(id string) (task.Meta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if meta, ok := s.metas[id]; ok {
		return meta, nil
	}
	if err, ok := s.dropped[id]; ok {
		return task.Meta{}, fmt.Errorf("rpc: result of %s: %w", id, err)
	}
	return task.Meta{ID: id, State: task.Pending}, nil
}

func (s *store) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(id)
	delete(s.dropped, id)
	for len(s.order) > 0 { // the oldest, so that a caller who forgets all outcomes leaves nothing behind
		if _, kept := s.metas[s.order[0]]; kept {
			return
		}
		s.order = s.order[1:]
	}
}

// drop is called with mu held.
func (s *store) drop(id string) {
	if meta, ok := s.metas[id]; ok {
		s.bytes -= size(meta)
		delete(s.metas, id)
	}
}

func size(m task.Meta) int { return overhead + len(m.Result) + len(m.Traceback) }
