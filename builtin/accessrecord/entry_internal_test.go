package accessrecord

import (
	"errors"
	"testing"
)

// A connection may be lost between the halves of a batch in which one visit is bad: what was not stored must not count as stored.
func TestWhatWasNotStoredBeforeAFailureFailsWithIt(t *testing.T) {
	t.Parallel()
	bad, away := errors.New("bad"), errors.New("away")
	var entries []*entry
	for range 8 {
		entries = append(entries, &entry{})
	}
	tries, stored := 0, map[*entry]bool{}
	err := divide(entries, func(err error) bool { return errors.Is(err, bad) }, func(piece []*entry) error {
		switch tries++; tries {
		case 1, 2: // all, the first half
			return bad
		case 3: // the first quarter
			for _, e := range piece {
				stored[e] = true
			}
			return nil
		}
		return away
	})
	if !errors.Is(err, away) {
		t.Errorf("error = %v, want %v", err, away)
	}
	for i, e := range entries {
		if (e.err == nil) != stored[e] {
			t.Errorf("visit %d: error = %v, stored = %v", i, e.err, stored[e])
		}
	}
}
