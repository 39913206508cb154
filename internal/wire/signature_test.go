package wire_test

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// TestSignaturesOfCelerySurvive goes over every signature in the captured messages: read and written again it says the same, but for
// options that are null, which mean nothing.
func TestSignaturesOfCelerySurvive(t *testing.T) {
	t.Parallel()
	n := 0
	for _, file := range paths(t, "tasks") {
		f := load(t, file)
		if f.Properties.ContentType != "application/json" || len(f.body()) == 0 || f.body()[0] != '[' {
			continue
		}
		for _, want := range dictsIn(plainJSON[any](t, f.body())) {
			n++
			raw, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			s, err := wire.DecodeSignature(raw, codec.JSON{})
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			again, err := wire.EncodeSignature(s, codec.JSON{})
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if diff := cmp.Diff(withoutNullOptions(want), plainJSON[any](t, string(again))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
	}
	if n < 350 {
		t.Errorf("found %d signatures, want all 350 and more", n)
	}
}

func isDict(m map[string]any) bool {
	_, ok := m["subtask_type"]
	return ok
}

// dictsIn returns the signatures in a body, also those within others.
func dictsIn(v any) (list []any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			list = append(list, dictsIn(e)...)
		}
	case map[string]any:
		if isDict(v) {
			list = append(list, v)
		}
		for _, e := range v {
			list = append(list, dictsIn(e)...)
		}
	}
	return list
}

// withoutNullOptions leaves out null options of a signature, of those that hang on it and of its parts, not of those among its arguments.
func withoutNullOptions(v any) any {
	switch v := v.(type) {
	case []any:
		list := slices.Clone(v)
		for i, e := range list {
			list[i] = withoutNullOptions(e)
		}
		return list
	case map[string]any:
		if !isDict(v) {
			return v
		}
		options := map[string]any{}
		for k, e := range v["options"].(map[string]any) {
			if e != nil {
				options[k] = withoutNullOptions(e)
			}
		}
		out := map[string]any{"options": options}
		for k, e := range v {
			if k != "options" {
				out[k] = e
			}
		}
		if kwargs, _ := v["kwargs"].(map[string]any); v["subtask_type"] != nil {
			kwargs = maps.Clone(kwargs)
			for _, part := range []string{"tasks", "header", "body"} {
				if e, ok := kwargs[part]; ok {
					kwargs[part] = withoutNullOptions(e)
				}
			}
			out["kwargs"] = kwargs
		}
		return out
	}
	return v
}

// everyOption is a signature with all options, its arguments encoded by c.
func everyOption(t *testing.T, c codec.Codec) task.Signature {
	t.Helper()
	one, err := c.Marshal(1)
	if err != nil {
		t.Fatal(err)
	}
	none, err := c.Marshal(map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	leaf := task.Signature{Task: "t.leaf", Args: []any{}, Kwargs: map[string]any{}}
	all := task.Signature{
		Task: "t.all", Args: []any{codec.Raw(one)}, Kwargs: map[string]any{"k": codec.Raw(one), "kwargs": codec.Raw(none)},
		Immutable: true, Type: "chord", Tasks: []task.Signature{leaf, leaf}, Body: &leaf,
		CallOptions: task.CallOptions{
			ID: "id", Queue: "q", Exchange: "x", RoutingKey: "k", Priority: 7,
			Countdown: 1500 * time.Millisecond, ETA: time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC),
			Expires: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC), TimeLimit: 30 * time.Second, SoftTimeLimit: 20 * time.Second,
			IgnoreResult: true, Shadow: "shadow", Headers: map[string]any{"h": int64(1)}, Transient: true,
			Serializer: "msgpack", Compression: "zstd",
			Link: []task.Signature{leaf}, LinkError: []task.Signature{leaf}, Chord: &leaf,
			Chain:  []task.Signature{{Task: "t.next", Args: []any{}, Kwargs: map[string]any{}}, leaf},
			RootID: "root", ParentID: "parent", GroupID: "group", GroupIndex: 3, Retries: 2, ReplacedNesting: 1, ReplyTo: "me",
			Detached: true, StampedHeaders: []string{"s"}, Stamps: map[string]any{"s": []any{"a", "b"}},
			ArgsRepr: "(…)", KwargsRepr: "{…}",
			Properties: task.Properties{MessageID: "m", Type: "type", AppID: "app", Timestamp: time.Unix(1700000000, 0).UTC()},
		},
	}
	task.GroupIndex(3)(&all.CallOptions)
	return all
}

