package mem_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
)

// keep keeps one of everything.
func keep(t *testing.T, b *mem.Backend) {
	t.Helper()
	if err := b.Store(t.Context(), task.Meta{ID: "t", State: task.Success}); err != nil {
		t.Fatal(err)
	}
	if err := b.SaveGroup(t.Context(), task.Ref{ID: "g", Group: true}); err != nil {
		t.Fatal(err)
	}
	if err := b.OpenChord(t.Context(), task.Ref{ID: "g", Group: true, Members: []task.Ref{{ID: "t"}}}); err != nil {
		t.Fatal(err)
	}
	if first, err := b.ClaimBody(t.Context(), "body", "c"); err != nil || !first {
		t.Fatal(first, err)
	}
}

func TestWhatHasExpiredIsDropped(t *testing.T) {
	t.Parallel()
	for name, sweep := range map[string]func(*mem.Backend) error{
		"by cleanup":      func(b *mem.Backend) error { return b.Cleanup(t.Context()) },
		"by the next use": func(b *mem.Backend) error { return b.ForgetChord(t.Context(), "other") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := mem.New(mem.Config{Expires: time.Hour})
				keep(t, b)
				time.Sleep(59 * time.Minute)
				if err := sweep(b); err != nil || b.Kept() != 4 {
					t.Errorf("after 59 minutes: %d are kept, %v", b.Kept(), err)
				}
				time.Sleep(10 * time.Minute)
				if err := sweep(b); err != nil || b.Kept() != 0 {
					t.Errorf("after more than an hour: %d are kept, %v", b.Kept(), err)
				}
			})
		})
	}
}

// Between two sweeps, too.
func TestExpiredChordsAndClaimsAreNoneBeforeTheyAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := mem.New(mem.Config{Expires: time.Hour})
		keep(t, b)
		time.Sleep(time.Hour - time.Second)
		if err := b.Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		part := result.ChordPart{Meta: task.Meta{ID: "t", GroupID: "g", State: task.Success}}
		if joined, err := b.JoinChord(t.Context(), part); err != nil || joined != nil {
			t.Errorf("joined = %+v, %v", joined, err)
		}
		if first, err := b.ClaimBody(t.Context(), "body", "other"); err != nil || !first {
			t.Errorf("claim = %t, %v", first, err)
		}
	})
}

func TestClaimsEndAfterADayWhereOutcomesNeverExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := mem.New(mem.Config{Expires: -1})
		keep(t, b)
		time.Sleep(23 * time.Hour)
		if first, err := b.ClaimBody(t.Context(), "body", "other"); err != nil || first {
			t.Errorf("within a day: %t, %v", first, err)
		}
		time.Sleep(2 * time.Hour)
		if err := b.Cleanup(t.Context()); err != nil || b.Kept() != 3 {
			t.Errorf("after a day: %d are kept, %v; want all but the claim", b.Kept(), err)
		}
		if first, err := b.ClaimBody(t.Context(), "body", "other"); err != nil || !first {
			t.Errorf("after a day: %t, %v", first, err)
		}
	})
}
