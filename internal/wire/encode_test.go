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

// at is a time of the recordings.
func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestEncodesWhatCeleryPublishes compares whole messages: each property, each header with its type, and the body.
func TestEncodesWhatCeleryPublishes(t *testing.T) {
	t.Parallel()
	add := func(options task.CallOptions) func(*fixture) task.Signature {
		return func(*fixture) task.Signature {
			return task.Signature{Task: "h2.add", Args: []any{2, 3}, CallOptions: options}
		}
	}
	for name, call := range map[string]func(*fixture) task.Signature{
		"plain": add(task.CallOptions{}),
		"args_kwargs": func(*fixture) task.Signature {
			return task.Signature{
				Task: "h2.echo", Args: []any{1, "two", 3.5, nil, true, []any{1, 2}, map[string]any{"k": "v"}},
				Kwargs: map[string]any{"kw": "x", "n": 7},
			}
		},
		"kwargs_only": func(*fixture) task.Signature {
			return task.Signature{Task: "h2.add", Kwargs: map[string]any{"x": 1, "y": 2}}
		},
		"noargs": func(*fixture) task.Signature { return task.Signature{Task: "h2.none"} },
		"unicode": func(*fixture) task.Signature {
			return task.Signature{Task: "h2.echo", Args: []any{"日本語 – ünïcode 😀"}, Kwargs: map[string]any{"key": "中国"}}
		},
		"priority":         add(task.CallOptions{Priority: 7}),
		"ignore_result":    add(task.CallOptions{IgnoreResult: true}),
		"time_limits":      add(task.CallOptions{TimeLimit: 30 * time.Second, SoftTimeLimit: 20 * time.Second}),
		"shadow":           add(task.CallOptions{Shadow: "h2.shadowed"}),
		"task_id_custom":   add(task.CallOptions{}),
		"transient":        add(task.CallOptions{Transient: true}),
		"queue_other":      add(task.CallOptions{}),
		"eta":              add(task.CallOptions{ETA: time.Date(2035, 5, 6, 7, 8, 9, 123456789, time.UTC)}),
		"countdown":        add(task.CallOptions{Countdown: time.Hour}),
		"expires_seconds":  add(task.CallOptions{ExpiresIn: 3600500 * time.Millisecond}),
		"expires_datetime": add(task.CallOptions{Expires: time.Date(2035, 5, 6, 7, 8, 9, 123456000, time.UTC)}),
		"custom_headers": func(f *fixture) task.Signature {
			return task.Signature{Task: "h2.add", Args: []any{2, 3}, CallOptions: task.CallOptions{Headers: map[string]any{
				"x-tenant": "acme", "n": 5, "big": 1 << 40, "f": 1.5, "neg": -5, "dt": time.Unix(1704164645, 0).UTC(),
				"nested": map[string]any{"a": []any{1, nil, true}},
			}}}
		},
	} {
		for _, version := range []string{"5.6.2", "main"} {
			t.Run(version+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := load(t, path.Join("tasks", version, name+".json"))
				want := f.message(t)
				sig := call(f)
				sig.ID, sig.ReplyTo = want.CorrelationID, want.ReplyTo
				got, err := wire.Encode(wire.Outgoing{
					Signature: sig, Now: sentAt(t, f), Origin: want.Headers["origin"].(string),
				})
				if err != nil {
					t.Fatal(err)
				}
				want.Headers["lang"] = "go"
				compareMessages(t, want, got)
			})
		}
	}
}

// sentAt is when the fixture was sent, as far as its times tell.
func sentAt(t *testing.T, f *fixture) time.Time {
	t.Helper()
	h := table(t, f.Typed)
	switch {
	case h["expires"] != nil:
		return at(t, h["expires"].(string)).Add(-f.message(t).Expiration)
	case h["eta"] != nil:
		return at(t, h["eta"].(string)).Add(-time.Hour)
	}
	return time.Time{}
}

