package workflow_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/task"
)

// started returns the plan of a workflow that starts, with parts changed before.
func started(t *testing.T, o workflow.Origin, s task.Signature) (*workflow.Plan, task.Ref) {
	t.Helper()
	p := workflow.New(o)
	ref, err := p.Start(s)
	if err != nil {
		t.Fatalf("%s: %v", notation(s), err)
	}
	return p, ref
}

// about prints calls: their tasks, and what is said of each.
func about(calls []task.Signature, say func(task.Signature) string) string {
	var list []string
	for _, s := range calls {
		list = append(list, strings.TrimSuffix(s.Task+":"+say(s), ":"))
	}
	return strings.Join(list, " ")
}

func tasksOf(list []task.Signature) string {
	return strings.ReplaceAll(about(list, func(s task.Signature) string { return map[bool]string{true: "!"}[s.Immutable] }), ":", "")
}

func TestTheResultOfAWorkflowLeadsToItsBeginning(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a":                   "a",
		"(a|b|c)":             "c<b<a",
		"{a (b|c)}":           "{a c<b}",
		"[a b]>c":             "c<{a b}",
		"(a|[b c]>d|e)":       "e<d<{b c}<a",
		"(a|{b c}|d|{e f})":   "{e f}<d<{b c}<a",
		"[[a b]>c (d|e)]>f":   "f<{c<{a b} e<d}",
		"[a b]>(c|[d e]>f|g)": "g<f<{d e}<c<{a b}",
		"[]>a":                "a<{}",
	} {
		s := parse(t, text)
		i := 0
		var number func(*task.Signature)
		number = func(s *task.Signature) { // the id of each task is its name
			if s.Type == "" {
				s.ID = s.Task
			}
			for i := range s.Tasks {
				number(&s.Tasks[i])
			}
			if s.Body != nil {
				number(s.Body)
			}
			i++
		}
		number(&s)
		p, ref := started(t, workflow.Origin{}, s)
		if got := lineage(ref); got != want {
			t.Errorf("%s: result %s, want %s", text, got, want)
		}
		all := strings.FieldsFunc(want, func(r rune) bool { return strings.ContainsRune("<{} ", r) })
		ids := idsOf(p)
		slices.Sort(all)
		slices.Sort(ids)
		if diff := cmp.Diff(all, slices.Compact(ids)); diff != "" {
			t.Errorf("%s: ids (-want +got):\n%s", text, diff)
		}
	}
}

func lineage(ref task.Ref) string {
	out := ref.ID
	if ref.Group {
		members := make([]string, len(ref.Members))
		for i, m := range ref.Members {
			members[i] = lineage(m)
		}
		out = "{" + strings.Join(members, " ") + "}"
	}
	if ref.Parent != nil {
		out += "<" + lineage(*ref.Parent)
	}
	return out
}

func TestIdsAreMadeOfWhatTheyFollow(t *testing.T) {
	t.Parallel()
	s := parse(t, "(a|{b (c|{d e})}|[f g]>h|i)")
	origin := workflow.Origin{ID: "task", RootID: "root", ParentID: "parent", ReplyTo: "caller"}
	one, _ := started(t, origin, s)
	two, _ := started(t, origin, s)
	if diff := cmp.Diff(idsOf(one), idsOf(two)); diff != "" {
		t.Errorf("the ids differ the second time:\n%s", diff)
	}
	origin.ID = "another"
	three, _ := started(t, origin, s)
	if slices.ContainsFunc(idsOf(three), func(id string) bool { return slices.Contains(idsOf(one), id) }) {
		t.Error("two tasks have the same followers")
	}
	here, _ := started(t, workflow.Origin{}, s)
	again, _ := started(t, workflow.Origin{}, s)
	if slices.ContainsFunc(idsOf(here), func(id string) bool { return slices.Contains(idsOf(again), id) }) {
		t.Error("what starts twice is the same workflow")
	}
	call := one.Calls[0]
	if call.RootID != "root" || call.ParentID != "parent" || call.ReplyTo != "caller" || call.Chain[0].Tasks[0].Tasks[0].ReplyTo == "" {
		t.Errorf("root %q, parent %q, answers to %q", call.RootID, call.ParentID, call.ReplyTo)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(idsOf(one))))) != len(idsOf(one)) {
		t.Error("two tasks have the same id")
	}
}

