package task_test

import (
	"sync"
	"testing"

	"github.com/seed-399731e2/taskq/task"
)

func TestATrailKeepsWhatWasSentInOrder(t *testing.T) {
	t.Parallel()
	var trail task.Trail
	ctx := task.WithTrail(t.Context(), &trail)
	if refs := trail.Refs(); refs == nil || len(refs) != 0 {
		t.Errorf("a new trail = %#v, want an empty list that is not nil", refs)
	}
	task.TrailFrom(ctx).Add(task.Ref{ID: "a"}, task.Ref{ID: "g", Group: true})
	early := trail.Refs()
	task.TrailFrom(ctx).Add(task.Ref{ID: "b"})
	if len(early) != 2 || early[0].ID != "a" || !early[1].Group {
		t.Errorf("trail = %+v, want a and the group g, whatever came later", early)
	}
	if refs := trail.Refs(); len(refs) != 3 || refs[2].ID != "b" {
		t.Errorf("trail = %+v, want a, g, b", refs)
	}
}

func TestATrailIsSharedByGoroutines(t *testing.T) {
	t.Parallel()
	var trail task.Trail
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			trail.Add(task.Ref{ID: "x"})
			_ = trail.Refs()
		})
	}
	wg.Wait()
	if n := len(trail.Refs()); n != 50 {
		t.Errorf("%d of 50 are on the trail", n)
	}
}

func TestOutsideOfATaskNothingIsKept(t *testing.T) {
	t.Parallel()
	trail := task.TrailFrom(t.Context())
	trail.Add(task.Ref{ID: "a"})
	if refs := trail.Refs(); len(refs) != 0 {
		t.Errorf("trail = %+v outside of a task", refs)
	}
}
