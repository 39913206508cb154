package task_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

type none = struct{}

func double(_ context.Context, calls []*task.BatchCall[int, int]) error {
	for _, c := range calls {
		switch {
		case c.Args < 0:
			c.Fail(task.Raise("ValueError", "negative"))
		case c.Args > 0:
			c.Succeed(2 * c.Args)
		}
	}
	return nil
}

func request(args ...string) *task.Request {
	req := &task.Request{ID: "id", Name: "tasks.double"}
	for _, a := range args {
		req.Args = append(req.Args, codec.Raw(a))
	}
	return req
}

func TestABatchTaskIsSentLikeAnyOther(t *testing.T) {
	t.Parallel()
	d := task.NewBatch("tasks.double", double, task.Queue("q"))
	s := d.S(21)
	if s.Task != "tasks.double" || s.Queue != "q" || len(s.Args) != 1 || d.Spec().Params[0].Type != "int" || d.Spec().Returns != "int" {
		t.Errorf("signature %+v, spec %+v", s, d.Spec())
	}
	if got, want := *d.Spec().Batch, (task.BatchPolicy{Size: 100, Wait: time.Second}); got != want {
		t.Errorf("policy = %+v, want %+v", got, want)
	}
	d = task.NewBatch("tasks.double", double, task.BatchSize(7), task.BatchWait(time.Minute))
	if got, want := *d.Spec().Batch, (task.BatchPolicy{Size: 7, Wait: time.Minute}); got != want {
		t.Errorf("policy = %+v, want %+v", got, want)
	}
}

func TestTheHandlerOfABatchTaskRunsABatchOfOneByItself(t *testing.T) {
	t.Parallel()
	h := task.NewBatch("tasks.double", double).Spec().Handler
	if got, err := h.Handle(t.Context(), request("21")); err != nil || got != 42 {
		t.Errorf("double(21) = %v, %v", got, err)
	}
	for arg, want := range map[string]string{"-1": "negative", "0": "neither Succeed nor Fail", `"x"`: "argument 'arg'"} {
		if _, err := h.Handle(t.Context(), request(arg)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("double(%s): %v, want %q", arg, err, want)
		}
	}
}

func TestACallThatIsCancelledAndLeftOutFailsWithTheCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	skip := task.NewBatch("tasks.skip", func(context.Context, []*task.BatchCall[none, int]) error {
		cancel(task.ErrRevoked)
		return nil
	})
	if _, err := skip.Spec().Handler.Handle(ctx, request()); !errors.Is(err, task.ErrRevoked) {
		t.Errorf("error = %v, want the cause", err)
	}
}

func TestWrongBatchOptionsPanicWithTheTasksName(t *testing.T) {
	t.Parallel()
	plain := func(context.Context, int) (int, error) { return 0, nil }
	for name, define := range map[string]func(){
		"size":   func() { task.NewBatch("tasks.x", double, task.BatchSize(0)) },
		"wait":   func() { task.NewBatch("tasks.x", double, task.BatchWait(0)) },
		"New":    func() { task.New("tasks.x", plain, task.BatchSize(5)) },
		"Remote": func() { task.Remote[int, int]("tasks.x", task.BatchWait(time.Second)) },
		"Raw":    func() { task.Raw("tasks.x", task.HandlerFunc(nil), task.BatchSize(5)) },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, "tasks.x") {
					t.Errorf("%s: panic %q, want the task's name", name, text)
				}
			}()
			define()
		}()
	}
}
