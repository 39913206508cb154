// Package revokes remembers what was revoked: a bounded set whose entries expire (celery/utils/collections.py, LimitedSet), and a file
// that it survives a restart in.
package revokes

import (
	"cmp"
	"container/heap"
	"slices"
	"sync"
	"time"
)

// Entry is something that was revoked, and when.
type Entry struct {
	Key string
	At  time.Time
}

// Set holds entries until they expire. Beyond its bound the oldest go first. It is safe for concurrent use.
type Set struct {
	bound   int
	expires time.Duration

	mu    sync.Mutex
	items map[string]*item
	order order // the oldest first
	added int   // so far
}

type item struct {
	Entry
	turn  int // of those of one time
	index int // in order
}

// NewSet returns a set of at most bound entries, each of which expires after so long.
func NewSet(bound int, expires time.Duration) *Set {
	return &Set{bound: bound, expires: expires, items: map[string]*item{}}
}

// Add notes that the key was revoked then, and reports whether that is news. Of two times the later one counts; one that lies in the
// future, by a clock that disagrees, is now.
func (s *Set) Add(key string, at time.Time) bool {
	now := time.Now()
	if at.After(now) {
		at = now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purge(now)
	if s.over(at, now) {
		return false
	}
	s.added++
	if known, ok := s.items[key]; ok {
		if at.Before(known.At) {
			return false
		}
		news := at.After(known.At)
		known.At, known.turn = at, s.added
		heap.Fix(&s.order, known.index)
		return news
	}
	it := &item{Entry: Entry{key, at}, turn: s.added}
	s.items[key] = it
	heap.Push(&s.order, it)
	s.purge(now)
	return s.items[key] == it
}

// Has reports whether the key is revoked.
func (s *Set) Has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.items[key]
	return ok && !s.over(it.At, time.Now())
}

// Len is how many entries there are.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purge(time.Now())
	return len(s.items)
}

// Entries returns what is revoked, the oldest first.
func (s *Set) Entries() []Entry {
	s.mu.Lock()
	s.purge(time.Now())
	items := make([]item, len(s.order))
	for i, it := range s.order {
		items[i] = *it
	}
	s.mu.Unlock()
	slices.SortFunc(items, func(a, b item) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.turn, b.turn)) })
	entries := make([]Entry, len(items))
	for i, it := range items {
		entries[i] = it.Entry
	}
	return entries
}

func (s *Set) over(at, now time.Time) bool { return now.Sub(at) >= s.expires }

// purge drops what has expired or is too much. The caller holds mu.
func (s *Set) purge(now time.Time) {
	for len(s.order) > 0 && (len(s.order) > s.bound || s.over(s.order[0].At, now)) {
		delete(s.items, heap.Pop(&s.order).(*item).Key)
	}
}

// order is a heap.
type order []*item //nolint:recvcheck // as heap.Interface wants it

// Len implements heap.Interface.
func (o order) Len() int { return len(o) }

// Less implements heap.Interface.
func (o order) Less(i, j int) bool {
	return o[i].At.Before(o[j].At) || o[i].At.Equal(o[j].At) && o[i].turn < o[j].turn
}

// Swap implements heap.Interface.
func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].index, o[j].index = i, j
}

// Push implements heap.Interface.
func (o *order) Push(x any) {
	it := x.(*item)
	it.index = len(*o)
	*o = append(*o, it)
}

// Pop implements heap.Interface.
func (o *order) Pop() any {
	last := (*o)[len(*o)-1]
	(*o)[len(*o)-1] = nil
	*o = (*o)[:len(*o)-1]
	return last
}