// Any task of a header may be the last one, in more than one worker.
func TestABodyIsTheSameWhicheverTaskWasTheLast(t *testing.T) {
	t.Parallel()
	body := parse(t, "(a|[b c]>d)")
	var ids [][]string
	for _, id := range []string{"first", "second"} {
		p, _ := started(t, joined(&task.Request{ID: id, Group: "chord"}), body)
		ids = append(ids, idsOf(p))
		if p.Calls[0].ParentID != id {
			t.Errorf("the parent is %s", p.Calls[0].ParentID)
		}
	}
	if diff := cmp.Diff(ids[0], ids[1]); diff != "" {
		t.Errorf("ids of two bodies:\n%s", diff)
	}
}

func TestOptionsGoWhereCelerysGo(t *testing.T) {
	t.Parallel()
	x, y := task.Signature{Task: "x"}, task.Signature{Task: "y"}
	links := func(s task.Signature) string { return tasksOf(s.Link) }
	errors := func(s task.Signature) string { return tasksOf(s.LinkError) }
	queue := func(s task.Signature) string { return s.Queue }
	for name, test := range map[string]struct {
		workflow string
		set      func(*task.Signature)
		say      func(task.Signature) string
		calls    string
		body     string // or the rest
	}{
		"a link of a chain":         {"(a|b)", func(s *task.Signature) { s.Link = []task.Signature{x} }, links, "a", "b:x"},
		"an errback of a chain":     {"(a|{b c}|d)", func(s *task.Signature) { s.LinkError = []task.Signature{x} }, errors, "a:x", "celery.chord"},
		"a link of a group":         {"{a b}", func(s *task.Signature) { s.Link = []task.Signature{x} }, links, "a:x! b", ""},
		"an errback of a group":     {"{a b}", func(s *task.Signature) { s.LinkError = []task.Signature{x} }, errors, "a:x b:x", ""},
		"errbacks of both":          {"{a b}", func(s *task.Signature) { s.LinkError, s.Tasks[1].LinkError = []task.Signature{x}, []task.Signature{y} }, errors, "a:x b:y x", ""},
		"a link of a chord":         {"[a b]>c", func(s *task.Signature) { s.Link = []task.Signature{x} }, links, "a b", "c:x"},
		"a link in a chord":         {"[a b]>c", func(s *task.Signature) { s.Link, s.Body.Link = []task.Signature{x}, []task.Signature{y} }, links, "a b", "c:y x"},
		"an errback of a chord":     {"[a b]>c", func(s *task.Signature) { s.LinkError = []task.Signature{x} }, errors, "a b", "c:x"},
		"the queue of a chain":      {"(a|b)", func(s *task.Signature) { s.Queue = "q" }, queue, "a:q", "b"},
		"the queue of a group":      {"{a (b|c) {d}}", func(s *task.Signature) { s.Queue = "q" }, queue, "a:q b:q d:q", ""},
		"the queue of an inner one": {"{a {b c}}", func(s *task.Signature) { s.Tasks[1].Queue = "q" }, queue, "a b:q c:q", ""},
		"the queue of a chord":      {"[a b]>c", func(s *task.Signature) { s.Queue = "q" }, queue, "a:q b:q", "c:q"},
		"the queue of a header":     {"[{a b}]>c", func(s *task.Signature) { s.Tasks[0].Queue = "q" }, queue, "a:q b:q", "c"},
		"the delay of a chord": {
			"[a b]>c", func(s *task.Signature) { s.Countdown = time.Second },
			func(s task.Signature) string { return fmt.Sprint(s.Countdown) }, "a:1s b:1s", "c:0s",
		},
		"a zero that is meant": {
			"{a b}", func(s *task.Signature) { task.Priority(3)(&s.CallOptions); task.KeepResult()(&s.Tasks[0].CallOptions) },
			func(s task.Signature) string { return fmt.Sprint(s.Priority, s.Given != 0) }, "a:3 true b:3 true", "",
		},
	} {
		s := parse(t, test.workflow)
		test.set(&s)
		p, _ := started(t, workflow.Origin{}, s)
		if got := about(p.Calls, test.say); got != test.calls {
			t.Errorf("%s: calls %s, want %s", name, got, test.calls)
		}
		var rest []task.Signature
		for _, c := range p.Chords {
			rest = append(rest, c.Body)
		}
		rest = append(rest, p.Calls[0].Chain...)
		if got := about(rest, test.say); got != test.body {
			t.Errorf("%s: then %s, want %s", name, got, test.body)
		}
	}
}

