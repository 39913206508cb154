package wire_test

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

func everything() codec.Set { return codec.NewSet(codec.JSON{}, codec.Msgpack{}) }

// celeryVersions are the directories of the recordings.
func celeryVersions() []string { return []string{"5.2.6", "5.6.2", "main"} }

func TestDecodesEverySerializerAndCompressionOfCelery(t *testing.T) {
	t.Parallel()
	long := []any{strings.Repeat("z", 300)}
	for name, want := range map[string]struct{ args, kwargs any }{
		"msgpack": {
			[]any{int64(1), "two", []byte{0, 255}, []any{int64(1), int64(2)}, map[string]any{"k": "v"}}, map[string]any{"kw": 1.5},
		},
		"msgpack_gzip": {long, map[string]any{}}, "gzip": {long, map[string]any{}}, "zlib": {long, map[string]any{}},
		"bzip2": {long, map[string]any{}}, "zstd": {long, map[string]any{}},
	} {
		for _, version := range celeryVersions() {
			if name == "zstd" && version != "5.2.6" {
				continue // was not recorded: it needs another module there
			}
			t.Run(version+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := load(t, path.Join("tasks", version, name+".json"))
				req, err := wire.Decode(f.delivery(t), everything(), wire.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]any{want.args, want.kwargs}, values(t, req)); diff != "" {
					t.Errorf("call (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(task.Embed{}, req.Embed); diff != "" {
					t.Errorf("embed (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// values decodes the arguments of a request, each from its own encoding.
func values(t *testing.T, req *task.Request) []any {
	t.Helper()
	args, kwargs := make([]any, len(req.Args)), map[string]any{}
	for i, raw := range req.Args {
		if err := req.Codec.Unmarshal(raw, &args[i]); err != nil {
			t.Fatal(err)
		}
	}
	for name, raw := range req.Kwargs {
		var v any
		if err := req.Codec.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		kwargs[name] = v
	}
	return []any{args, kwargs}
}

func TestRefusesTheRestWithTheRemedy(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		kind   wire.Kind
		remedy string
	}{
		"lzma":   {wire.Undecodable, "set task_compression='gzip' or None in the sender"},
		"brotli": {wire.Undecodable, "set task_compression='gzip' or None in the sender"},
		"yaml":   {wire.Refused, "set task_serializer='json' in the sender"},
		"pickle": {wire.Refused, "set task_serializer='json' in the sender"},
	} {
		for _, version := range celeryVersions() {
			_, err := wire.Decode(load(t, path.Join("tasks", version, name+".json")).delivery(t), everything(), wire.Limits{})
			if wantMalformed(t, err, want.kind); !strings.Contains(err.Error(), want.remedy) {
				t.Errorf("%s of %s: %v, want the remedy %q", name, version, err, want.remedy)
			}
		}
	}
	_, err := wire.Decode(load(t, "tasks/main/msgpack.json").delivery(t), jsonOnly(), wire.Limits{})
	if wantMalformed(t, err, wire.Refused); !strings.Contains(err.Error(), "add it to accept_content") {
		t.Errorf("msgpack where only json is accepted: %v", err)
	}
}

func TestWritesMsgpackAndGzipAsCelery(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]wire.Outgoing{
		"msgpack":      {Codec: codec.Msgpack{}},
		"msgpack_gzip": {Codec: codec.Msgpack{}, Compression: new(codec.Zlib)},
		"gzip":         {Compression: new(codec.Zlib)},
	} {
		f := load(t, path.Join("tasks/main", name+".json"))
		want := f.message(t)
		req, err := wire.Decode(f.delivery(t), everything(), wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		o.Task, o.ID, o.Origin, o.ReplyTo = req.Name, req.ID, req.Origin, req.ReplyTo
		call := values(t, req)
		o.Args, o.Kwargs = call[0].([]any), call[1].(map[string]any)
		got, err := wire.Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := wire.Decode(broker.NewDelivery(got, nil), everything(), wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(call, values(t, again)); diff != "" {
			t.Errorf("%s: call (-want +got):\n%s", name, diff)
		}
		want.Headers["lang"] = "go"
		if o.Compression == nil && len(want.Body) != len(got.Body) {
			t.Errorf("%s: the body has %d bytes, want %d", name, len(got.Body), len(want.Body))
		}
		want.Body, got.Body = nil, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: message (-want +got):\n%s", name, diff)
		}
	}
}

func TestRetriesKeepCodecAndCompression(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]any{
		"5.2.6/msgpack": nil, "main/msgpack_gzip": "application/x-gzip", "5.2.6/zstd": "application/zstd", "main/bzip2": nil,
	} {
		f := load(t, path.Join("tasks", name+".json"))
		req, err := wire.Decode(f.delivery(t), everything(), wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		msg, err := wire.Retry(req, time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if msg.ContentType != f.Properties.ContentType || msg.ContentEncoding != f.Properties.ContentEncoding || msg.Headers["compression"] != header {
			t.Errorf("%s: %s, %s, %v, want the request's codec and %v", name, msg.ContentType, msg.ContentEncoding, msg.Headers["compression"], header)
		}
		again, err := wire.Decode(broker.NewDelivery(msg, nil), everything(), wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(values(t, req), values(t, again)); diff != "" {
			t.Errorf("%s: call (-want +got):\n%s", name, diff)
		}
		if parked := wire.Repark(f.delivery(t), time.Time{}); string(parked.Body) != string(f.Body) ||
			parked.Headers["compression"] != table(t, f.Typed)["compression"] || parked.ContentType != f.Properties.ContentType {
			t.Errorf("%s: a parked message is %+v", name, parked)
		}
	}
}

func TestCompressionOfAnotherTypeIsRefused(t *testing.T) {
	t.Parallel()
	_, err := wire.Decode(delivery(header(broker.Table{"compression": int32(1)}), plainBody), jsonOnly(), wire.Limits{})
	wantMalformed(t, err, wire.Undecodable)
}
