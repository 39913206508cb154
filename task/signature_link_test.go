package task_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/task"
)

func plus(args ...any) task.Signature { return task.Signature{Task: "add", Args: args} }

func several(kind string, parts ...task.Signature) task.Signature {
	return task.Signature{Task: "celery." + kind, Type: kind, Tasks: parts}
}

func TestArgumentsGoToWhatAWorkflowStartsWith(t *testing.T) {
	t.Parallel()
	fixed := plus(1).SI()
	body := plus()
	chord := several("chord", plus(3), fixed)
	chord.Body = &body
	for name, c := range map[string]struct{ call, want task.Signature }{
		"task":      {plus(2), plus(1, 2)},
		"immutable": {fixed, fixed},
		"chain":     {several("chain", plus(2), plus(3)), several("chain", plus(1, 2), plus(3))},
		"empty":     {several("chain"), several("chain")},
		"group":     {several("group", plus(2), fixed), several("group", plus(1, 2), fixed)},
		"nested":    {several("chain", several("group", plus(2))), several("chain", several("group", plus(1, 2)))},
		"chord":     {chord, func() task.Signature { c := chord.Clone(); c.Tasks[0] = plus(1, 3); return c }()},
	} {
		before := c.call.Clone()
		if diff := cmp.Diff(c.want, c.call.WithArgs(1)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(before, c.call); diff != "" {
			t.Errorf("%s changed (-before +after):\n%s", name, diff)
		}
	}
}

func TestKeywordArgumentsReplaceThoseOfTheSameName(t *testing.T) {
	t.Parallel()
	call := task.Signature{Task: "add", Kwargs: map[string]any{"x": 1, "y": 2}}
	got := several("chain", call).WithKwargs(map[string]any{"y": 3, "z": 4})
	if diff := cmp.Diff(map[string]any{"x": 1, "y": 3, "z": 4}, got.Tasks[0].Kwargs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if call.Kwargs["y"] != 2 {
		t.Errorf("the call itself has y = %v, want 2", call.Kwargs["y"])
	}
}

func TestAnImmutableWorkflowTakesNoResult(t *testing.T) {
	t.Parallel()
	chain := several("chain", several("group", plus(1), plus(2)), plus(3)).SI()
	group := chain.Tasks[0]
	if !chain.Immutable || !group.Tasks[0].Immutable || !group.Tasks[1].Immutable || chain.Tasks[1].Immutable {
		t.Errorf("got %+v, want the chain and the first of its calls immutable", chain)
	}
}

func TestCallsAreLinkedOnce(t *testing.T) {
	t.Parallel()
	call := plus(1).OnSuccess(plus(2), plus(2)).OnSuccess(plus(2), plus(3)).OnError(plus(4)).OnError(plus(4))
	want := task.CallOptions{Link: []task.Signature{plus(2), plus(3)}, LinkError: []task.Signature{plus(4)}}
	if diff := cmp.Diff(want, call.CallOptions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLinksLeaveTheWorkflowTheyAreHungOnAlone(t *testing.T) {
	t.Parallel()
	body := plus()
	chord := several("chord", plus(1))
	chord.Body = &body
	for _, s := range []task.Signature{plus(1), several("chain", plus(1)), several("group", plus(1), chord), several("group"), chord} {
		before := s.Clone()
		if linked := s.OnSuccess(plus(2)).OnError(plus(3)); cmp.Equal(before, linked) {
			t.Errorf("%s: nothing was linked", s.Task)
		}
		if diff := cmp.Diff(before, s); diff != "" {
			t.Errorf("%s (-before +after):\n%s", s.Task, diff)
		}
	}
}

func TestLinksOfLinksAreFlattened(t *testing.T) {
	t.Parallel()
	call := plus(1).OnSuccess(plus(2).OnSuccess(plus(3)), plus(4))
	var got []any
	for _, s := range call.FlattenLinks() {
		got = append(got, s.Args[0])
	}
	if diff := cmp.Diff([]any{1, 2, 3, 4}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A worker passes on what others have sent, also what it would not send itself.
func TestOptionsDoNotAnswerForTheWorkflowsThatFollow(t *testing.T) {
	t.Parallel()
	call := plus(1)
	call.Link, call.Chain = []task.Signature{several("chain")}, []task.Signature{several("chord", plus(2))}
	if err := call.CallOptions.Validate(); err != nil {
		t.Errorf("the options: %v, want none", err)
	}
	if err := call.Validate(); err == nil {
		t.Error("the call has a chain without steps after it, and is valid")
	}
	call.Link = []task.Signature{{}}
	if err := call.CallOptions.Validate(); err == nil {
		t.Error("a link without a name is valid")
	}
}
