package wire_test

import (
	"bytes"
	"encoding/base64"
	"path"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/codec/auth"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// signed believes the certificate of the recordings, or another one, and signs with a key of its own.
func signed(t *testing.T, store string) *auth.Codec {
	t.Helper()
	const keys = "../../codec/auth/testdata/"
	c, err := auth.New(auth.Config{Key: keys + "plain.pem", Certificate: keys + "cert.pem", Store: store})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVerifiesWhatCelerySigned(t *testing.T) {
	t.Parallel()
	accept := codec.NewSet(signed(t, "testdata/security/cert.pem"))
	for _, version := range celeryVersions() {
		f := load(t, path.Join("security", version, "security_auth.json"))
		req, err := wire.Decode(f.delivery(t), accept, wire.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		if got, want := values(t, req), []any{[]any{int64(2), int64(3)}, map[string]any{}}; req.Codec != (codec.JSON{}) || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", version, req.Codec, got, want)
		}
		stranger := codec.NewSet(signed(t, "../../codec/auth/testdata/cert.pem"))
		_, err = wire.Decode(f.delivery(t), stranger, wire.Limits{})
		wantMalformed(t, err, wire.Refused)
		_, err = wire.Decode(f.delivery(t), everything(), wire.Limits{})
		wantMalformed(t, err, wire.Refused)

		fields, err := base64.StdEncoding.DecodeString(string(f.Body))
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.LastIndex(fields, []byte("[2, 3]"))
		for _, i := range []int{0, len(fields) / 3, at + 1, len(fields) - 1} {
			changed := bytes.Clone(fields)
			changed[i] ^= 1
			d := f.delivery(t)
			d.Body = []byte(base64.StdEncoding.EncodeToString(changed))
			_, err := wire.Decode(d, accept, wire.Limits{})
			wantMalformed(t, err, wire.Refused)
		}
	}
}

func TestSignedMessagesAreSignedAgain(t *testing.T) {
	t.Parallel()
	envelope := signed(t, "../../codec/auth/testdata/cert.pem")
	accept := codec.NewSet(envelope)
	o := outgoing(task.Signature{Args: []any{2, "x"}, Kwargs: map[string]any{}})
	o.Codec, o.Compression = envelope, new(codec.Zlib)
	msg, err := wire.Encode(o)
	if err != nil {
		t.Fatal(err)
	}
	d := broker.NewDelivery(msg, nil)
	req, err := wire.Decode(d, accept, wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := wire.Retry(req, time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	next, err := wire.Encode(wire.Outgoing{Signature: o.Signature, Codec: req.Codec, Envelope: req.Envelope})
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]broker.Message{"the call": msg, "its retry": again, "parked": wire.Repark(d, time.Time{}), "a follow-up": next} {
		if m.ContentType != "application/data" || m.ContentEncoding != "utf-8" {
			t.Errorf("%s goes out as %s, %s", name, m.ContentType, m.ContentEncoding)
		}
		req, err := wire.Decode(broker.NewDelivery(m, nil), accept, wire.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, want := values(t, req), []any{[]any{int64(2), "x"}, map[string]any{}}; !cmp.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestUnsignedMessagesAreRefusedWhereOnlySignedOnesAreAccepted(t *testing.T) {
	t.Parallel()
	accept := codec.NewSet(signed(t, "testdata/security/cert.pem"))
	_, err := wire.Decode(delivery(header(nil), plainBody), accept, wire.Limits{})
	wantMalformed(t, err, wire.Refused)
}
