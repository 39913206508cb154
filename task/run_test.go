package task_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-399731e2/taskq/task"
)

func TestTheContextOfARunAnswersForAllThatItCarries(t *testing.T) {
	t.Parallel()
	var told task.State
	run := &task.Run{
		Request: &task.Request{ID: "1"}, Trail: &task.Trail{},
		Update: func(_ context.Context, state task.State, _ any) error { told = state; return nil },
	}
	type key struct{}
	ctx := task.WithRun(context.WithValue(t.Context(), key{}, "outer"), run)
	if task.FromContext(ctx) != run.Request || task.TrailFrom(ctx) != run.Trail || ctx.Value(key{}) != "outer" {
		t.Error("the context lacks the request, the trail, or what was in it before")
	}
	if err := task.Progress(ctx, 1); err != nil || told != task.InProgress {
		t.Errorf("progress = %v, told %q", err, told)
	}
	if _, err := task.AddToChord(ctx, task.Signature{Task: "a"}); !errors.Is(err, task.ErrNotInChord) {
		t.Errorf("a call was added to no chord: %v", err)
	}
	run.Joining = func(context.Context, task.Signature) (string, error) { return "2", nil }
	if id, err := task.AddToChord(ctx, task.Signature{Task: "a"}); id != "2" || err != nil {
		t.Errorf("added to the chord = %q, %v, want 2", id, err)
	}
}
