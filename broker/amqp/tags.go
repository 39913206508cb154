package amqp

import "slices"

// tags is a set of delivery tags, one bit for each from its first word on: a task that runs for minutes has hundreds of thousands of
// settled ones after its own. The zero value is empty.
type tags struct {
	first uint64 // the number of the word that words begin with
	words []uint64
}

const tagsPerWord = 64

func (s *tags) has(tag uint64) bool {
	word := tag / tagsPerWord
	if word < s.first || word-s.first >= uint64(len(s.words)) {
		return false
	}
	return s.words[word-s.first]&(1<<(tag%tagsPerWord)) != 0
}

// add takes a tag in, none of which is below the one that forget was last called with.
func (s *tags) add(tag uint64) {
	at := tag/tagsPerWord - s.first
	for uint64(len(s.words)) <= at {
		s.words = append(s.words, 0)
	}
	s.words[at] |= 1 << (tag % tagsPerWord)
}

func (s *tags) remove(tag uint64) {
	if s.has(tag) {
		s.words[tag/tagsPerWord-s.first] &^= 1 << (tag % tagsPerWord)
	}
}

// forget lets go of the words below the tag.
func (s *tags) forget(below uint64) {
	word := below / tagsPerWord
	if word <= s.first {
		return
	}
	s.words = slices.Delete(s.words, 0, int(min(word-s.first, uint64(len(s.words))))) //nolint:gosec // bounded by a length
	s.first = word
}
