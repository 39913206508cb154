package revokes_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/internal/revokes"
)

func keys(s *revokes.Set) []string {
	list := []string{}
	for _, e := range s.Entries() {
		list = append(list, e.Key)
	}
	return list
}

func TestTheOldestGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := revokes.NewSet(3, time.Hour)
		for i := range 3 {
			s.Add(fmt.Sprint(i), time.Now().Add(-time.Duration(i)*time.Minute))
		}
		s.Add("2", time.Now()) // the oldest is the latest now
		s.Add("new", time.Now())
		if got := keys(s); !slices.Equal(got, []string{"0", "2", "new"}) {
			t.Errorf("keys = %q", got)
		}
		if s.Add("ancient", time.Now().Add(-50*time.Minute)) || s.Has("ancient") || s.Has("1") || !s.Has("2") {
			t.Errorf("keys = %q", keys(s))
		}
	})
}

func TestEntriesExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := revokes.NewSet(10, time.Hour)
		s.Add("a", time.Now().Add(-30*time.Minute))
		s.Add("future", time.Now().Add(24*time.Hour)) // is now
		if s.Add("over", time.Now().Add(-time.Hour)) || s.Has("over") {
			t.Error("what is over was added")
		}
		time.Sleep(30*time.Minute - time.Nanosecond)
		if !s.Has("a") {
			t.Error("it expired early")
		}
		time.Sleep(time.Nanosecond)
		if s.Has("a") || s.Len() != 1 {
			t.Errorf("keys = %q, want future alone", keys(s))
		}
		time.Sleep(30 * time.Minute)
		if s.Len() != 0 {
			t.Errorf("keys = %q, want none", keys(s))
		}
	})
}

func TestOnlyNewsIsNews(t *testing.T) {
	t.Parallel()
	s, now := revokes.NewSet(10, time.Hour), time.Now()
	for i, want := range []bool{true, false, false, true} {
		at := []time.Time{now.Add(-time.Minute), now.Add(-time.Minute), now.Add(-time.Hour / 2), now}[i]
		if got := s.Add("a", at); got != want {
			t.Errorf("%d: news = %v, want %v", i, got, want)
		}
	}
}

func TestASetOfManyIsShared(t *testing.T) {
	t.Parallel()
	s := revokes.NewSet(1000, time.Hour)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				s.Add(fmt.Sprint(g, i), time.Now())
				s.Has(fmt.Sprint(g, i))
			}
		})
	}
	wg.Wait()
	if s.Len() != 1000 {
		t.Errorf("len = %d, want 1000", s.Len())
	}
}

func TestStateIsWhatWasSaved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	if got, err := revokes.Load(path); err != nil || len(got.Revoked) != 0 {
		t.Fatalf("no file: %+v, %v", got, err)
	}
	now := time.Now().Truncate(time.Millisecond)
	want := revokes.State{Clock: 7, Revoked: []revokes.Entry{{Key: "a", At: now}}, Stamps: []revokes.Entry{{Key: `["t",1]`, At: now}}}
	for range 2 {
		if err := revokes.Save(path, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := revokes.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("files = %v, %v", names, err)
	}
}

func TestWhatIsNoStateIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"shelve": "\x13\x57\x9a\xce", "half": `{"format": "taskq worker state", "version": 1, "revoked": {"a`, "other": `{"a": 1}`,
		"later": `{"format": "taskq worker state", "version": 2}`, "two": `{"format": "taskq worker state", "version": 1}{}`,
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := revokes.Load(path); !errors.Is(err, revokes.ErrForeign) {
			t.Errorf("%s: err = %v, want ErrForeign", name, err)
		}
	}
}

func TestAStateThatCannotBeSavedIsAnError(t *testing.T) {
	t.Parallel()
	if err := revokes.Save(filepath.Join(t.TempDir(), "missing", "state"), revokes.State{}); err == nil {
		t.Error("err = nil")
	}
}
