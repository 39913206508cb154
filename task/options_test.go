package task_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

func noop(opts ...task.Option) *task.Task[struct{}, int] {
	return task.Remote[struct{}, int]("t", opts...)
}

func TestEveryOptionSetsItsField(t *testing.T) {
	t.Parallel()
	when := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	next := task.Signature{Task: "next"}
	policy := task.PublishPolicy{Max: 2}
	want := task.CallOptions{
		ID: "id", Exchange: "x", RoutingKey: "k", Priority: 7, ETA: when, Expires: when, TimeLimit: 4, SoftTimeLimit: 3, IgnoreResult: true,
		Shadow: "shown", Headers: map[string]any{"h": 1}, Transient: true, Serializer: "msgpack", Compression: "zstd",
		Link: []task.Signature{next, next}, LinkError: []task.Signature{next}, RootID: "r", ParentID: "p", ReplyTo: "q", Detached: true,
		StampedHeaders: []string{"tenant", "trace"}, Stamps: map[string]any{"tenant": "globex", "trace": 1}, ArgsRepr: "(…)", KwargsRepr: "{…}",
		Properties: task.Properties{MessageID: "m", Type: "ty", AppID: "a", Timestamp: when}, Publish: &policy,
	}
	got := task.Signature{}.With(
		task.ID("id"), task.Queue("gone"), task.Exchange("x"), task.RoutingKey("k"), task.Priority(7), task.Countdown(1), task.ETA(when),
		task.ExpiresIn(1), task.Expires(when), task.TimeLimit(4), task.SoftTimeLimit(3), task.IgnoreResult(), task.Shadow("shown"),
		task.Header("h", 1), task.Transient(), task.Serializer("msgpack"), task.Compression("zstd"), task.Link(next), task.Link(next),
		task.LinkError(next), task.RootID("r"), task.ParentID("p"), task.ReplyTo("q"), task.Detached(), task.Stamp("tenant", "acme"),
		task.Stamp("trace", 1), task.Stamp("tenant", "globex"), task.ArgsRepr("(…)"), task.KwargsRepr("{…}"), task.MessageID("m"),
		task.MessageType("ty"), task.AppID("a"), task.Timestamp(when), task.FailFast(), task.PublishRetry(policy),
	).CallOptions
	fields(want, func(name string, value any) {
		if field := reflect.ValueOf(got).FieldByName(name).Interface(); !reflect.DeepEqual(field, value) {
			t.Errorf("%s = %v, want %v", name, field, value)
		}
	})
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	last := task.Signature{CallOptions: got}.With(task.Queue("q"), task.Countdown(2), task.ExpiresIn(3), task.Persistent(), task.KeepResult(), task.FailFast())
	if last.Exchange != "" || last.RoutingKey != "" || last.Queue != "q" || !last.ETA.IsZero() || !last.Expires.IsZero() || last.Transient ||
		last.IgnoreResult || last.Publish != nil || !last.FailFast {
		t.Errorf("the last option does not win: %+v", last)
	}
}

// fields calls yield for each option of c.
func fields(c task.CallOptions, yield func(name string, value any)) {
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name != "Given" {
			yield(f.Name, v.Field(i).Interface())
		}
	}
}

