package wire_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// TestOutcomesMayBeInMessagePack turns each outcome of Celery main into MessagePack, the result inside, too.
func TestOutcomesMayBeInMessagePack(t *testing.T) {
	t.Parallel()
	for name, doc := range outcomes(t, "main") {
		want, err := wire.DecodeResult([]byte(doc), nil)
		if err != nil {
			t.Fatal(err)
		}
		want.Codec, want.Result = codec.Msgpack{}, repacked(t, want.Result)
		if x := want.Extended; x != nil {
			x.Args, x.Kwargs = repacked(t, x.Args), repacked(t, x.Kwargs)
		}
		body, err := wire.EncodeResult(want, codec.Msgpack{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := wire.DecodeResult(body, codec.Msgpack{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(want.Err(), got.Err()); diff != "" {
			t.Errorf("%s: error (-want +got):\n%s", name, diff)
		}
	}
}

func repacked(t *testing.T, raw codec.Raw) codec.Raw {
	t.Helper()
	var v any
	if err := (codec.JSON{}).Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	packed, err := codec.Msgpack{}.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}
