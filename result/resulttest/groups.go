package resulttest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

func testGroups(t *testing.T, h Harness) {
	here, there := pair(t, h)
	saver, ok := here.(result.GroupStore)
	if !ok {
		return
	}
	id := uuid.NewString()
	wantGroup(t, saver, task.Ref{ID: id}, false)
	for _, group := range []task.Ref{
		{ID: id, Group: true, Members: []task.Ref{{ID: "a"}, {ID: "b", Group: true, Members: []task.Ref{{ID: "ü"}}}}},
		{ID: id, Group: true, Parent: &task.Ref{ID: "p", Parent: &task.Ref{ID: "q"}}},
	} {
		if err := saver.SaveGroup(t.Context(), group); err != nil {
			t.Fatal(err)
		}
		wantGroup(t, there.(result.GroupStore), group, true)
	}
	store(t, here, success(id, `1`)) // a task is no group
	for range 2 {
		if err := saver.ForgetGroup(t.Context(), id); err != nil {
			t.Errorf("forget: %v", err)
		}
		wantGroup(t, there.(result.GroupStore), task.Ref{ID: id}, false)
	}
	wantState(t, there, id, task.Success)
	if err := there.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := there.(result.GroupStore).Group(t.Context(), id); !errors.Is(err, result.ErrClosed) {
		t.Errorf("group after close: err = %v, want ErrClosed", err)
	}
}

func wantGroup(t *testing.T, s result.GroupStore, want task.Ref, found bool) {
	t.Helper()
	got, ok, err := s.Group(t.Context(), want.ID)
	if err != nil || ok != found {
		t.Fatalf("group %s: found = %t, %v; want %t", want.ID, ok, err, found)
	}
	if diff := cmp.Diff(want, got); ok && diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
}

func testGroupExpiry(t *testing.T, h Harness) {
	groups, ok := closing(t, h.Expiring(t, 50*time.Millisecond)).(result.GroupStore)
	if !ok {
		return
	}
	id := uuid.NewString()
	if err := groups.SaveGroup(t.Context(), task.Ref{ID: id, Group: true, Members: []task.Ref{{ID: "a"}}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the group does not expire", func() bool {
		_, found, err := groups.Group(t.Context(), id)
		return err == nil && !found
	})
}

// until looks again and again.
func until(t *testing.T, complaint string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatal(complaint)
		case <-tick.C:
		}
	}
}
