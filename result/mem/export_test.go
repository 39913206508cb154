package mem

// Kept is how much is kept, expired or not.
func (b *Backend) Kept() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.metas) + len(b.groups) + len(b.chords) + len(b.claims)
}
