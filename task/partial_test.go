package task_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

type scale struct {
	Image  string `task:"image"`
	Width  int    `task:"width"`
	Format string `task:"format,optional"`
	Trace  bool   `task:"trace,keyword"`
}

func TestAPartialCallLeavesItsFirstArgumentToTheResultBefore(t *testing.T) {
	t.Parallel()
	call := task.Remote[scale, string]("scale", task.Queue("images")).Partial(scale{Width: 64, Format: "png"}, task.Priority(3))
	want := task.Signature{Task: "scale", Args: []any{64}, Kwargs: map[string]any{"format": "png", "trace": false}}
	if diff := cmp.Diff([]any{want.Args, want.Kwargs}, []any{call.Args, call.Kwargs}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if call.Queue != "images" || call.Priority != 3 {
		t.Errorf("queue %q, priority %d; want those of the task and the call", call.Queue, call.Priority)
	}
	optional := task.Remote[struct {
		X int `task:"x,optional"`
	}, int]("count").Partial(struct {
		X int `task:"x,optional"`
	}{})
	single := task.Remote[int, int]("neg").Partial(0)
	raw := task.Raw("raw", nil).Partial(task.Arguments{Args: []codec.Raw{codec.Raw("4")}})
	for _, s := range []task.Signature{optional, single} {
		if len(s.Args) != 0 || len(s.Kwargs) != 0 || s.Validate() != nil {
			t.Errorf("%s has %v %v (%v), want nothing", s.Task, s.Args, s.Kwargs, s.Validate())
		}
	}
	if diff := cmp.Diff([]any{codec.Raw("4")}, raw.Args); diff != "" {
		t.Errorf("raw (-want +got):\n%s", diff)
	}
}

func TestAPartialCallWithAFirstArgumentIsRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []task.Signature{
		task.Remote[scale, string]("scale").Partial(scale{Image: "a.png"}),
		task.Remote[int, int]("neg").Partial(4),
	} {
		err := s.Validate()
		if err == nil || !strings.Contains(err.Error(), "is for the earlier result: leave it out of the rest") {
			t.Errorf("%s: error %v, want one that says where the result goes", s.Task, err)
		}
	}
	if err := task.Remote[struct{}, int]("now").Partial(struct{}{}).Validate(); err == nil {
		t.Error("a task without parameters takes a result")
	}
}

func TestThePositionOfAParameterIsFoundByItsField(t *testing.T) {
	t.Parallel()
	typed := task.Remote[scale, string]("scale")
	for want, field := range map[int]func(*scale) any{
		0: func(s *scale) any { return &s.Image }, 1: func(s *scale) any { return &s.Width }, 2: func(s *scale) any { return &s.Format },
	} {
		if got, err := typed.Position(field); got != want || err != nil {
			t.Errorf("position %d, %v; want %d", got, err, want)
		}
	}
	other := ""
	for name, field := range map[string]func(*scale) any{
		"keyword": func(s *scale) any { return &s.Trace }, "whole": func(s *scale) any { return s }, "other": func(*scale) any { return &other },
		"nil": func(*scale) any { return nil }, "value": func(s *scale) any { return s.Width },
	} {
		if at, err := typed.Position(field); err == nil {
			t.Errorf("%s: position %d, want an error", name, at)
		}
	}
	if _, err := task.Remote[[2]int, int]("pair").Position(func(p *[2]int) any { return &p[0] }); err == nil {
		t.Error("a part of the only parameter has a position")
	}
	if at, err := task.Remote[[2]int, int]("pair").Position(func(p *[2]int) any { return p }); at != 0 || err != nil {
		t.Errorf("the only parameter: %d, %v; want 0", at, err)
	}
}
