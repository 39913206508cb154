package taskq_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

type climb struct {
	Metres int `json:"metres"`
}

// climber is a task that shows how far it is, each time that somebody lets it go on.
func climber(steps <-chan int) *task.Task[struct{}, string] {
	return task.New("climb", func(ctx context.Context, _ struct{}) (string, error) {
		for metres := range steps {
			if err := task.Progress(ctx, climb{metres}); err != nil {
				return "", err
			}
		}
		return "top", nil
	})
}

func TestProgressIsTyped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		steps := make(chan int)
		task1 := climber(steps)
		app := newApp(t, taskq.Config{}, task1)
		work(t, app)
		result, err := task1.Send(t.Context(), app, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		at := climb{-1}
		want := func(state task.State, metres int) {
			t.Helper()
			synctest.Wait()
			got, err := result.Progress(t.Context(), &at)
			if err != nil || got != state || at.Metres != metres {
				t.Errorf("%s at %d m, %v; want %s at %d m", got, at.Metres, err, state, metres)
			}
		}
		want(task.Pending, -1)
		steps <- 100
		want(task.InProgress, 100)
		steps <- 200
		want(task.InProgress, 200)
		close(steps)
		want(task.Success, 200)
		if top, err := result.Get(t.Context()); err != nil || top != "top" {
			t.Errorf("result = %q, %v", top, err)
		}
	})
}

func TestStatesAreWatchedToTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		steps := make(chan int)
		task1 := climber(steps)
		app := newApp(t, taskq.Config{Worker: worker.Options{TrackStarted: true}}, task1)
		work(t, app)
		result, err := task1.Send(t.Context(), app, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var seen []string
		for meta, err := range result.Watch(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			switch seen = append(seen, string(meta.State)); len(seen) {
			case 1:
				steps <- 100
			case 2:
				close(steps)
			}
		}
		if want := []string{"STARTED", "PROGRESS", "SUCCESS"}; !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q", seen, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for meta, err := range app.Result("nobody").Watch(ctx) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("meta = %+v, err = %v; want to have waited", meta, err)
			}
		}
		for meta, err := range result.Watch(t.Context()) {
			if err != nil || meta.State != task.Success {
				t.Errorf("meta = %+v, err = %v", meta, err)
			}
			break
		}
	})
}

// A task that waits for another one may wait for ever: it has to say that it knows.
func TestATaskMustNotWaitForAnotherUnlessItSaysSo(t *testing.T) {
	t.Parallel()
	var app *taskq.App
	outer := task.New("outer", func(ctx context.Context, _ struct{}) (int, error) {
		r, err := add().Send(ctx, app, pair{1, 2})
		if err != nil {
			return 0, err
		}
		if _, err := r.Get(ctx); !errors.Is(err, task.ErrWouldBlock) || !strings.Contains(err.Error(), "AllowWaiting") {
			t.Errorf("err = %v, want ErrWouldBlock with the remedy", err)
		}
		for _, err := range r.Watch(ctx) {
			if !errors.Is(err, task.ErrWouldBlock) {
				t.Errorf("err = %v, want ErrWouldBlock", err)
			}
		}
		if _, err := r.State(ctx); err != nil {
			t.Errorf("state: %v", err)
		}
		return r.Get(task.AllowWaiting(ctx))
	})
	app = newApp(t, taskq.Config{Worker: worker.Options{Concurrency: 2}}, outer, add())
	work(t, app)
	r, err := outer.Send(t.Context(), app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := r.Get(t.Context()); err != nil || sum != 3 {
		t.Errorf("sum = %d, %v", sum, err)
	}
}

func TestIgnoredResultsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	r, err := add().Send(t.Context(), app, pair{1, 2}, task.IgnoreResult())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(t.Context()); !errors.Is(err, task.ErrResultIgnored) {
		t.Errorf("err = %v, want ErrResultIgnored", err)
	}
	for _, err := range r.Watch(t.Context()) {
		if !errors.Is(err, task.ErrResultIgnored) {
			t.Errorf("err = %v, want ErrResultIgnored", err)
		}
	}
	if state, err := r.State(t.Context()); err != nil || state != task.Pending {
		t.Errorf("state = %s, %v", state, err)
	}
}

