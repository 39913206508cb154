package taskq_test

import (
	"context"
	"slices"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/task"
)

// What a task sends becomes its children, in order, unless the call says that it shall not.
func TestWhatATaskSendsAreItsChildren(t *testing.T) {
	t.Parallel()
	var app *taskq.App
	var sent []string
	app = newApp(t, taskq.Config{}, add(), task.New("parent", func(ctx context.Context, _ struct{}) (int, error) {
		for _, detached := range []bool{false, true, false} {
			s := add().S(pair{1, 2})
			s.Detached = detached
			r, err := app.Send(ctx, s)
			if err != nil {
				return 0, err
			}
			if !detached {
				sent = append(sent, r.ID())
			}
		}
		batch, err := app.SendBatch(ctx, []task.Signature{add().S(pair{1, 2}), {}, add().S(pair{3, 4})})
		for _, i := range []int{0, 2} {
			sent = append(sent, batch[i].ID())
		}
		if err == nil {
			t.Error("a call without a name was sent")
		}
		return 0, nil
	}))
	work(t, app)
	result, err := app.Send(t.Context(), task.Signature{Task: "parent"})
	if err != nil {
		t.Fatal(err)
	}
	meta, err := result.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var children []string
	for _, ref := range meta.Children {
		children = append(children, ref.ID)
	}
	if meta.State != task.Success || !slices.Equal(children, sent) {
		t.Errorf("state %s, children = %q; want %q", meta.State, children, sent)
	}
}