func TestACallGoesBeforeItsTaskAndThatBeforeTheApplication(t *testing.T) {
	t.Parallel()
	type options = task.CallOptions
	literal := func(opts ...task.SendOption) task.Signature { return task.Signature{Task: "t"}.With(opts...) }
	for name, tt := range map[string]struct {
		call      task.SendOption
		task      task.Option
		app, want options
	}{
		"nothing":                  {},
		"app":                      {app: options{Priority: 1, Shadow: "a"}, want: options{Priority: 1, Shadow: "a"}},
		"task over app":            {task: task.Priority(2), app: options{Priority: 1}, want: options{Priority: 2}},
		"call over task":           {call: task.Priority(3), task: task.Priority(2), app: options{Priority: 1}, want: options{Priority: 3}},
		"priority 0":               {call: task.Priority(0), task: task.Priority(2), app: options{Priority: 1}},
		"task's priority 0":        {task: task.Priority(0), app: options{Priority: 1}},
		"result kept":              {call: task.KeepResult(), task: task.IgnoreResult(), app: options{IgnoreResult: true}},
		"task keeps results":       {task: task.KeepResult(), app: options{IgnoreResult: true}},
		"result ignored":           {call: task.IgnoreResult(), task: task.KeepResult(), want: options{IgnoreResult: true}},
		"persistent":               {call: task.Persistent(), task: task.Transient(), app: options{Transient: true}},
		"never expires":            {call: task.ExpiresIn(0), task: task.ExpiresIn(time.Hour), app: options{ExpiresIn: time.Minute}},
		"expires at a time":        {call: task.Expires(time.Unix(9, 0)), task: task.ExpiresIn(1), want: options{Expires: time.Unix(9, 0)}},
		"task expires":             {call: task.Countdown(5), task: task.ExpiresIn(9), want: options{Countdown: 5, ExpiresIn: 9}},
		"app expires":              {app: options{ExpiresIn: 9}, want: options{ExpiresIn: 9}},
		"no limit":                 {call: task.TimeLimit(0), task: task.TimeLimit(9), app: options{TimeLimit: 8}},
		"no soft limit":            {call: task.SoftTimeLimit(0), task: task.SoftTimeLimit(9)},
		"limits apart":             {call: task.TimeLimit(7), task: task.SoftTimeLimit(5), want: options{TimeLimit: 7, SoftTimeLimit: 5}},
		"queue over exchange":      {call: task.Queue("q"), task: task.Exchange("x"), want: options{Queue: "q"}},
		"exchange over queue":      {call: task.Exchange("x"), task: task.Queue("q"), app: options{Queue: "p"}, want: options{Exchange: "x"}},
		"key for the exchange":     {call: task.RoutingKey("k"), task: task.Exchange("x"), want: options{Exchange: "x", RoutingKey: "k"}},
		"queue of the app":         {app: options{Queue: "p"}, want: options{Queue: "p"}},
		"headers are put together": {call: task.Header("a", 1), task: task.Header("b", 2), app: options{Headers: map[string]any{"a": 3, "c": 4}}, want: options{Headers: map[string]any{"a": 1, "b": 2, "c": 4}}},
		"fail fast":                {call: task.FailFast(), task: task.PublishRetry(task.PublishPolicy{}), want: options{FailFast: true}},
		"app fails fast":           {app: options{FailFast: true}, want: options{FailFast: true}},
		"retry over fail fast":     {task: task.PublishRetry(task.PublishPolicy{}), app: options{FailFast: true}, want: options{Publish: &task.PublishPolicy{}}},
		"serializer":               {call: task.Serializer("auth"), task: task.Serializer("msgpack"), app: options{Serializer: "json"}, want: options{Serializer: "auth"}},
		"compression of the app":   {app: options{Compression: "zlib"}, want: options{Compression: "zlib"}},
		"hidden arguments":         {task: task.ArgsRepr("(…)"), want: options{ArgsRepr: "(…)"}},
		"properties":               {call: task.MessageID("m"), task: task.AppID("a"), want: options{Properties: task.Properties{MessageID: "m", AppID: "a"}}},
	} {
		var defaults []task.Option
		var call []task.SendOption
		if tt.task != nil {
			defaults = append(defaults, tt.task)
		}
		if tt.call != nil {
			call = append(call, tt.call)
		}
		definition := noop(defaults...)
		for kind, s := range map[string]task.Signature{
			"typed": definition.S(struct{}{}, call...), "changed": definition.S(struct{}{}).With(call...), "by name": literal(call...),
		} {
			got := s.Complete(definition.Spec(), tt.app)
			again := got.Complete(definition.Spec(), tt.app)
			fields(tt.want, func(field string, value any) {
				for _, c := range []task.CallOptions{got.CallOptions, again.CallOptions} {
					if v := reflect.ValueOf(c).FieldByName(field).Interface(); !reflect.DeepEqual(v, value) {
						t.Errorf("%s, %s: %s = %v, want %v", name, kind, field, v, value)
					}
				}
			})
		}
	}
}

func TestATypedCallLeavesNothingOpenToAnotherDefinitionOfItsTask(t *testing.T) {
	t.Parallel()
	registered := noop(task.IgnoreResult(), task.Queue("q"))
	s := noop().S(struct{}{}).Complete(registered.Spec(), task.CallOptions{})
	if s.IgnoreResult || s.Queue != "" {
		t.Errorf("the call got the options of the other one: %+v", s)
	}
}

