package mem

// Kept is how many keys are in the store.
func (s *Store) Kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.places) + len(s.turns)
}