func stored(t *testing.T, app *taskq.App, metas ...task.Meta) result.Backend {
	t.Helper()
	store, err := app.Results(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metas {
		if err := store.Store(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func done(id, value string) task.Meta {
	return task.Meta{ID: id, State: task.Success, Result: codec.Raw(value)}
}

var errOutOfStock = errors.New("out of stock")

func TestExceptionsAreTheApplicationsErrors(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{Exceptions: task.Exceptions{{Type: "OutOfStock", Module: "shop.errors", Err: errOutOfStock}}},
		task.New("order", func(context.Context, struct{}) (int, error) { return 0, fmt.Errorf("tea: %w", errOutOfStock) }))
	stored(t, app, task.Meta{ID: "1", State: task.Failure, Result: codec.Raw(`{"exc_type": "OutOfStock", "exc_message": ["tea"], "exc_module": "shop.errors"}`)})
	for what, outcome := range map[string]func(*task.Result[any]) error{
		"get":  func(r *task.Result[any]) error { _, err := r.Get(t.Context()); return err },
		"meta": func(r *task.Result[any]) error { m, err := r.Meta(t.Context()); return errors.Join(err, m.Err()) },
		"watch": func(r *task.Result[any]) (err error) {
			for m, e := range r.Watch(t.Context()) {
				err = errors.Join(e, m.Err())
			}
			return err
		},
	} {
		if err := outcome(app.Result("1")); !errors.Is(err, errOutOfStock) {
			t.Errorf("%s: err = %v, want errOutOfStock", what, err)
		}
	}
	work(t, app)
	r, err := app.Send(t.Context(), task.Signature{Task: "order"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Get(t.Context())
	if remote, ok := errors.AsType[*task.RemoteError](err); !ok || remote.Module != "shop.errors" || !errors.Is(err, errOutOfStock) {
		t.Errorf("err = %#v, want shop.errors.OutOfStock", err)
	}
	if _, err := taskq.New(taskq.Config{Exceptions: task.Exceptions{{}}}); err == nil {
		t.Error("a rule without a class is taken")
	}
}

func TestChildrenMayBeGroups(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	group := task.Ref{ID: "g", Group: true, Members: []task.Ref{{ID: "1"}, {ID: "2"}, {ID: "h", Group: true, Members: []task.Ref{{ID: "3"}}}}}
	parent := done("p", "0")
	parent.Children = []task.Ref{{ID: "1"}, group}
	stored(t, app, parent, done("1", "10"), done("2", "20"), done("3", "30"))
	children, err := app.Result("p").Children(t.Context())
	if err != nil || len(children) != 2 || children[0].IsGroup() || !children[1].IsGroup() {
		t.Fatalf("children = %v, %v; want a task and a group", children, err)
	}
	if value, err := children[0].Get(t.Context()); err != nil || fmt.Sprint(value) != "10" {
		t.Errorf("first child = %v, %v", value, err)
	}
	if value, err := children[1].Get(t.Context()); err != nil || fmt.Sprint(value) != "[10 20 [30]]" {
		t.Errorf("group = %v, %v; want the values of its members", value, err)
	}
	if members := children[1].Members(); len(members) != 3 || members[1].ID() != "2" || len(members[2].Members()) != 1 {
		t.Errorf("members = %v", members)
	}
	if err := children[1].Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2", "3"} {
		if state, err := app.Result(id).State(t.Context()); err != nil || state != task.Pending {
			t.Errorf("state of %s = %s, %v; want it to be forgotten", id, state, err)
		}
	}
}

func TestSavedGroupsComeBack(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	store := stored(t, app, done("1", "10"))
	group := task.Ref{ID: "g", Group: true, Parent: &task.Ref{ID: "0"}, Members: []task.Ref{{ID: "1"}, {ID: "2"}}}
	if err := store.(result.GroupStore).SaveGroup(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	r, err := app.Group(t.Context(), "g")
	if err != nil || r.ID() != "g" || len(r.Members()) != 2 || r.Parent().ID() != "0" {
		t.Fatalf("group = %+v, %v", r, err)
	}
	if state, err := r.State(t.Context()); err != nil || state != task.Pending {
		t.Errorf("state = %s, %v; one member has not ended", state, err)
	}
	stored(t, app, task.Meta{ID: "2", State: task.Failure, Result: codec.Raw(`{"exc_type": "KeyError", "exc_message": ["x"], "exc_module": "builtins"}`)})
	if state, err := r.State(t.Context()); err != nil || state != task.Failure {
		t.Errorf("state = %s, %v; one member has failed", state, err)
	}
	if _, err := task.ResultAs[[]int](r).Get(t.Context()); err == nil || err.Error() != "KeyError: x" {
		t.Errorf("err = %v, want the member's", err)
	}
	for _, err := range r.Watch(t.Context()) {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("err = %v, want ErrUnsupported", err)
		}
	}
	if _, err := app.Group(t.Context(), "x"); !errors.Is(err, task.ErrUnknownGroup) {
		t.Errorf("err = %v, want ErrUnknownGroup", err)
	}
}

func TestResultsFromElsewhereAreTyped(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	stored(t, app, done("1", `{"metres": 7}`))
	if at, err := taskq.ResultOf[climb](app, "1").Get(t.Context()); err != nil || at.Metres != 7 {
		t.Errorf("result = %+v, %v", at, err)
	}
}

func TestWhatGetCannotGiveNamesTheTask(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add())
	work(t, app)
	r, err := app.Send(t.Context(), task.Signature{Task: "tasks.add", Args: []any{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := task.ResultAs[string](r).Get(t.Context()); err == nil || !strings.Contains(err.Error(), r.ID()) {
		t.Errorf("of another type: %v, want the id", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := app.Result("unknown").Get(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("of a context that ended: %v, want the id", err)
	}
}
