package resulttest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-399731e2/taskq/result"
)

// testManyJoin: every task is noted several times at once through two Backends.
func testManyJoin(t *testing.T, j joiners) {
	const n = 50
	ref := header(t, j.here, n)
	last := part(ref, n-1)
	var wg sync.WaitGroup
	var early, complete atomic.Int64
	at := func(i int) {
		for _, j := range []result.Joiner{j.here, j.there} {
			wg.Go(func() {
				joined, err := j.JoinChord(t.Context(), part(ref, i))
				if err != nil {
					t.Errorf("join: %v", err)
				}
				if joined != nil {
					early.Add(1)
				}
			})
		}
	}
	for i := range n - 1 {
		at(i)
	}
	wg.Wait()
	if early.Load() > 0 {
		t.Fatalf("%d were told that it is complete, while one task is missing", early.Load())
	}
	for range 5 {
		for _, j := range []result.Joiner{j.here, j.there} {
			wg.Go(func() {
				if joined, err := j.JoinChord(t.Context(), last); err == nil && joined != nil && len(joined.Parts) == n {
					complete.Add(1)
				}
			})
		}
	}
	wg.Wait()
	if complete.Load() != 10 {
		t.Errorf("%d of the 10 who noted the last task were told that it is complete", complete.Load())
	}
	atOnce(t, j)
}

// atOnce has all tasks of chords noted at once, each by one goroutine: somebody is told, and nobody of less than the whole.
func atOnce(t *testing.T, j joiners) {
	t.Helper()
	const n = 50
	for range 3 {
		ref := header(t, j.here, n)
		var wg sync.WaitGroup
		var complete atomic.Int64
		for i := range n {
			to := []result.Joiner{j.here, j.there}[i%2]
			wg.Go(func() {
				joined, err := to.JoinChord(t.Context(), part(ref, i))
				if err != nil {
					t.Errorf("join: %v", err)
				}
				if joined != nil && len(joined.Parts) != n {
					t.Errorf("complete with %d parts", len(joined.Parts))
				}
				if joined != nil {
					complete.Add(1)
				}
			})
		}
		wg.Wait()
		if complete.Load() == 0 {
			t.Error("all have joined, and nobody was told")
		}
	}
}

// testEverythingAtOnce: who locks in different orders would wait for each other.
func testEverythingAtOnce(t *testing.T, j joiners) {
	ref := header(t, j.here, 10)
	var wg sync.WaitGroup
	for i := range 200 {
		to := []result.Joiner{j.here, j.there}[i%2]
		wg.Go(func() {
			var err error
			switch i % 10 {
			case 0:
				err = to.ForgetChord(t.Context(), ref.ID)
			case 1:
				err = to.OpenChord(t.Context(), ref)
			case 2:
				err = to.GrowChord(t.Context(), ref.ID, fmt.Sprint("added", i))
			default:
				_, err = to.JoinChord(t.Context(), part(ref, i%10))
			}
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
}
