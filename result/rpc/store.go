package rpc

import (
	"sync"

	"github.com/seed-399731e2/taskq/task"
)

// overhead is what an outcome takes beside its texts, about.
const overhead = 512

// store holds the outcomes that have arrived, the newest, in at most limit bytes.
type store struct {
	limit int

	mu    sync.Mutex
	metas map[string]task.Meta
	bytes int
	order []string // ids of metas, oldest first; may name ids that were forgotten
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
		s.drop(s.order[0])
		s.order = s.order[1:]
	}
	return true
}

func (s *store) get(id string) task.Meta {
	s.mu.Lock()
	defer s.mu.Unlock()
	if meta, ok := s.metas[id]; ok {
		return meta
	}
	return task.Meta{ID: id, State: task.Pending}
}

func (s *store) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(id)
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
