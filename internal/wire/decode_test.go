package wire_test

import (
	"encoding/json"
	"errors"
	"maps"
	"path"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

func jsonOnly() codec.Set { return codec.NewSet(codec.JSON{}) }

// TestDecodesWhatCeleryPublishes goes over every captured task message of three Celery versions.
func TestDecodesWhatCeleryPublishes(t *testing.T) {
	t.Parallel()
	files := paths(t, "tasks")
	if len(files) < 600 {
		t.Fatalf("found %d fixtures, want all 600 and more", len(files))
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			f := load(t, file)
			req, err := wire.Decode(f.delivery(t), jsonOnly(), wire.Limits{})
			if kind := wantKind(t, f); kind != 0 {
				wantMalformed(t, err, kind)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := shown(req), wantRequest(t, f); !cmp.Equal(got, want) {
				t.Errorf("request (-want +got):\n%s", cmp.Diff(want, got))
			}
			compareCall(t, req, f)
		})
	}
}

// wantKind is why a fixture cannot be decoded here; 0 when it can.
func wantKind(t *testing.T, f *fixture) wire.Kind {
	t.Helper()
	switch compression := table(t, f.Typed)["compression"]; {
	case f.Properties.ContentType != "application/json":
		return wire.Refused
	case compression == "application/x-lzma" || compression == "application/x-brotli":
		return wire.Undecodable
	}
	return 0
}

func wantMalformed(t *testing.T, err error, kind wire.Kind) *wire.MalformedError {
	t.Helper()
	bad, ok := errors.AsType[*wire.MalformedError](err)
	if !ok {
		t.Fatalf("error = %v, want a *MalformedError", err)
	}
	if bad.Kind != kind {
		t.Fatalf("kind = %v, want %v: %v", bad.Kind, kind, err)
	}
	return bad
}

// shown is the request without its arguments and the rest of the body, which compareCall compares.
func shown(req *task.Request) task.Request {
	got := *req
	got.Arguments, got.Embed = task.Arguments{}, task.Embed{}
	return got
}

// wantRequest reads the fields of a message without the code under test: from the headers, or from the body in protocol 1.
func wantRequest(t *testing.T, f *fixture) task.Request {
	t.Helper()
	headers, protocol := table(t, f.Typed), 2
	if headers["task"] == nil {
		protocol = 1
		for k, v := range decoded[map[string]any](t, []byte(f.body())) {
			headers[k] = amqpValue(v)
		}
	}
	sent := task.Properties{MessageID: f.Properties.MessageID, Type: f.Properties.Type, AppID: f.Properties.AppID}
	if n := f.Properties.Timestamp; n != 0 {
		sent.Timestamp = time.Unix(n, 0).UTC()
	}
	text := func(key string) string { s, _ := headers[key].(string); return s }
	number := func(key string, missing int) int {
		if n, ok := headers[key].(int32); ok {
			return int(n)
		}
		return missing
	}
	when := func(key string) time.Time {
		s := text(key)
		if s == "" {
			return time.Time{}
		}
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999"} {
			if at, err := time.Parse(layout, s); err == nil {
				return at
			}
		}
		t.Fatalf("%s: %q", key, s)
		return time.Time{}
	}
	req := task.Request{
		ID: text("id"), Name: text("task"), RootID: text("root_id"), ParentID: text("parent_id"), Group: text("group"),
		GroupIndex: number("group_index", -1), Retries: number("retries", 0), ETA: when("eta"), Expires: when("expires"),
		ReplyTo: f.Properties.ReplyTo, CorrelationID: f.Properties.CorrelationID, Shadow: text("shadow"), Origin: text("origin"),
		ArgsRepr: text("argsrepr"), KwargsRepr: text("kwargsrepr"), ReplacedNesting: number("replaced_task_nesting", 0),
		Queue: f.RoutingKey, Exchange: f.Exchange, RoutingKey: f.RoutingKey, Priority: f.Properties.Priority, Protocol: protocol,
		Properties: sent,
	}
	ignore, said := headers["ignore_result"].(bool)
	req.IgnoreResult, req.KeepResult = ignore, said && !ignore
	req.Compression = text("compression")
	if req.RootID == "" {
		req.RootID = req.ID
	}
	if limits, ok := headers["timelimit"].([]any); ok {
		req.TimeLimit, req.SoftTimeLimit = seconds(limits[0]), seconds(limits[1])
	}
	if names, ok := headers["stamped_headers"].([]any); ok {
		req.StampedHeaders = []string{}
		for _, n := range names {
			req.StampedHeaders = append(req.StampedHeaders, n.(string))
		}
	}
	if stamps, _ := headers["stamps"].(map[string]any); len(stamps) > 0 {
		req.Stamps = stamps
	}
	for k, v := range table(t, f.Typed) {
		if !strings.Contains(" lang task id shadow eta expires group group_index retries timelimit root_id parent_id argsrepr "+
			"kwargsrepr origin ignore_result replaced_task_nesting stamped_headers stamps compression ", " "+k+" ") {
			if req.Headers == nil {
				req.Headers = map[string]any{}
			}
			req.Headers[k] = v
		}
	}
	return req
}

