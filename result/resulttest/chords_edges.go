package resulttest

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

func testUnknownChord(t *testing.T, j joiners) {
	ref := task.Ref{ID: uuid.NewString(), Group: true, Members: []task.Ref{{ID: uuid.NewString()}}}
	waits(t, j.here, part(ref, 0))
}

func testForeignOutcomes(t *testing.T, j joiners) {
	a, b := header(t, j.here, 2), header(t, j.here, 2)
	b.Members[0] = a.Members[0] // a task that says it belongs to another chord than it does
	waits(t, j.here, part(a, 0))
	foreign := part(b, 0)
	foreign.Index = 7
	waits(t, j.here, foreign)
	completes(t, j.here, part(a, 1), "0", "1")
}

func testLargePart(t *testing.T, j joiners) {
	ref := header(t, j.here, 1)
	p := part(ref, 0)
	p.Result = codec.Raw(`"` + strings.Repeat("x", 1<<20) + `"`)
	if joined := join(t, j.here, p); joined == nil || len(joined.Parts[0].Result) != len(p.Result) {
		t.Error("it is not told whole")
	}
}

func testBadChords(t *testing.T, j joiners) {
	one := task.Ref{ID: "a"}
	bad := map[string]error{
		"a header without an id":      j.here.OpenChord(t.Context(), task.Ref{Group: true, Members: []task.Ref{one}}),
		"a header that is a task":     j.here.OpenChord(t.Context(), one),
		"a header without tasks":      j.here.OpenChord(t.Context(), task.Ref{ID: uuid.NewString(), Group: true}),
		"a task without an id":        j.here.OpenChord(t.Context(), task.Ref{ID: uuid.NewString(), Group: true, Members: []task.Ref{{}}}),
		"a task twice":                j.here.OpenChord(t.Context(), task.Ref{ID: uuid.NewString(), Group: true, Members: []task.Ref{one, one}}),
		"a chord without an id grows": j.here.GrowChord(t.Context(), "", "a"),
		"it grows by no id":           j.here.GrowChord(t.Context(), "g", "a", ""),
	}
	whole := part(task.Ref{ID: uuid.NewString(), Group: true, Members: []task.Ref{one}}, 0)
	for what, spoil := range map[string]func(*result.ChordPart){
		"a part without a chord": func(p *result.ChordPart) { p.GroupID = "" },
		"a part without an id":   func(p *result.ChordPart) { p.ID = "" },
		"a part without a state": func(p *result.ChordPart) { p.State = "" },
	} {
		p := whole
		spoil(&p)
		_, bad[what] = j.here.JoinChord(t.Context(), p)
	}
	_, bad["a claim on nothing"] = j.here.ClaimBody(t.Context(), "", "c")
	_, bad["no claim"] = j.here.ClaimBody(t.Context(), "id", "")
	for what, err := range bad {
		if !errors.Is(err, result.ErrInvalid) {
			t.Errorf("%s: err = %v, want ErrInvalid", what, err)
		}
	}
}

func testChordsClosed(t *testing.T, j joiners) {
	ref := header(t, j.here, 1)
	if err := j.here.(result.Backend).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, joinErr := j.here.JoinChord(t.Context(), part(ref, 0))
	_, claimErr := j.here.ClaimBody(t.Context(), "id", "c")
	for what, err := range map[string]error{
		"open": j.here.OpenChord(t.Context(), ref), "join": joinErr, "grow": j.here.GrowChord(t.Context(), ref.ID, "a"),
		"forget": j.here.ForgetChord(t.Context(), ref.ID), "claim": claimErr,
	} {
		if !errors.Is(err, result.ErrClosed) {
			t.Errorf("%s: err = %v, want ErrClosed", what, err)
		}
	}
}

// testChordOutage: who notes until it works loses nothing, and nothing counts twice that was noted when the answer was lost.
func testChordOutage(t *testing.T, j joiners) {
	if j.h.Frail == nil {
		return // this store is never away
	}
	frail := j.h.Frail(t)
	closing(t, frail.Backend)
	const n = 20
	ref := header(t, frail.Backend.(result.Joiner), n)
	var wg sync.WaitGroup
	var complete atomic.Int64
	for i := range n {
		wg.Go(func() {
			until(t, "it cannot be noted", func() bool {
				joined, err := frail.Backend.(result.Joiner).JoinChord(t.Context(), part(ref, i))
				if joined != nil {
					complete.Add(1)
				}
				return err == nil
			})
		})
		switch i {
		case n / 2:
			frail.Break()
		case n - 1:
			frail.Mend()
		}
	}
	wg.Wait()
	if complete.Load() == 0 {
		t.Error("all have joined, and nobody was told")
	}
}

// testChordExpiry stores an outcome after the chord's last part: when it has expired, so has the chord.
func testChordExpiry(t *testing.T, h Harness) {
	j, ok := closing(t, h.Expiring(t, 50*time.Millisecond)).(result.Joiner)
	if !ok {
		return
	}
	ref := header(t, j, 2)
	if joined, err := j.JoinChord(t.Context(), part(ref, 0)); joined != nil || err != nil {
		t.Fatalf("joined = %+v, %v", joined, err)
	}
	expire(t, j.(result.Backend))
	waits(t, j, part(ref, 1))
	openChord(t, j, ref) // it starts from nothing
	waits(t, j, part(ref, 1))
}

func testClaimExpiry(t *testing.T, h Harness) {
	j, ok := closing(t, h.Expiring(t, 50*time.Millisecond)).(result.Joiner)
	if !ok {
		return
	}
	id := uuid.NewString()
	claim(t, j, id, "first", true)
	expire(t, j.(result.Backend))
	claim(t, j, id, "second", true)
}

// expire waits until what was kept until now has expired.
func expire(t *testing.T, b result.Backend) {
	t.Helper()
	id := uuid.NewString()
	store(t, b, success(id, `1`))
	until(t, "it does not expire", func() bool {
		m, err := b.Get(t.Context(), id)
		return err == nil && m.State == task.Pending
	})
}

// testCleanup: what has expired is gone, and the rest is not.
func testCleanup(t *testing.T, h Harness) {
	b := open(t, h)
	cleaner, ok := b.(result.Cleaner)
	if !ok {
		return
	}
	id := uuid.NewString()
	store(t, b, success(id, `1`))
	ref := header(t, b.(result.Joiner), 2)
	waits(t, b.(result.Joiner), part(ref, 0))
	claim(t, b.(result.Joiner), id, "first", true)
	for range 2 {
		if err := cleaner.Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantState(t, b, id, task.Success)
	claim(t, b.(result.Joiner), id, "second", false)
	completes(t, b.(result.Joiner), part(ref, 1), "0", "1")
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cleaner.Cleanup(t.Context()); !errors.Is(err, result.ErrClosed) {
		t.Errorf("after close: err = %v, want ErrClosed", err)
	}
}