func TestErrbacksOfAChordMayGoOnItsHeader(t *testing.T) {
	t.Parallel()
	s := parse(t, "[a (b|c)]>d")
	s.LinkError = []task.Signature{{Task: "x"}}
	p, _ := started(t, workflow.Origin{ErrbacksOnHeader: true}, s)
	all := slices.Concat(p.Calls, p.Calls[1].Chain, []task.Signature{p.Chords[0].Body})
	if got := about(all, func(s task.Signature) string { return tasksOf(s.LinkError) }); got != "a:x! b:x! c:x! d:x" {
		t.Errorf("errbacks: %s", got)
	}
}

func TestLostTasksAreAllThatSomebodyWaitsFor(t *testing.T) {
	t.Parallel()
	outer := &task.Signature{Task: "outer"}
	for text, want := range map[string]string{
		"a":                 "a:0",
		"(a|b)":             "a b:0",
		"{a b}":             "a:0 b:1",
		"(a|{b c})":         "a b:0 c:1",
		"[a b]>c":           "a b c:0",
		"[a b]>{c d}":       "a b c:0 d:1",
		"(a|[b (c|d)]>e|f)": "a b c d e f:0",
		"[[a b]>c d]>(e|f)": "a b c d e f:0",
	} {
		s := parse(t, text)
		s.GroupID, s.Chord = "G", outer
		say := func(s task.Signature) string {
			if (s.Chord != nil) != (s.GroupID == "G") {
				t.Errorf("%s: %s is in group %q, counts: %t", text, s.Task, s.GroupID, s.Chord != nil)
			}
			return map[bool]string{true: fmt.Sprint(s.GroupIndex)}[s.Chord != nil]
		}
		if got := about(workflow.Lost(s), say); got != want {
			t.Errorf("%s: lost are %s, want %s", text, got, want)
		}
		p, _ := started(t, workflow.Origin{}, parse(t, "(first|"+text+")")) // the same once it has been sent
		if got := tasksOf(workflow.Lost(p.Calls[0])); len(strings.Fields(got)) != 1+len(strings.Fields(want)) {
			t.Errorf("first, then %s: lost are %s", text, got)
		}
	}
}

