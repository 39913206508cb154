package rpc

import (
	"sync"

	"github.com/seed-399731e2/taskq/task"
)

// store holds the outcomes that have arrived, at most keep of them.
type store struct {
	keep int

	mu    sync.Mutex
	metas map[string]task.Meta
	order []string // ids of metas, oldest first; may name ids that were forgotten
}

// put files an outcome. A final one stays: a hard time limit of Celery sends its FAILURE twice, and a late RETRY says nothing new.
func (s *store) put(meta task.Meta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.metas[meta.ID]
	if known && old.State.Ready() {
		return
	}
	if s.metas[meta.ID] = meta; !known {
		s.order = append(s.order, meta.ID)
	}
	for len(s.order) > s.keep {
		delete(s.metas, s.order[0])
		s.order = s.order[1:]
	}
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
	delete(s.metas, id)
}
