package worker

import (
	"strings"
	"sync"
)

// survivors are the suspects whose deliveries were lost while this worker lived on, by id: their next delivery tells of a lost
// connection, not of a death.
type survivors struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

const maxSurvivors = 1000 // those that other workers got stay here for ever

func (s *survivors) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil || len(s.ids) >= maxSurvivors {
		s.ids = map[string]struct{}{}
	}
	s.ids[strings.Clone(id)] = struct{}{} // without the headers that it was read from
}

// take reports whether the suspect is one of them, and forgets it.
func (s *survivors) take(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.ids[id]
	delete(s.ids, id)
	return ok
}