func TestTheErrbacksOfALostBodyAreOfWhatWouldHaveBeenFirst(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a": "a:x", "(a|b)": "a:x b", "{a b}": "a:x b:x", "[a b]>c": "a b c:x", "(a|[b c]>d)": "a:x b c d", "([a b]>c|d)": "a b c:x d",
	} {
		s := parse(t, text)
		s.LinkError = []task.Signature{{Task: "x"}}
		if got := about(workflow.Lost(s), func(s task.Signature) string { return tasksOf(s.LinkError) }); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestAReplacementIsTheTask(t *testing.T) {
	t.Parallel()
	req := &task.Request{
		ID: "1", RootID: "0", ParentID: "P", ReplyTo: "caller", Group: "G", GroupIndex: 4, ReplacedNesting: 2,
		StampedHeaders: []string{"s"}, Stamps: map[string]any{"s": "v"},
	}
	f := workflow.Followers{
		Links: []task.Signature{{Task: "link"}}, Errbacks: []task.Signature{{Task: "errback"}}, Chord: &task.Signature{Task: "body"},
	}
	for text, last := range map[string]string{"a": "a", "(a|b)": "b", "[a b]>c": "c", "{a b}": "celery.accumulate", "(a|{b c})": "celery.accumulate", "[a]>{b c}": "celery.accumulate"} {
		p := workflow.New(workflow.After(req))
		if _, err := p.Replace(req, f, parse(t, text)); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		n := 0
		for _, s := range parts(p) {
			if s.ReplacedNesting != 3 || s.Stamps["s"] != "v" || s.RootID != "0" || s.ReplyTo != "caller" {
				t.Errorf("%s: %s: nesting %d, stamps %v, root %s, answers to %s", text, s.Task, s.ReplacedNesting, s.Stamps, s.RootID, s.ReplyTo)
			}
			if s.ID != "1" {
				continue
			}
			n++
			if s.Task != last || s.GroupID != "G" || s.GroupIndex != 4 || s.Chord == nil || s.Chord.Task != "body" || tasksOf(s.Link) != "link" || tasksOf(s.LinkError) != "errback" {
				t.Errorf("%s: %s takes the place in %s at %d, links %s, errbacks %s", text, s.Task, s.GroupID, s.GroupIndex, tasksOf(s.Link), tasksOf(s.LinkError))
			}
		}
		if n != 1 || p.Calls[0].ParentID != "P" {
			t.Errorf("%s: %d tasks have the id, the parent is %s", text, n, p.Calls[0].ParentID)
		}
	}
}

// parts are the calls of a plan and those that follow.
func parts(p *workflow.Plan) []task.Signature {
	var all []task.Signature
	var add func(s task.Signature)
	add = func(s task.Signature) {
		if s.Type == "" {
			all = append(all, s)
		}
		for _, part := range slices.Concat(s.Tasks, s.Chain) {
			add(part)
		}
		if s.Body != nil {
			add(*s.Body)
		}
	}
	for _, s := range p.Calls {
		add(s)
	}
	for _, c := range p.Chords {
		add(c.Body)
	}
	return all
}

// idsOf are the ids of the tasks of a plan, also of those that follow later.
func idsOf(p *workflow.Plan) []string {
	var ids []string
	for _, s := range parts(p) {
		ids = append(ids, s.ID)
	}
	return ids
}

// joined is the origin of the body of a task's chord.
func joined(req *task.Request) workflow.Origin {
	o := workflow.After(req)
	o.ID = req.Group
	return o
}

func TestWhatCannotTakeAPlaceIsRefused(t *testing.T) {
	t.Parallel()
	req := &task.Request{ID: "1"}
	for _, s := range []task.Signature{
		{Task: "a", CallOptions: task.CallOptions{Chord: &task.Signature{Task: "b"}}},
		{Task: "celery.chain", Type: "chain"},
		{Task: "a", Type: "knot"},
	} {
		if _, err := workflow.New(workflow.After(req)).Replace(req, workflow.Followers{}, s); err == nil {
			t.Errorf("%+v replaces a task", s)
		}
	}
	if _, err := workflow.New(workflow.After(req)).Extend(req, workflow.Followers{}, task.Signature{Task: "a"}, 0); err == nil {
		t.Error("a task without a chord extends it")
	}
}

func TestAChordWaitsForWhatItsTasksAdd(t *testing.T) {
	t.Parallel()
	req := &task.Request{ID: "1", Group: "G", GroupIndex: 2}
	f := workflow.Followers{Chord: &task.Signature{Task: "body"}}
	p := workflow.New(workflow.After(req))
	one, err := p.Extend(req, f, parse(t, "(a|{b c})"), 0)
	two, err2 := p.Extend(req, f, parse(t, "(a|{b c})"), 1)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if len(one) != 2 || len(two) != 2 || slices.ContainsFunc(two, func(id string) bool { return slices.Contains(one, id) }) {
		t.Errorf("ids %v and %v", one, two)
	}
	last := p.Calls[0].Chain[0]
	if last.GroupID != "G" || last.Chord == nil || last.ID != "G" || last.Tasks[0].ID != one[0] {
		t.Errorf("the last step is %s in %s", last.ID, last.GroupID)
	}
	if b, c := last.Tasks[0], last.Tasks[1]; b.GroupIndex != -1 || c.GroupIndex != -1 {
		t.Errorf("places %d and %d among the header's tasks, want none: behind them", b.GroupIndex, c.GroupIndex)
	}
}

func TestAPolledChordIsUnlockedAsCeleryDoes(t *testing.T) {
	t.Parallel()
	p, _ := started(t, workflow.Origin{ReplyTo: "x"}, chord(call("tsum"), call("add", 1, 1), call("add", 2, 2)))
	unlock := p.Unlock(p.Chords[0])
	if unlock.Countdown != time.Second || !unlock.IgnoreResult || unlock.ID == "" {
		t.Errorf("%+v", unlock)
	}
	p.Calls = slices.Insert(p.Calls, 0, unlock)
	p.Calls = p.Calls[:1]
	p.Calls[0].ReplyTo = ""
	want, got := captured(t, "main/run-db_new/chord.client")[:1], planned(t, p)
	compare(t, strip(want), strip(got))
}

// strip leaves out to whom answers go, which is not an id here.
func strip(list []map[string]any) []map[string]any {
	for _, m := range list {
		body := m["body"].([]any)[0].([]any)[1].(map[string]any)
		delete(body["options"].(map[string]any), "reply_to")
	}
	return list
}

// A chain of chords does not nest, however long it is.
func TestLongChainsOfChordsTravel(t *testing.T) {
	t.Parallel()
	text := "(" + strings.TrimSuffix(strings.Repeat("{a b}|c|", 200), "|") + ")"
	p, _ := started(t, workflow.Origin{ID: "1"}, parse(t, text))
	raw, err := wire.EncodeSignature(p.Calls[0], codec.JSON{})
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 500_000 {
		t.Errorf("%d bytes", len(raw))
	}
	again, err := wire.DecodeSignature(raw, codec.JSON{})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := started(t, workflow.Origin{ID: "1"}, *again.Chord)
	if len(body.Calls) != 1 || len(body.Calls[0].Chain) != 199 {
		t.Errorf("then %d calls, with %d steps", len(body.Calls), len(body.Calls[0].Chain))
	}
}

// What one message can become in a worker is bounded; what a client starts is not.
func TestWhatComesOfOneMessageIsBounded(t *testing.T) {
	t.Parallel()
	many := func(n int) []task.Signature { return slices.Repeat([]task.Signature{{Task: "a"}}, n) }
	errbacks := chain(many(1000)...)
	errbacks.LinkError = many(1000)
	body := chord(chain(many(2000)...), many(2000)...)
	for name, s := range map[string]task.Signature{"errbacks of a chain": errbacks, "a body for each task": body, "tasks": group(many(100_001)...)} {
		if _, err := workflow.New(workflow.Origin{ID: "1"}).Start(s); err == nil {
			t.Errorf("%s: it is planned", name)
		}
	}
	p, _ := started(t, workflow.Origin{}, group(many(100_001)...))
	if len(p.Calls) != 100_001 {
		t.Errorf("%d calls", len(p.Calls))
	}
}

func TestAPlanLeavesTheSignatureAsItIs(t *testing.T) {
	t.Parallel()
	s := parse(t, "(a|{b (c|{d e})}|[{f} g]>{h}|{i j})")
	s.LinkError, s.Tasks[1].Queue = []task.Signature{{Task: "x"}}, "q"
	before := s.Clone()
	started(t, workflow.Origin{}, s)
	if !reflect.DeepEqual(before, s.Clone()) {
		t.Errorf("it has changed: %s", notation(s))
	}
}