func compareMessages(t *testing.T, want, got broker.Message) {
	t.Helper()
	wantBody, gotBody := plainJSON[any](t, string(want.Body)), plainJSON[any](t, string(got.Body))
	if diff := cmp.Diff(wantBody, gotBody); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	want.Body, got.Body = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func outgoing(sig task.Signature) wire.Outgoing {
	if sig.Task == "" {
		sig.Task = "tasks.add"
	}
	if sig.ID == "" {
		sig.ID = "t1"
	}
	return wire.Outgoing{Signature: sig, Now: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
}

func TestEncodedArgumentsGoOutAsTheyAre(t *testing.T) {
	t.Parallel()
	raw := codec.Raw(`{"b": 1.0, "a": [NaN, 1000000000000000000000000000000]}`)
	msg, err := wire.Encode(outgoing(task.Signature{Args: []any{raw}, Kwargs: map[string]any{"k": codec.Raw(`"v"`)}}))
	if err != nil {
		t.Fatal(err)
	}
	if want := `[[` + string(raw) + `],{"k":"v"},`; !strings.HasPrefix(string(msg.Body), want) {
		t.Errorf("body = %s, want %s…", msg.Body, want)
	}
	if got, want := msg.Headers["argsrepr"], "({'a': [nan, 1000000000000000000000000000000], 'b': 1.0},)"; got != want {
		t.Errorf("argsrepr = %s, want %s", got, want)
	}
	if got, want := msg.Headers["kwargsrepr"], "{'k': 'v'}"; got != want {
		t.Errorf("kwargsrepr = %s, want %s", got, want)
	}
}

func TestEncodedCallsDecodeToThemselves(t *testing.T) {
	t.Parallel()
	o := outgoing(task.Signature{
		Args: []any{1}, Kwargs: map[string]any{"y": "z"},
		CallOptions: task.CallOptions{
			ETA: time.Date(2030, 1, 1, 8, 0, 0, 0, time.FixedZone("", 8*3600)), Expires: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC),
			TimeLimit: 1500 * time.Millisecond, Headers: map[string]any{"k": int64(-1 << 40)}, Priority: 3,
		},
	})
	o.RootID, o.ParentID, o.GroupID, o.GroupIndex, o.Retries, o.ReplyTo, o.Origin = "root", "parent", "group", 2, 1, "me", "gen1@host"
	o.Embed = task.Embed{Chain: codec.Raw(`[]`), Callbacks: codec.Raw(`[{"task":"cb"}]`)}
	msg, err := wire.Encode(o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := msg.Headers["eta"], "2030-01-01T00:00:00.000000+00:00"; got != want {
		t.Errorf("eta = %v, want %v", got, want)
	}
	got, err := wire.Decode(broker.NewDelivery(msg, nil), jsonOnly(), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := &task.Request{
		ID: "t1", Name: "tasks.add", RootID: "root", ParentID: "parent", Group: "group", GroupIndex: 2, Retries: 1,
		Arguments: task.Arguments{
			Args: []codec.Raw{codec.Raw("1")}, Kwargs: map[string]codec.Raw{"y": codec.Raw(`"z"`)}, Codec: codec.JSON{},
		},
		ETA: o.ETA.UTC(), Expires: o.Expires, TimeLimit: o.TimeLimit, ReplyTo: "me", CorrelationID: "t1", Origin: "gen1@host",
		ArgsRepr: "(1,)", KwargsRepr: "{'y': 'z'}", Headers: map[string]any{"k": float64(-1 << 40)}, Embed: o.Embed,
		Priority: 3, Protocol: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestLateCallsExpireAtOnceInsteadOfNever(t *testing.T) {
	t.Parallel()
	o := outgoing(task.Signature{CallOptions: task.CallOptions{Expires: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)}})
	msg, err := wire.Encode(o)
	if err != nil {
		t.Fatal(err)
	}
	if msg.Expiration != time.Millisecond {
		t.Errorf("expiration = %v, want 1ms", msg.Expiration)
	}
}

func TestCallsThatCannotBeSentAreNamed(t *testing.T) {
	t.Parallel()
	for text, sig := range map[string]task.Signature{
		"json: [0][1]: cannot encode chan int":    {Args: []any{1, make(chan int)}},
		"json: [1].f: cannot encode func()":       {Kwargs: map[string]any{"f": func() {}}},
		"header id: the name is Celery's own":     {CallOptions: task.CallOptions{Headers: map[string]any{"id": "x"}}},
		"header f: a header cannot hold a func()": {CallOptions: task.CallOptions{Headers: map[string]any{"f": func() {}}}},
		"negative countdown":                      {CallOptions: task.CallOptions{Countdown: -1}},
		"args[0]: json: byte 0":                   {Args: []any{codec.Raw("nope")}},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := wire.Encode(outgoing(sig))
			if err == nil || !strings.HasPrefix(err.Error(), "wire: encode tasks.add: ") || !strings.Contains(err.Error(), text) {
				t.Errorf("error = %v, want … %s", err, text)
			}
		})
	}
	for _, o := range []wire.Outgoing{{Signature: task.Signature{Task: "t"}}, {Signature: task.Signature{CallOptions: task.CallOptions{ID: "i"}}}} {
		if _, err := wire.Encode(o); err == nil {
			t.Errorf("encoded %+v, want an error", o.Signature)
		}
	}
}