func seconds(v any) time.Duration {
	n, _ := v.(int32)
	return time.Duration(n) * time.Second
}

// compareCall compares arguments and followers with the body as encoding/json reads it.
func compareCall(t *testing.T, req *task.Request, f *fixture) {
	t.Helper()
	var args []any
	var kwargs, embed map[string]any
	if req.Protocol == 2 {
		body := plainJSON[[]json.RawMessage](t, f.body())
		args, kwargs = plainJSON[[]any](t, string(body[0])), plainJSON[map[string]any](t, string(body[1]))
		embed = plainJSON[map[string]any](t, string(body[2]))
	} else {
		embed = plainJSON[map[string]any](t, f.body())
		args, kwargs = embed["args"].([]any), embed["kwargs"].(map[string]any)
	}
	gotArgs := []any{}
	for _, raw := range req.Args {
		gotArgs = append(gotArgs, plainJSON[any](t, string(raw)))
	}
	gotKwargs := map[string]any{}
	for k, raw := range req.Kwargs {
		gotKwargs[k] = plainJSON[any](t, string(raw))
	}
	got := []any{gotArgs, gotKwargs}
	want := []any{args, kwargs}
	for name, raw := range map[string]codec.Raw{
		"callbacks": req.Embed.Callbacks, "errbacks": req.Embed.Errbacks, "chain": req.Embed.Chain, "chord": req.Embed.Chord,
	} {
		want = append(want, embed[name])
		if raw == nil {
			got = append(got, nil)
		} else {
			got = append(got, plainJSON[any](t, string(raw)))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
	var values []any
	for _, raw := range req.Args {
		var v any
		if err := req.Codec.Unmarshal(raw, &v); err != nil {
			t.Errorf("argument %s: %v", raw, err)
		}
		values = append(values, v)
	}
	if len(values) != len(args) {
		t.Errorf("decoded %d arguments, want %d", len(values), len(args))
	}
}

// plainJSON reads JSON with encoding/json, which does not know the numbers that Python adds.
func plainJSON[T any](t *testing.T, text string) T {
	t.Helper()
	text = strings.NewReplacer("-Infinity", `"-inf"`, "Infinity", `"inf"`, "NaN", `"nan"`).Replace(text)
	return decoded[T](t, []byte(text))
}

// TestOddMessagesGiveARequestOrAnError goes over the messages that Celery's workers were tried with, of which ten ended the worker.
func TestOddMessagesGiveARequestOrAnError(t *testing.T) {
	t.Parallel()
	refusals := map[string]wire.Kind{
		"body_2elem": wire.Invalid, "body_4elem": wire.Invalid, "body_empty_list": wire.Invalid, "body_null": wire.Invalid,
		"no_id": wire.Invalid, "no_task_header_listbody": wire.Unknown, "no_headers_listbody": wire.Unknown,
		"proto1_kwargs_list": wire.Invalid, "invalid_json": wire.Undecodable, "empty_body": wire.Undecodable,
		"no_content_type": wire.Refused, "ct_charset": wire.Refused, "ct_pickle_disallowed": wire.Refused, "ct_unknown": wire.Refused,
		"kwargs_list": wire.Invalid, "kwargs_null": wire.Invalid, "args_null": wire.Invalid, "args_object": wire.Invalid,
		"eta_bad": wire.Invalid, "eta_int": wire.Invalid, "eta_empty": wire.Invalid, "expires_bad": wire.Invalid,
		"timelimit_one": wire.Invalid, "timelimit_str": wire.Invalid,
		"unknown_compression": wire.Undecodable, "compression_header_mismatch": wire.Undecodable,
	}
	for _, version := range celeryVersions() {
		cases := malformedCases(t, version)
		if len(cases) != 82 {
			t.Fatalf("found %d cases, want 82", len(cases))
		}
		for name, c := range cases {
			t.Run(version+"/"+name, func(t *testing.T) {
				t.Parallel()
				req, err := wire.Decode(c.delivery(t), jsonOnly(), wire.Limits{})
				if kind, ok := refusals[name]; ok {
					wantMalformed(t, err, kind)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if req.ID == "" || req.Name == "" || req.Codec == nil {
					t.Errorf("request = %+v, want an id, a name and a codec", req)
				}
			})
		}
	}
}

func delivery(headers broker.Table, body string) *broker.Delivery {
	return broker.NewDelivery(broker.Message{
		ContentType: "application/json", ContentEncoding: "utf-8", Headers: headers, Body: []byte(body),
		CorrelationID: "corr", ReplyTo: "caller",
	}, nil)
}

// header returns minimal headers with some more, or others.
func header(more broker.Table) broker.Table {
	h := broker.Table{"task": "tasks.add", "id": "t1"}
	maps.Copy(h, more)
	return h
}

const plainBody = `[[2, 3], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`

func TestMalformedErrorTellsTheCallerAndTheLog(t *testing.T) {
	t.Parallel()
	d := delivery(header(broker.Table{"eta": "soon", "parent_id": "p", "group": "g"}), plainBody)
	_, err := wire.Decode(d, jsonOnly(), wire.Limits{})
	bad := wantMalformed(t, err, wire.Invalid)
	want := &wire.MalformedError{
		Kind: wire.Invalid, ID: "t1", Task: "tasks.add", ReplyTo: "caller", CorrelationID: "corr", ParentID: "p", GroupID: "g", GroupIndex: -1,
		Codec: codec.JSON{}, Err: bad.Err,
	}
	if !reflect.DeepEqual(bad, want) {
		t.Errorf("error = %+v, want %+v", *bad, *want)
	}
	if want := "Received invalid task message: eta is 'soon', want an ISO 8601 time"; err.Error() != want {
		t.Errorf("text = %q, want %q", err, want)
	}
}

// Who waits for a task has to be told, even if its message cannot be run.
func TestAMalformedErrorHasWhatWaitsForTheTask(t *testing.T) {
	t.Parallel()
	const body = `[[2, 3], {}, {"callbacks": null, "errbacks": [1], "chain": [2], "chord": {"task": "b"}}]`
	d := delivery(header(broker.Table{"eta": "soon", "group": "g", "group_index": int32(3)}), body)
	_, err := wire.Decode(d, jsonOnly(), wire.Limits{})
	bad := wantMalformed(t, err, wire.Invalid)
	want := task.Embed{Errbacks: codec.Raw("[1]"), Chain: codec.Raw("[2]"), Chord: codec.Raw(`{"task": "b"}`)}
	if !reflect.DeepEqual(bad.Embed, want) || bad.Codec == nil || bad.GroupIndex != 3 {
		t.Errorf("embed = %s, codec %v, index %d", bad.Embed, bad.Codec, bad.GroupIndex)
	}
}

func TestRefusalsUseTheWordsOfCelery(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*broker.Delivery)
		text   string
		class  string
	}{
		"pickle": {
			func(d *broker.Delivery) { d.ContentType = "application/x-python-serialize" },
			"Refusing to deserialize untrusted content of type pickle (application/x-python-serialize)", "ContentDisallowed",
		},
		"yaml": {
			func(d *broker.Delivery) { d.ContentType = "application/x-yaml" },
			"Refusing to deserialize untrusted content of type yaml (application/x-yaml)", "ContentDisallowed",
		},
		"bad body": {func(d *broker.Delivery) { d.Body = []byte("{nope") }, "Can't decode message body: json: byte 1", "DecodeError"},
		"no task": {
			func(d *broker.Delivery) { d.Headers = nil },
			"Received and deleted unknown message", "InvalidTaskError",
		},
		"xz": {
			func(d *broker.Delivery) { d.Headers["compression"] = "application/x-lzma" },
			"Can't decode message body: codec: compression application/x-lzma is not spoken here; set task_compression=", "DecodeError",
		},
		"too large": {
			func(d *broker.Delivery) { d.Body = []byte(strings.Repeat(" ", 1000)) },
			"Can't decode message body: the body is larger than 500 bytes", "DecodeError",
		},
		"kwargs": {
			func(d *broker.Delivery) { d.Body = []byte(`[[], [], {}]`) },
			"Received invalid task message: task keyword arguments must be a mapping: json: got a list, want an object", "InvalidTaskError",
		},
		"args": {
			func(d *broker.Delivery) { d.Body = []byte(`[null, {}, {}]`) },
			"Received invalid task message: argument after * must be a list: got null", "TypeError",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := delivery(header(nil), plainBody)
			c.change(d)
			_, err := wire.Decode(d, jsonOnly(), wire.Limits{BodyBytes: 500})
			if err == nil || !strings.HasPrefix(err.Error(), c.text) {
				t.Errorf("error = %v, want %s…", err, c.text)
			}
			if exc := task.Exceptions(nil).From(err); exc.Type != c.class {
				t.Errorf("exception = %s, want %s", exc.Type, c.class)
			}
		})
	}
}

func TestFieldsOfOddTypesAreReadOrRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header string
		value  any
		field  func(*task.Request) any
		want   any // nil: Invalid
	}{
		"retries as text":     {"retries", "2", func(r *task.Request) any { return r.Retries }, 2},
		"retries as a float":  {"retries", 2.0, func(r *task.Request) any { return r.Retries }, 2},
		"negative retries":    {"retries", int32(-1), nil, nil},
		"retries too large":   {"retries", int64(1) << 40, nil, nil},
		"id as a number":      {"id", int64(7), func(r *task.Request) any { return r.ID }, "7"},
		"id as a list":        {"id", []any{}, nil, nil},
		"empty id":            {"id", "", nil, nil},
		"id that is no text":  {"id", "\xff\xfe", nil, nil},
		"task is null":        {"task", nil, nil, nil},
		"task is a table":     {"task", broker.Table{}, nil, nil},
		"limits as floats":    {"timelimit", []any{1.5, nil}, func(r *task.Request) any { return r.TimeLimit }, 1500 * time.Millisecond},
		"limits far too long": {"timelimit", []any{1e300, nil}, nil, nil},
		"negative limit":      {"timelimit", []any{nil, int32(-1)}, nil, nil},
		"eta as a timestamp":  {"eta", time.Unix(5, 0), func(r *task.Request) any { return r.ETA.Unix() }, int64(5)},
		"naive eta":           {"eta", "2024-01-02 03:04:05", func(r *task.Request) any { return r.ETA }, time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)},
		"ignore_result as 1":  {"ignore_result", int32(1), func(r *task.Request) any { return r.IgnoreResult }, true},
		"ignore_result text":  {"ignore_result", "yes", nil, nil},
		"stamps as text":      {"stamps", "x", nil, nil},
		"stamp names":         {"stamped_headers", []any{int32(1)}, nil, nil},
		"origin as a table":   {"origin", broker.Table{}, func(r *task.Request) any { return r.Origin }, ""},
		"custom header":       {"trace", int32(5), func(r *task.Request) any { return r.Headers["trace"] }, int32(5)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := wire.Decode(delivery(header(broker.Table{c.header: c.value}), plainBody), jsonOnly(), wire.Limits{})
			if c.want == nil {
				wantMalformed(t, err, wire.Invalid)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := c.field(req); got != c.want {
				t.Errorf("%s = %v, want %v", c.header, got, c.want)
			}
		})
	}
}