func TestEveryOptionOfASignatureSurvives(t *testing.T) {
	t.Parallel()
	for _, c := range []codec.Codec{codec.JSON{}, codec.Msgpack{}} {
		want := everyOption(t, c)
		raw, err := wire.EncodeSignatures([]task.Signature{want}, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.DecodeSignatures(raw, c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]task.Signature{want}, got); diff != "" {
			t.Errorf("%s: signatures (-want +got):\n%s", c.ContentType(), diff)
		}
	}
}

func TestOptionsHaveTheTypesOfCelery(t *testing.T) {
	t.Parallel()
	raw, err := wire.EncodeSignature(everyOption(t, codec.JSON{}), codec.JSON{})
	if err != nil {
		t.Fatal(err)
	}
	options := plainJSON[map[string]any](t, string(raw))["options"].(map[string]any)
	for name, want := range map[string]any{
		"countdown": 1.5, "eta": "2030-01-02T03:04:05.000006+00:00", "expires": "2031-01-02T03:04:05+00:00",
		"time_limit": 30., "delivery_mode": 1., "add_to_parent": false, "timestamp": 1700000000., "s": []any{"a", "b"},
	} {
		if diff := cmp.Diff(want, options[name]); diff != "" {
			t.Errorf("option %s (-want +got):\n%s", name, diff)
		}
	}
	chain := options["chain"].([]any)
	if first := chain[0].(map[string]any)["task"]; first != "t.leaf" {
		t.Errorf("the chain starts with %v, want its last step t.leaf", first)
	}
}

func TestSignaturesAreReadAsTolerantlyAsCeleryReads(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]task.CallOptions{
		`{"task": "t"}`: {},
		`{"task": "t", "args": null, "kwargs": null, "options": null, "subtask_type": null, "immutable": null}`: {},
		`{"task": "t", "options": {"unknown": [1], "priority": null, "link": null, "chain": null, "chord": null,
			"add_to_parent": null, "ignore_result": null, "delivery_mode": null, "stamped_headers": null, "group_id": null}}`: {},
		`{"task": "t", "options": {"countdown": -5, "expires": -1}}`: {ExpiresIn: 1},
		`{"task": "t", "options": {"expires": 2.5}}`:                 {ExpiresIn: 2500 * time.Millisecond},
		`{"task": "t", "options": {"eta": {"__type__": "datetime", "__value__": "2030-01-02T03:04:05"}}}`: {
			ETA: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		},
		`{"task": "t", "options": {"expires": {"__type__": "datetime", "__value__": "2030-01-02T03:04:05+00:00"}}}`: {
			Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		},
		`{"task": "t", "options": {"group_id": "g"}}`: {GroupID: "g", GroupIndex: -1},
		`{"task": "t", "options": {"chain": []}}`:     {Chain: []task.Signature{}},
		`{"task": "t", "options": {"link": {"task": "l"}}}`: {
			Link: []task.Signature{{Task: "l", Args: []any{}, Kwargs: map[string]any{}}},
		},
		`{"task": "t", "options": {"compression": "gzip", "delivery_mode": "transient", "priority": 3.0, "task_id": 7}}`: {
			Compression: "zlib", Transient: true, Priority: 3, ID: "7",
		},
		`{"task": "t", "options": {"stamped_headers": ["gone", "here"], "here": 1}}`: {
			StampedHeaders: []string{"gone", "here"}, Stamps: map[string]any{"here": int64(1)},
		},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := wire.DecodeSignature(codec.Raw(text), codec.JSON{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(task.Signature{Task: "t", Args: []any{}, Kwargs: map[string]any{}, CallOptions: want}, got); diff != "" {
				t.Errorf("signature (-want +got):\n%s", diff)
			}
		})
	}
}

