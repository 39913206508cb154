package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// embedded is a message of the task ok, with id 1 in the workflow 0, and what follows it.
func embedded(name, callbacks, errbacks, chain string) broker.Message {
	return broker.Message{
		ContentType: "application/json", ContentEncoding: "utf-8", ReplyTo: "caller",
		Headers: broker.Table{"task": name, "id": "1", "root_id": "0"},
		Body:    fmt.Appendf(nil, `[[], {}, {"callbacks": %s, "errbacks": %s, "chain": %s, "chord": null}]`, callbacks, errbacks, chain),
	}
}

// describe prints a call of a workflow: what, with which arguments, in which group, before which steps.
func describe(t *testing.T, msg broker.Message) string {
	t.Helper()
	r, err := wire.Decode(broker.NewDelivery(msg, nil), codec.NewSet(codec.JSON{}), wire.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if r.ParentID != "1" || r.RootID != "0" {
		t.Errorf("%s has parent %q, root %q; want 1 and 0", r.Name, r.ParentID, r.RootID)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s", r.Name, r.ArgsRepr)
	if len(r.Kwargs) > 0 {
		b.WriteString(r.KwargsRepr)
	}
	if r.Group != "" {
		fmt.Fprintf(&b, " in %s at %d", label(r.Group), r.GroupIndex)
	}
	for _, part := range []struct {
		name string
		raw  codec.Raw
	}{{"then", r.Embed.Chain}, {"link", r.Embed.Callbacks}, {"error", r.Embed.Errbacks}} {
		list, err := wire.DecodeSignatures(part.raw, codec.JSON{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			s := list[len(list)-1-i]
			fmt.Fprintf(&b, " %s %s", part.name, s.Task)
			if s.GroupID != "" {
				fmt.Fprintf(&b, " in %s at %d", label(s.GroupID), s.GroupIndex)
			}
		}
	}
	return b.String()
}

// label is an id that somebody gave, or "made" for one that was made up.
func label(id string) string {
	if len(id) > 10 {
		return "made"
	}
	return id
}

// family prints the children of an outcome.
func family(refs []task.Ref) string {
	var names []string
	for _, r := range refs {
		name := label(r.ID)
		if r.Group {
			name += "[" + family(r.Members) + "]"
		}
		for p := r.Parent; p != nil; p = p.Parent {
			name += "<" + label(p.ID)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestWorkflowsAreExpandedAsCeleryDoes(t *testing.T) {
	t.Parallel()
	sig := func(rest string) string {
		return `{"kwargs": {}, "immutable": false, "subtask_type": null, ` + rest + `}`
	}
	a, b, c := sig(`"task": "a", "args": [1]`), sig(`"task": "b", "args": []`), sig(`"task": "c", "args": [], "options": {"task_id": "C"}`)
	group := func(options string, tasks ...string) string {
		return fmt.Sprintf(`{"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [%s]}, "options": {%s}}`, strings.Join(tasks, ","), options)
	}
	chain := func(options string, tasks ...string) string {
		return fmt.Sprintf(`{"task": "celery.chain", "subtask_type": "chain", "args": [9], "kwargs": {"tasks": [%s]}, "options": {%s}}`, strings.Join(tasks, ","), options)
	}
	const no = "null"
	for name, test := range map[string]struct {
		callbacks, chain string
		want             []string
		children         string
	}{
		"one":                          {"[" + a + "]", no, []string{"a(7, 1)"}, "made"},
		"immutable":                    {`[{"task": "a", "args": [1], "immutable": true}]`, no, []string{"a(1,)"}, "made"},
		"keywords":                     {`[{"task": "a", "kwargs": {"k": 1}}]`, no, []string{"a(7,){'k': 1}"}, "made"},
		"without options, as a dict":   {a, no, []string{"a(7, 1)"}, "made"},
		"detached":                     {`[{"task": "a", "options": {"add_to_parent": false}}]`, no, []string{"a(7,)"}, ""},
		"with its own links and chain": {`[{"task": "a", "options": {"link": [` + b + `], "link_error": [` + c + `], "chain": [` + c + `]}}]`, no, []string{"a(7,) then c link b error c"}, "made"},
		"several":                      {"[" + a + "," + c + "]", no, []string{"a(7, 1) in made at 0", "c(7,) in made at 1"}, "made[made C]"},
		"several with a group": {
			"[" + a + "," + group(`"task_id": "G"`, b, c) + "," + b + "]", no,
			[]string{"b(7,) in G at 0", "c(7,) in G at 1", "a(7, 1) in made at 0", "b(7,) in made at 1"},
			"G[made C] made[made made]",
		},
		"group with options, in it another": {
			"[" + group(`"task_id": "G", "shadow": "s"`, a, group("", b, c), a) + "]", no,
			[]string{"a(7, 1) in G at 0", "b(7,) in G at 1", "c(7,) in G at 2", "a(7, 1) in G at 3"},
			"G[made made C made]",
		},
		"group in a group, with a member of another": {
			"[" + group(`"task_id": "G", "group_id": "outer", "group_index": 5`, a, `{"task": "b", "options": {"group_id": "own"}}`) + "]", no,
			[]string{"a(7, 1) in G at 0", "b(7,) in own at 1"},
			"G[made made]",
		},
		"chain": {"[" + chain(`"task_id": "L", "link": [`+c+`], "link_error": [`+a+`]`, a, b, b) + "]", no, []string{"a(7, 9, 1) then b then b error a"}, "made"},
		"chain in a chain, at its end a group": {
			"[" + chain("", a, chain("", b, c), group(`"task_id": "G"`, a, a)) + "]", no,
			[]string{"a(7, 9, 1) then b then c then celery.group"},
			"made",
		},
		"chain of one": {"[" + chain(`"task_id": "L"`, a) + "]", no, []string{"a(7, 9, 1)"}, "L"},
		"group of chains": {
			"[" + group(`"task_id": "G"`, chain("", a, b, c), chain(`"task_id": "L"`, a, b)) + "]", no,
			[]string{"a(7, 9, 1) then b then c in G at 0", "a(7, 9, 1) then b in G at 1"},
			"G[C<made<made L<made]",
		},
		"step":                     {no, "[" + c + "," + b + "," + a + "]", []string{"a(7, 1) then b then c"}, "made"},
		"step and links":           {"[" + a + "," + b + "]", "[" + c + "]", []string{"a(7, 1) in made at 0", "b(7,) in made at 1", "c(7,)"}, "made[made made] C"},
		"step that is a group":     {no, "[" + group(`"task_id": "G"`, a, c) + "]", []string{"a(7, 1) in G at 0", "c(7,) in G at 1"}, "G[made C]"},
		"step that is a chain":     {no, "[" + c + "," + chain("", a, b) + "]", []string{"a(7, 9, 1) then b then c"}, "made"},
		"step of a nested group":   {no, `[{"task": "a", "options": {"group_id": "G", "group_index": 3}}]`, []string{"a(7,) in G at 3"}, "made"},
		"a chord that comes later": {no, `[{"task": "celery.chord", "subtask_type": "chord"},` + a + "]", []string{"a(7, 1) then celery.chord"}, "made"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out outbox
				h := start(t, plan{tasks: endings(), send: out.send})
				h.publish(embedded("ok", test.callbacks, "null", test.chain))
				meta := h.outcome("1")
				var got []string
				for _, msg := range out.messages {
					if msg.ReplyTo != "caller" {
						t.Errorf("%s answers to %q, want the parent's caller", msg.Headers["task"], msg.ReplyTo)
					}
					got = append(got, describe(t, msg))
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("calls (-want +got):\n%s%v", diff, meta.Err())
				}
				if got := family(meta.Children); got != test.children {
					t.Errorf("children = %s, want %s", got, test.children)
				}
			})
		})
	}
}

func TestErrbacksAreCalledWithTheIDOfWhatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out outbox
		h := start(t, plan{tasks: endings(), send: out.send})
		h.publish(embedded("fail", "null", `[
			{"task": "a", "args": ["x"]}, {"task": "b", "immutable": true},
			{"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [{"task": "c"}, {"task": "d"}]}}]`, "null"))
		h.wantFailure("1", "Exception")
		synctest.Wait()
		var got []string
		for _, msg := range out.messages {
			got = append(got, describe(t, msg))
		}
		want := []string{"a('1', 'x') in made at 0", "b() in made at 1", "c('1',) in made at 2", "d('1',) in made at 3"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}

// addressed notes where outcomes go that are sent as messages.
type addressed struct {
	result.Backend
	to *sync.Map
}

func (a addressed) Store(ctx context.Context, m task.Meta) error {
	a.to.Store(m.ID, m.ReplyTo+" "+m.CorrelationID)
	return a.Backend.Store(ctx, m)
}

// A step of a chain may stand for several tasks; whoever waits for one of them learns that it will not run.
func TestAFailureIsStoredForAllThatWasToFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var answered sync.Map
		h := start(t, plan{tasks: endings(), results: addressed{resultmem.New(resultmem.Config{}), &answered}})
		h.publish(embedded("fail", "null", "null", `[
			{"task": "celery.chord", "subtask_type": "chord", "options": {"task_id": "chord"}, "kwargs": {
				"header": [{"task": "h", "options": {"task_id": "header"}}], "body": {"task": "b", "options": {"task_id": "body"}}}},
			{"task": "celery.group", "subtask_type": "group", "options": {"task_id": "group"}, "kwargs": {
				"tasks": [{"task": "m", "options": {"task_id": "member", "group_id": "group"}}]}},
			{"task": "s", "options": {"task_id": "step", "reply_to": "other"}}]`))
		for _, id := range []string{"1", "step", "member", "group", "header", "body", "chord"} {
			if remote := h.wantFailure(id, "Exception"); remote.Message != "boom" || remote.Traceback == "" {
				t.Errorf("%s failed with %q, traceback %q; want those of the task", id, remote.Message, remote.Traceback)
			}
		}
		for id, want := range map[string]string{"1": "caller 1", "step": "other step", "member": " member"} {
			if got, _ := answered.Load(id); got != want {
				t.Errorf("the failure of %s goes to %q, want %q", id, got, want)
			}
		}
		if meta := h.outcome("member"); meta.GroupID != "group" || meta.ParentID != "" {
			t.Errorf("member belongs to group %q, parent %q", meta.GroupID, meta.ParentID)
		}
	})
}

