package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

func TestCallsAmongArgumentsAreWrittenAsCeleryDoes(t *testing.T) {
	t.Parallel()
	inner := task.Signature{Task: "shop.add", Args: []any{1}}
	args, kwargs := []any{inner, 7}, map[string]any{"task": inner, "it": []int{1}, "all": []task.Signature{inner}}
	message, err := wire.Encode(wire.Outgoing{Signature: task.Signature{
		Task: "celery.map", Args: args, Kwargs: kwargs, CallOptions: task.CallOptions{ID: "x"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var body []any
	if err := (codec.JSON{}).Unmarshal(message.Body, &body); err != nil {
		t.Fatal(err)
	}
	const written = `{"args":[1],"immutable":false,"kwargs":{},"options":{},"subtask_type":null,"task":"shop.add"}`
	const want = `[` + written + `,7]|{"all":[` + written + `],"it":[1],"task":` + written + `}`
	got := string(text(t, body[0])) + "|" + string(text(t, body[1]))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, kept := args[0].(task.Signature); !kept {
		t.Error("the caller's arguments were changed")
	}
	if _, kept := kwargs["task"].(task.Signature); !kept {
		t.Error("the caller's keyword arguments were changed")
	}
}

func text(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := codec.JSON{}.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
