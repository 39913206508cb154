package record

import (
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-399731e2/taskq/broker"
)

// values generates what a table may hold.
func values() *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), toAny),
		rapid.Map(rapid.String(), toAny),
		rapid.Map(rapid.SliceOf(rapid.Byte()), toAny),
		rapid.Map(rapid.Int32(), toAny),
		rapid.Map(rapid.Int64Range(0, math.MaxInt64), toAny),
		rapid.Map(rapid.Float64(), toAny),
		rapid.Map(rapid.Int64Range(-1<<40, 1<<40), func(s int64) any { return time.Unix(s, 0) }),
	)
	inner := rapid.OneOf(leaf, rapid.Map(rapid.SliceOf(leaf), toAny), rapid.Map(rapid.MapOf(rapid.String(), leaf), toAny))
	return rapid.OneOf(inner, rapid.Map(rapid.SliceOf(inner), toAny), rapid.Map(rapid.MapOf(rapid.String(), inner), toAny))
}

func toAny[T any](v T) any { return v }

func TestRecordsDecodeToWhatWasEncoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		msg := broker.Message{
			ContentType: text.Draw(t, "content type"), ContentEncoding: text.Draw(t, "content encoding"),
			Headers:   rapid.MapOf(rapid.String(), values()).Draw(t, "headers"),
			Transient: rapid.Bool().Draw(t, "transient"), Priority: rapid.Uint8().Draw(t, "priority"),
			CorrelationID: text.Draw(t, "correlation id"), ReplyTo: text.Draw(t, "reply to"),
			Expiration: time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "expiration")),
			MessageID:  text.Draw(t, "message id"), Type: text.Draw(t, "type"), AppID: text.Draw(t, "app id"),
			Timestamp: time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "timestamp"), 0),
		}
		got, err := Decode(Encode(msg))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, msg) {
			t.Fatalf("decoded %+v\nwant    %+v", got, msg)
		}
	})
}

func FuzzDamagedRecordsAreErrors(f *testing.F) {
	f.Add(Encode(broker.Message{}))
	f.Add(Encode(broker.Message{
		ContentType: "application/json", Timestamp: time.Unix(1, 0),
		Headers: broker.Table{"a": []any{int32(1), "x", broker.Table{"b": 1.5}}, "t": time.Unix(2, 0), "n": nil},
	}))
	f.Add([]byte{layoutVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, tagList, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := Decode(data)
		if err != nil {
			return
		}
		if _, err := Decode(Encode(msg)); err != nil {
			t.Errorf("what was decoded does not encode: %v", err)
		}
	})
}
