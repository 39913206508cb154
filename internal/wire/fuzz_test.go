package wire_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// FuzzDecode feeds bodies and the headers that bite; what decodes can be retried, and decodes again to the same call.
func FuzzDecode(f *testing.F) {
	for _, file := range paths(f, "tasks/main") {
		fx := load(f, file)
		h := table(f, fx.Typed)
		text := func(key string) string { s, _ := h[key].(string); return s }
		f.Add(fx.Body, text("task"), text("id"), text("eta"), text("expires"), text("compression"))
	}
	for _, c := range malformedCases(f, "main") {
		d := c.delivery(f)
		f.Add(d.Body, "tasks.add", "id", "", "", "")
	}
	f.Fuzz(func(t *testing.T, body []byte, name, id, eta, expires, compression string) {
		h := broker.Table{}
		for key, value := range map[string]string{"task": name, "id": id, "eta": eta, "expires": expires, "compression": compression} {
			if value != "" {
				h[key] = value
			}
		}
		d := broker.NewDelivery(broker.Message{ContentType: "application/json", Headers: h, Body: body}, nil)
		wire.Repark(d, time.Time{})
		req, err := wire.Decode(d, codec.NewSet(codec.JSON{}), wire.Limits{BodyBytes: 1 << 20})
		if err != nil {
			_ = err.Error()
			return
		}
		msg, err := wire.Retry(req, req.ETA, req.Expires)
		if err != nil {
			return // an argument that is JSON, but nothing: a datetime that is none
		}
		again, err := wire.Decode(broker.NewDelivery(msg, nil), codec.NewSet(codec.JSON{}), wire.Limits{})
		if err != nil {
			t.Fatalf("the retry does not decode: %v\n%s", err, msg.Body)
		}
		if again.ID != req.ID || again.Name != req.Name || again.Retries != req.Retries+1 || len(again.Args) != len(req.Args) {
			t.Fatalf("retry of %+v is %+v", req, again)
		}
		for i := range req.Args {
			if !bytes.Equal(again.Args[i], req.Args[i]) {
				t.Fatalf("argument %d was %s and is %s", i, req.Args[i], again.Args[i])
			}
		}
	})
}

// FuzzDecodeResult checks that what decodes can be written again, and says the same then.
func FuzzDecodeResult(f *testing.F) {
	for _, file := range paths(f, "results-rpc/main") {
		f.Add(load(f, file).Body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		meta, err := wire.DecodeResult(body, nil)
		if err != nil {
			return
		}
		_ = meta.Err()
		doc, err := wire.EncodeResult(meta, nil)
		if err != nil {
			return // a time that Python cannot hold
		}
		again, err := wire.DecodeResult(doc, nil)
		if err != nil || again.ID != meta.ID || again.State != meta.State || again.Traceback != meta.Traceback {
			t.Fatalf("%s was %+v and is %+v: %v", body, meta, again, err)
		}
	})
}

// FuzzDecodeSignature checks that a signature that decodes says the same when it is written and read again.
func FuzzDecodeSignature(f *testing.F) {
	for _, file := range paths(f, "tasks/main") {
		var body []codec.Raw
		var embed map[string]codec.Raw
		if err := (codec.JSON{}).Unmarshal(load(f, file).Body, &body); err != nil || len(body) != 3 {
			continue
		}
		if err := (codec.JSON{}).Unmarshal(body[2], &embed); err != nil {
			continue
		}
		for _, raw := range embed {
			f.Add([]byte(raw))
		}
	}
	f.Add([]byte(`{"task": "t", "options": {"expires": -1, "countdown": 1e9, "priority": 7, "stamped_headers": ["a"], "a": [1], "group_id": "g"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := wire.DecodeSignatures(raw, codec.JSON{})
		if err != nil {
			return
		}
		again, err := wire.EncodeSignatures(list, codec.JSON{})
		if err != nil {
			return // an argument or a header that is JSON, but nothing: a datetime that is none
		}
		twice, err := wire.DecodeSignatures(again, codec.JSON{})
		if err != nil {
			t.Fatalf("%s became %s: %v", raw, again, err)
		}
		third, err := wire.EncodeSignatures(twice, codec.JSON{})
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%s became %s, then %s, %v", raw, again, third, err)
		}
	})
}

// FuzzDecodeCommand checks that a command which decodes can be sent on, and that answers are read by the same means.
func FuzzDecodeCommand(f *testing.F) {
	for _, file := range paths(f, "control/main") {
		f.Add(load(f, file).Body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, c := range []codec.Codec{codec.JSON{}, codec.Msgpack{}} {
			d := broker.NewDelivery(broker.Message{ContentType: c.ContentType(), Body: body}, nil)
			_, _ = wire.DecodeAnswer(d, codec.NewSet(c), wire.Limits{})
			got, err := wire.DecodeCommand(d, codec.NewSet(c), wire.Limits{BodyBytes: 1 << 20})
			if err != nil {
				continue
			}
			again := wire.Command{Method: got.Method, Arguments: map[string]any{}, Destination: got.Destination, Pattern: got.Pattern, Matcher: got.Matcher}
			for name, raw := range got.Arguments {
				again.Arguments[name] = raw
			}
			msg, err := wire.EncodeCommand(again)
			if err != nil {
				t.Fatalf("%+v: %v", again, err)
			}
			if read, err := wire.DecodeCommand(broker.NewDelivery(msg, nil), nil, wire.Limits{}); err != nil || read.Method != got.Method {
				t.Fatalf("%s is %+v, %v", msg.Body, read, err)
			}
		}
	})
}