// messenger is a store of which outcomes cannot be asked, as rpc.
type messenger struct{ result.Backend }

func (messenger) Expect(context.Context, string) (string, error) { return "", nil }

func TestWorkflowsThatCannotBeAdvancedAreRefused(t *testing.T) {
	t.Parallel()
	const (
		plain = `{"task": "a", "options": {}}`
		chord = `{"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": [` + plain + `], "body": ` + plain + `}}`
		group = `{"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [` + plain + `,` + plain + `]}}`
	)
	many := strings.Repeat(","+plain, 400)
	tasks := func(kind, list string) string {
		return `{"task": "celery.` + kind + `", "subtask_type": "` + kind + `", "kwargs": {"tasks": [` + list + `]}}`
	}
	for name, test := range map[string]struct{ callbacks, errbacks, chain, chord, class string }{
		"chord as a link":        {callbacks: "[" + chord + "]", class: "NotImplementedError"},
		"chord among links":      {callbacks: "[" + plain + "," + chord + "]", class: "NotImplementedError"},
		"chord as the next step": {chain: "[" + plain + "," + chord + "]", class: "NotImplementedError"},
		"chord without a body":   {callbacks: `[{"task": "celery.chord", "subtask_type": "chord"}]`, class: "InvalidTaskError"},
		"chord in a group":       {callbacks: "[" + tasks("group", chord) + "]", class: "NotImplementedError"},
		"chord in a chain":       {callbacks: "[" + tasks("chain", group+","+plain) + "]", class: "NotImplementedError"},
		"group that belongs to a chord": {callbacks: `[{"task": "celery.group", "subtask_type": "group", "options": {"chord": ` + plain + `},
			"kwargs": {"tasks": [` + plain + `]}}]`, class: "NotImplementedError"},
		"member of a chord":            {chord: plain, class: "NotImplementedError"},
		"chord as an errback":          {errbacks: "[" + chord + "]", class: "NotImplementedError"},
		"something new":                {callbacks: `[{"task": "a", "subtask_type": "knot"}]`, class: "NotImplementedError"},
		"an empty chain":               {callbacks: "[" + tasks("chain", "") + "]", class: "InvalidTaskError"},
		"too many errbacks":            {callbacks: "[" + strings.Replace(tasks("chain", plain+many), `"kwargs"`, `"options": {"link_error": [`+plain+many+`]}, "kwargs"`, 1) + "]", class: "InvalidTaskError"},
		"a link without a name":        {callbacks: `[{"args": []}]`, class: "InvalidTaskError"},
		"a link that is a number":      {callbacks: "[1]", class: "InvalidTaskError"},
		"links that are text":          {callbacks: `"a"`, class: "InvalidTaskError"},
		"a group whose tasks are text": {callbacks: `[{"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": "a"}}]`, class: "InvalidTaskError"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ran := task.New("run", func(context.Context, none) (int, error) { t.Error("it ran"); return 0, nil })
				h := start(t, plan{tasks: []task.Definition{ran}, results: messenger{resultmem.New(resultmem.Config{})}})
				or := func(s string) string { return map[bool]string{true: "null", false: s}[s == ""] }
				msg := embedded("run", or(test.callbacks), or(test.errbacks), or(test.chain))
				msg.Body = bytes.Replace(msg.Body, []byte(`"chord": null`), []byte(`"chord": `+or(test.chord)), 1)
				h.publish(msg)
				h.wantFailure("1", test.class)
				synctest.Wait()
				h.wantWaiting(dead, 1)
			})
		})
	}
}