// An option that asks for a zero goes before the task's own default, so that it must arrive.
func TestZerosThatAreAskedForSurvive(t *testing.T) {
	t.Parallel()
	s := task.Signature{Task: "t"}
	for _, option := range []task.CallOption{task.Priority(0), task.KeepResult(), task.Persistent()} {
		option(&s.CallOptions)
	}
	raw, err := wire.EncodeSignature(s, codec.JSON{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"priority": 0., "ignore_result": false, "delivery_mode": 2.}
	if diff := cmp.Diff(want, plainJSON[map[string]any](t, string(raw))["options"]); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	got, err := wire.DecodeSignature(raw, codec.JSON{})
	if err != nil || got.Given != s.Given {
		t.Errorf("given = %v, %v; want %v", got.Given, err, s.Given)
	}
}

func TestWhatIsNoSignatureIsNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`7`:                            "want an object",
		`{}`:                           "it names no task",
		`{"task": ["t"]}`:              "task is ['t'], want text in UTF-8",
		`{"task": "t", "args": {}}`:    "t: args: ",
		`{"task": "t", "kwargs": []}`:  "t: kwargs: ",
		`{"task": "t", "options": []}`: "t: options: ",
		`{"task": "t", "options": {"priority": 256}}`:    "t: priority is 256, want a number from 0 to 255",
		`{"task": "t", "options": {"countdown": "1"}}`:   "t: countdown is '1', want a number of seconds",
		`{"task": "t", "options": {"eta": "soon"}}`:      "t: eta is 'soon', want an ISO 8601 time",
		`{"task": "t", "options": {"link": [[]]}}`:       "t: link: [0]: ",
		`{"task": "t", "options": {"link": "x"}}`:        "t: link: ",
		`{"task": "t", "options": {"chord": []}}`:        "t: chord: ",
		`{"task": "t", "options": {"chain": [{}]}}`:      "t: chain: [0]: it names no task",
		`{"task": "t", "options": {"retries": -1}}`:      "t: retries is -1",
		`{"task": "t", "options": {"time_limit": 1e99}}`: "t: time_limit is 1e+99",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := wire.DecodeSignature(codec.Raw(text), codec.JSON{})
			if err == nil || !strings.HasPrefix(err.Error(), "wire: decode signature: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want … %s …", err, want)
			}
		})
	}
}

func TestNestingOfSignaturesIsBounded(t *testing.T) {
	t.Parallel()
	deep := task.Signature{Task: "t"}
	for range 100 {
		deep = task.Signature{Task: "t", CallOptions: task.CallOptions{Link: []task.Signature{deep}}}
	}
	if _, err := wire.EncodeSignature(deep, codec.JSON{}); err == nil {
		t.Error("encoded 100 levels, want an error")
	}
	text := strings.Repeat(`{"task":"t","options":{"link":[`, 100) + strings.Repeat(`]}}`, 100)
	if _, err := wire.DecodeSignature(codec.Raw(text), codec.JSON{MaxDepth: math.MaxInt}); err == nil {
		t.Error("decoded 100 levels, want an error")
	}
	wide := `{"task":"t","args":["` + strings.Repeat("x", 2<<20) + `"]}`
	for range 20 {
		wide = `{"task":"t","options":{"link":[` + wide + `]}}`
	}
	if _, err := wire.DecodeSignature(codec.Raw(wide), codec.JSON{}); err == nil {
		t.Error("looked at a large argument 20 times, want an error")
	}
}

func TestStampsDoNotBecomeOptions(t *testing.T) {
	t.Parallel()
	s := task.Signature{Task: "t", CallOptions: task.CallOptions{Stamps: map[string]any{"queue": "elsewhere"}}}
	if _, err := wire.EncodeSignature(s, codec.JSON{}); err == nil || !strings.Contains(err.Error(), "stamp queue") {
		t.Errorf("error = %v, want one about the stamp queue", err)
	}
}