func TestHybridMessagesTakeHeadersOverTheBody(t *testing.T) {
	t.Parallel()
	d := delivery(broker.Table{"task": "tasks.add", "id": "outer"},
		`{"task": "other", "id": "inner", "args": [1], "kwargs": {"y": 2}, "retries": 4, "callbacks": [{"task": "cb"}], "taskset": "g"}`)
	req, err := wire.Decode(d, jsonOnly(), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if req.Name != "tasks.add" || req.ID != "outer" || req.Retries != 4 || req.Group != "g" || string(req.Args[0]) != "1" ||
		string(req.Kwargs["y"]) != "2" || string(req.Embed.Callbacks) != `[{"task": "cb"}]` {
		t.Errorf("request = %+v", req)
	}
}

func TestDepthLimitHoldsForBodyAndArguments(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 30) + strings.Repeat("]", 30)
	d := delivery(header(nil), `[[`+deep+`], {}, {}]`)
	if _, err := wire.Decode(d, jsonOnly(), wire.Limits{}); err != nil {
		t.Fatal(err)
	}
	_, err := wire.Decode(d, jsonOnly(), wire.Limits{Depth: 20})
	wantMalformed(t, err, wire.Undecodable)
}

func TestUnpackedBodiesAreLimited(t *testing.T) {
	t.Parallel()
	file := path.Join("tasks", "main", "gzip.json")
	f := load(t, file)
	small := len(f.body()) - 1
	_, err := wire.Decode(f.delivery(t), jsonOnly(), wire.Limits{UnpackedBytes: small})
	wantMalformed(t, err, wire.TooLarge)
	if _, err := wire.Decode(f.delivery(t), jsonOnly(), wire.Limits{UnpackedBytes: small + 1}); err != nil {
		t.Errorf("a body of just the limit: %v", err)
	}
	f.Body = f.Body[:len(f.Body)-2] // the checksum is cut
	_, err = wire.Decode(f.delivery(t), jsonOnly(), wire.Limits{})
	wantMalformed(t, err, wire.Undecodable)
}

func TestAPlainMessageIsDecodedWithLittleMemory(t *testing.T) { // not parallel: it counts the memory of the process
	d := load(t, "tasks/main/access_record.json").delivery(t)
	accept := codec.NewSet(codec.JSON{})
	n := testing.AllocsPerRun(100, func() {
		if _, err := wire.Decode(d, accept, wire.Limits{}); err != nil {
			t.Fatal(err)
		}
	})
	if n > 5 { // the request, its arguments, its keyword arguments
		t.Errorf("%.0f allocations for one message", n)
	}
}