func TestOptionsOfWhatFollowsAreHonoured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []task.Signature
		h := start(t, plan{tasks: endings(), send: func(_ context.Context, s task.Signature, _ codec.Codec) error {
			sent = append(sent, s)
			return nil
		}})
		h.publish(embedded("ok", `[{"task": "a", "options": {
			"task_id": "A", "queue": "q", "exchange": "x", "routing_key": "k", "priority": 3, "countdown": 60, "expires": 120,
			"time_limit": 5, "soft_time_limit": 4, "ignore_result": true, "shadow": "s", "serializer": "msgpack", "compression": "zlib",
			"headers": {"tenant": "acme"}, "reply_to": "other", "stamped_headers": ["stamp"], "stamp": "value", "root_id": "no", "parent_id": "no"}}]`, "null", "null"))
		h.outcome("1")
		now := time.Now()
		want := task.CallOptions{
			ID: "A", Queue: "q", Exchange: "x", RoutingKey: "k", Priority: 3, Countdown: time.Minute, ETA: now.Add(time.Minute),
			ExpiresIn: 2 * time.Minute, Expires: now.Add(2 * time.Minute), TimeLimit: 5 * time.Second, SoftTimeLimit: 4 * time.Second,
			IgnoreResult: true, Shadow: "s", Serializer: "msgpack", Compression: "zlib", Headers: map[string]any{"tenant": "acme"},
			ReplyTo: "other", StampedHeaders: []string{"stamp"}, Stamps: map[string]any{"stamp": "value"}, RootID: "0", ParentID: "1",
		}
		if len(sent) != 1 {
			t.Fatalf("%d calls, want 1", len(sent))
		}
		if diff := cmp.Diff(want, sent[0].CallOptions, cmpopts.IgnoreUnexported(want)); diff != "" {
			t.Errorf("options (-want +got):\n%s", diff)
		}
	})
}

