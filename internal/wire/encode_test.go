package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

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
	if got, want := msg.Headers["eta"], "2030-01-01T00:00:00+00:00"; got != want {
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
		ETA: o.ETA.UTC(), Expires: o.Expires, TimeLimit: o.TimeLimit, KeepResult: true, ReplyTo: "me", CorrelationID: "t1", Origin: "gen1@host",
		ArgsRepr: "(1,)", KwargsRepr: "{'y': 'z'}", Headers: map[string]any{"k": float64(-1 << 40)}, Embed: o.Embed,
		Priority: 3, Protocol: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestExpirationIsWhatRabbitMQCanMeasure(t *testing.T) {
	t.Parallel()
	now := outgoing(task.Signature{}).Now
	tenYears := 3650 * 24 * time.Hour
	for expires, want := range map[time.Time]time.Duration{
		{}: 0, now.Add(time.Minute): time.Minute,
		now.Add(-time.Hour):                         time.Millisecond, // at once instead of never
		now.Add(tenYears):                           tenYears,
		now.Add(tenYears + time.Millisecond):        0, // the header says it
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC): 0,
	} {
		msg, err := wire.Encode(outgoing(task.Signature{CallOptions: task.CallOptions{Expires: expires}}))
		if err != nil || msg.Expiration != want {
			t.Errorf("expires %v: expiration = %v, %v; want %v", expires, msg.Expiration, err, want)
		}
		if set := msg.Headers["expires"] != nil; set == expires.IsZero() {
			t.Errorf("expires %v: header = %v", expires, msg.Headers["expires"])
		}
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