func TestCopiesOfACallShareNothing(t *testing.T) {
	t.Parallel()
	body := task.Signature{Task: "body", Kwargs: map[string]any{"k": 1}}
	original := task.Signature{Task: "t", Args: []any{1}, Kwargs: map[string]any{"k": 1}, CallOptions: task.CallOptions{
		Headers: map[string]any{"h": 1}, Stamps: map[string]any{"s": 1}, StampedHeaders: []string{"s"}, Chord: &body,
		Link: []task.Signature{{Task: "l", Args: []any{1}}}, LinkError: []task.Signature{{Task: "e", Args: []any{1}}}, Chain: []task.Signature{{Task: "c", Args: []any{1}}},
	}}
	wanted := original.Clone()
	for _, s := range []task.Signature{
		original.Clone(), original.With(task.Header("h", 2), task.Stamp("s", 2), task.Stamp("more", 2), task.Link(body), task.LinkError(body)),
	} {
		s.Args[0], s.Kwargs["k"], s.Headers["h"], s.Stamps["s"], s.StampedHeaders[0], s.Chord.Kwargs["k"] = 2, 2, 2, 2, "z", 2
		for _, list := range [][]task.Signature{s.Link, s.LinkError, s.Chain} {
			list[0].Args[0] = 2
		}
		if !reflect.DeepEqual(original, wanted) {
			t.Fatalf("a copy changed the call: %+v", original)
		}
	}
}

func TestImmutableCallsSaySo(t *testing.T) {
	t.Parallel()
	definition := noop(task.Queue("q"))
	s := definition.SI(struct{}{}, task.Priority(3))
	if !s.Immutable || s.Priority != 3 || s.Queue != "q" || definition.S(struct{}{}).Immutable {
		t.Errorf("call = %+v", s)
	}
}

func TestOptionsThatMakeNoSenseAreNamed(t *testing.T) {
	t.Parallel()
	type options = task.CallOptions
	for want, c := range map[string]options{
		"negative time limit":                    {TimeLimit: -1},
		"the soft time limit 2ns is above":       {SoftTimeLimit: 2, TimeLimit: 1},
		"negative countdown -1ns":                {Countdown: -1},
		"negative expiry -1ns":                   {ExpiresIn: -1},
		"negative group index -2":                {GroupID: "g", GroupIndex: -2},
		"the group index 3 needs a group id":     {GroupIndex: 3},
		"negative pause":                         {Publish: &task.PublishPolicy{Start: -1}},
		"task: link[1]: the call names no task":  {Link: []task.Signature{{Task: "t"}, {}}},
		"link_error[0]: negative countdown -1ns": {LinkError: []task.Signature{{Task: "t", CallOptions: options{Countdown: -1}}}},
		"chain[0]: link[0]: the call names no":   {Chain: []task.Signature{{Task: "t", CallOptions: options{Link: []task.Signature{{}}}}}},
		"chord: the call names no task":          {Chord: &task.Signature{}},
	} {
		if err := (task.Signature{Task: "t", CallOptions: c}).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want it to contain %q", err, want)
		}
	}
}

func TestPausesOfThePublishPolicyAreCelerys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		policy task.PublishPolicy
		want   string
	}{
		{task.PublishPolicy{}, "0s 200ms 400ms"},
		{task.PublishPolicy{Max: 7}, "0s 200ms 400ms 600ms 800ms 1s 1s"},
		{task.PublishPolicy{Max: 4, Start: time.Second, Step: time.Minute, Limit: 3 * time.Second}, "1s 4s 4s 4s"},
		{task.PublishPolicy{Max: 3, Start: 5, Step: 2, Limit: 3}, "5ns 7ns 8ns"},
	} {
		var got []string
		for n := 0; tt.policy.Allows(n); n++ {
			got = append(got, tt.policy.Wait(n).String())
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: pauses = %v, want %s", tt.policy, got, tt.want)
		}
	}
	if !(task.PublishPolicy{Max: -1}).Allows(1 << 20) {
		t.Error("a negative Max ends")
	}
}