func TestTheExtendedMetadataOfAFailedStepIsItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: endings(), opts: worker.Options{ResultExtended: true}})
		h.publish(embedded("fail", "null", "null", `[{"task": "step", "args": [1, "two"], "kwargs": {"k": 3}, "options": {"task_id": "2"}}]`))
		want := &task.Extended{
			Name: "step", Args: codec.Raw(`[1,"two"]`), Kwargs: codec.Raw(`{"k":3}`), ArgsRepr: "(1, 'two')", KwargsRepr: "{'k': 3}",
		}
		if diff := cmp.Diff(want, h.outcome("2").Extended); diff != "" {
			t.Errorf("extended metadata (-want +got):\n%s", diff)
		}
		if x := h.outcome("1").Extended; x == nil || x.Name != "fail" || x.Worker == "" {
			t.Errorf("that of the task is %+v", x)
		}
	})
}

// The options of a group hold for its members, those of a chain for its first step; stamps stay what they were.
func TestOptionsOfGroupsAndChains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []task.Signature
		h := start(t, plan{tasks: endings(), send: func(_ context.Context, s task.Signature, _ codec.Codec) error {
			sent = append(sent, s)
			return nil
		}})
		const options = `"options": {"queue": "q", "stamped_headers": ["who"], "who": "all"}`
		h.publish(embedded("ok", `[
			{"task": "celery.group", "subtask_type": "group", `+options+`, "kwargs": {"tasks": [
				{"task": "a"}, {"task": "b", "options": {"queue": "own", "stamped_headers": ["who"], "who": "me"}}]}},
			{"task": "celery.chain", "subtask_type": "chain", `+options+`, "kwargs": {"tasks": [{"task": "c"}, {"task": "d"}]}}]`, "null", "null"))
		h.outcome("1")
		var got []string
		for _, s := range sent {
			got = append(got, fmt.Sprint(s.Task, s.Queue, s.Stamps["who"]))
			for _, s := range s.Chain {
				got = append(got, fmt.Sprint(s.Task, s.Queue, s.Stamps["who"]))
			}
		}
		if diff := cmp.Diff([]string{"aqall", "bqme", "cqall", "d<nil>"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
