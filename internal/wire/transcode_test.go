package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

func TestACallGoesOutByAnotherCodecThanItCameInBy(t *testing.T) {
	t.Parallel()
	packed := func(v any) codec.Raw {
		raw, err := codec.Msgpack{}.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	call := func(args ...any) task.Signature {
		return task.Signature{Task: "t", Args: args, Kwargs: map[string]any{"k": packed("v")}}
	}
	s := call(packed(1), "plain")
	s.Link, s.LinkError = []task.Signature{call(packed(2))}, []task.Signature{call(packed(3))}
	s.Chain = []task.Signature{}
	body := call(packed([]int{4}))
	s.Chord = &body
	want := func(args ...any) task.Signature {
		return task.Signature{Task: "t", Args: args, Kwargs: map[string]any{"k": "v"}}
	}
	w := want(int64(1), "plain")
	w.Link, w.LinkError, w.Chain = []task.Signature{want(int64(2))}, []task.Signature{want(int64(3))}, []task.Signature{}
	wantBody := want([]any{int64(4)})
	w.Chord = &wantBody
	unset := cmpopts.IgnoreUnexported(task.CallOptions{})
	got, err := wire.Transcode(s, codec.Msgpack{}, codec.JSON{})
	if diff := cmp.Diff(w, got, unset); err != nil || diff != "" {
		t.Errorf("transcoded: %v (-want +got):\n%s", err, diff)
	}
	if same, err := wire.Transcode(s, codec.Msgpack{}, codec.Msgpack{}); err != nil || !cmp.Equal(s, same, unset) {
		t.Errorf("by the same codec it became %v, %v", same, err)
	}
	if _, err := wire.Transcode(call(codec.Raw("\xc1")), codec.Msgpack{}, codec.JSON{}); err == nil {
		t.Error("what cannot be decoded went through")
	}
}
