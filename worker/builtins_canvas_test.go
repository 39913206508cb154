package worker_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
)

func TestBuiltInTasksSendWorkflows(t *testing.T) {
	t.Parallel()
	sig := func(name string, args ...any) map[string]any {
		return map[string]any{"task": name, "args": append([]any{}, args...), "kwargs": map[string]any{}, "options": map[string]any{}, "subtask_type": nil}
	}
	const add = "{'args': [], 'kwargs': {}, 'options': {}, 'subtask_type': None, 'task': 'add'}"
	pairs := []any{[]any{1, 2}, []any{3, 4}, []any{5, 6}}
	for name, test := range map[string]struct {
		call     task.Signature
		want     []string
		children string
		result   string
	}{
		"chunks": {
			builtinCall("celery.chunks", nil, map[string]any{"task": sig("add"), "it": pairs, "n": 2}),
			[]string{
				"celery.starmap(){'it': [[1, 2], [3, 4]], 'task': " + add + "} in made at 0",
				"celery.starmap(){'it': [[5, 6]], 'task': " + add + "} in made at 1",
			},
			"made[made made]", "made[made made]",
		},
		"chunks of nothing": {builtinCall("celery.chunks", nil, map[string]any{"task": sig("add"), "it": []any{}, "n": 2}), nil, "made[]", "made[]"},
		"group": {
			builtinCall("celery.group", []any{[]any{sig("a", 1), sig("b")}, nil, "G", []any{7}}, nil),
			[]string{"a(7, 1) in G at 0", "b(7,) in G at 1"},
			"G[made made]", "G[made made]",
		},
		"group, detached": {
			builtinCall("celery.group", nil, map[string]any{"tasks": []any{sig("a")}, "group_id": "G", "add_to_parent": false}),
			[]string{"a() in G at 0"},
			"", "G[made]",
		},
		"chain": {
			builtinCall("celery.chain", []any{7}, map[string]any{"tasks": []any{sig("a", 1), sig("b")}}),
			[]string{"a(7, 1) then b"},
			"made", "made",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out outbox
				h := start(t, plan{send: out.send})
				test.call.ID, test.call.RootID = "1", "0"
				h.send(test.call)
				meta := h.outcome("1")
				var got []string
				for _, msg := range out.sent() {
					got = append(got, describe(t, msg))
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("calls (-want +got):\n%s%v", diff, meta.Err())
				}
				ref, err := wire.DecodeRef(meta.Result, codec.JSON{})
				if err != nil {
					t.Fatal(err)
				}
				if got := family([]task.Ref{ref}); got != test.result || family(meta.Children) != test.children {
					t.Errorf("result %s, want %s; children %s, want %s", got, test.result, family(meta.Children), test.children)
				}
			})
		})
	}
}

func TestBuiltInTasksThatSendNoWorkflowFail(t *testing.T) {
	t.Parallel()
	sig := map[string]any{"task": "a"}
	for name, test := range map[string]struct {
		call        task.Signature
		class, text string
	}{
		"chunks of none":     {builtinCall("celery.chunks", nil, map[string]any{"task": sig, "it": []any{}, "n": 0}), "ValueError", "at least 1"},
		"chunks of no task":  {builtinCall("celery.chunks", nil, map[string]any{"task": 1, "it": []any{}, "n": 1}), "TypeError", "argument task"},
		"a group of numbers": {builtinCall("celery.group", []any{[]any{1}, nil, "G", []any{}}, nil), "TypeError", "argument tasks"},
		"an empty chain":     {builtinCall("celery.chain", nil, map[string]any{"tasks": []any{}}), "InvalidTaskError", "chain"},
		"a chord of numbers": {builtinCall("celery.chord", []any{[]any{1}, sig}, nil), "TypeError", "argument header"},
		"a chord and 7":      {builtinCall("celery.chord", []any{[]any{sig}, 7}, nil), "TypeError", "argument body"},
		"a chord of nothing": {builtinCall("celery.chord", nil, nil), "TypeError", "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, plan{})
				if remote := h.wantFailure(h.send(test.call), test.class); !strings.Contains(remote.Message, test.text) {
					t.Errorf("message = %s, want … %s …", remote.Message, test.text)
				}
			})
		})
	}
}

// cleaning is a store that is told to delete what has expired.
type cleaning struct {
	*resultmem.Backend
	times int
}

func (c *cleaning) Cleanup(context.Context) error { c.times++; return nil }

func TestBackendCleanupCleansTheStoreUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &cleaning{Backend: resultmem.New(resultmem.Config{})}
		h := start(t, plan{results: store})
		if meta := h.outcome(h.send(task.Signature{Task: "celery.backend_cleanup"})); meta.State != task.Success || string(meta.Result) != "null" {
			t.Errorf("outcome = %s %s", meta.State, meta.Result)
		}
		if store.times != 1 {
			t.Errorf("the store was cleaned up %d times", store.times)
		}
	})
}

func TestBackendCleanupOfAStoreThatCleansItselfIsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{})
		if meta := h.outcome(h.send(task.Signature{Task: "celery.backend_cleanup"})); meta.State != task.Success {
			t.Errorf("outcome = %s %v", meta.State, meta.Err())
		}
	})
}
