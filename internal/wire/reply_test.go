package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// TestRepliesAsCeleryDoes reads each reply of Celery main and writes it again: the same message, property for property.
func TestRepliesAsCeleryDoes(t *testing.T) {
	t.Parallel()
	accept := codec.NewSet(codec.JSON{})
	for _, file := range paths(t, "results-rpc/main") {
		f := load(t, file)
		if f.Properties.ContentType != "application/json" {
			continue
		}
		meta, err := wire.DecodeReply(f.delivery(t), accept, wire.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		meta.CorrelationID = f.Properties.CorrelationID
		got, err := wire.EncodeReply(meta, false)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		want := f.message(t)
		if !cmp.Equal(tokens(t, string(want.Body)), tokens(t, string(got.Body))) {
			t.Errorf("%s (-want +got):\n%s", file, cmp.Diff(string(want.Body), string(got.Body)))
		}
		want.Body, got.Body = nil, nil
		if len(want.Headers) == 0 {
			want.Headers = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		if meta.CorrelationID = ""; got.CorrelationID != meta.ID {
			t.Errorf("%s: correlation id %s of task %s", file, got.CorrelationID, meta.ID)
		}
		if got, err = wire.EncodeReply(meta, true); err != nil || got.Transient || got.CorrelationID != meta.ID {
			t.Errorf("%s: persistent: %+v, %v", file, got, err)
		}
	}
}

func TestRepliesMayBeInAnyCodecThatIsAccepted(t *testing.T) {
	t.Parallel()
	f := load(t, "results-rpc/main/success-1-SUCCESS.json")
	msg := f.message(t)
	msg.ContentType = packed{}.ContentType()
	d := broker.NewDelivery(msg, nil)
	if _, err := wire.DecodeReply(d, codec.NewSet(codec.JSON{}), wire.Limits{}); !errors.Is(err, codec.ErrRefused) {
		t.Errorf("not accepted: error = %v", err)
	}
	meta, err := wire.DecodeReply(d, codec.NewSet(codec.JSON{}, packed{}), wire.Limits{})
	if err != nil || meta.Codec != (packed{}) {
		t.Fatalf("codec %T, %v", meta.Codec, err)
	}
	msg.Body = []byte("{}")
	if _, err := wire.DecodeReply(broker.NewDelivery(msg, nil), codec.NewSet(packed{}), wire.Limits{}); err == nil || !strings.Contains(err.Error(), "no task_id") {
		t.Errorf("no outcome: error = %v", err)
	}
}
