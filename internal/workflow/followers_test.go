package workflow_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/task"
)

// stepsOf are those of a chain, as a message may have them: they have no ids, and groups in the middle.
func stepsOf(t *testing.T, text string) []task.Signature {
	t.Helper()
	return parse(t, "("+text+")").Tasks
}

func TestTheRestOfAChainFollowsWhateverComesFirst(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string]string{
		"b|E":           "E(b(first()))",
		"{b c}|E":       "E([b(first()) c(first())])",
		"{b}|E":         "E(b(first()))",
		"{}|E":          "E(first())",
		"(b|{c d})|E":   "E([c(b(first())) d(b(first()))])",
		"[b c]>d|E":     "E(d([b(first()) c(first())]))",
		"[b c]>{d e}|E": "E([d([b(first()) c(first())]) e([b(first()) c(first())])])",
		"[b]>{c}|E":     "E([c([b(first())])])",
		"[]>{c}|E":      "E([c([])])",
		"[b]>(c|{d})|E": "E(d(c([b(first())])))",
	} {
		m := newMachine(t, rand.New(rand.NewPCG(1, 2))) //nolint:gosec // reproducible
		m.queue = []task.Signature{{Task: "first", CallOptions: task.CallOptions{ID: "1", Chain: stepsOf(t, steps)}}}
		m.named["1"] = "first"
		m.run()
		got := ""
		for id, name := range m.named {
			if name == "E" {
				got += text(m.results[id])
			}
		}
		if got != want {
			t.Errorf("first|%s = %s, want %s", steps, got, want)
		}
	}
}

func TestTheTrailIsWhatWasSent(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string]string{"b|c": "b", "{b c}": "{b c}", "[b c]>d": "{b c}", "[b c]>d|e": "{b c}", "[]>b|c": "b", "(b|c)": "b"} {
		p := workflow.New(workflow.Origin{ID: "1"})
		list := stepsOf(t, steps)
		for i := range list {
			list[i] = entitledAll(list[i])
		}
		if err := p.Succeed(workflow.Followers{Chain: list}, codec.Raw("1")); err != nil {
			t.Fatal(err)
		}
		if len(p.Trail) != 1 || lineage(p.Trail[0]) != want {
			t.Errorf("%s: children %v, want %s", steps, p.Trail, want)
		}
	}
}

// entitledAll gives each task its name for an id.
func entitledAll(s task.Signature) task.Signature {
	if s.Type == "" {
		s.ID = s.Task
	}
	for i, part := range s.Tasks {
		s.Tasks[i] = entitledAll(part)
	}
	if s.Body != nil {
		body := entitledAll(*s.Body)
		s.Body = &body
	}
	return s
}

func TestTheIdOfAWorkflowIsItsResults(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a", "(a|b)", "(a|{b})", "{a b}", "[a b]>c", "[a b]>(c|d)", "(a|[b c]>d)", "(a|{b c}|d)", "((a|b)|(c|d))"} {
		s := parse(t, text)
		s.ID = "mine"
		p, ref := started(t, workflow.Origin{}, s)
		if ref.ID != "mine" {
			t.Errorf("%s: the result is %s", text, lineage(ref))
		}
		lost := workflow.Lost(s)
		if last := lost[len(lost)-1]; !ref.Group && last.ID != "mine" {
			t.Errorf("%s: when it is lost, its last task is %q", text, last.ID)
		}
		for _, c := range p.Calls {
			if n := len(c.Chain); n > 0 && c.Chain[n-1].ID != "mine" { // who fails before that looks at no more than this
				t.Errorf("%s: its last step is %q", text, c.Chain[n-1].ID)
			}
		}
	}
}

// A Celery client puts the body of a chord on each task of the header before the chord begins. It is read, but not handed on, nor joined.
func TestAChordThatHasNotBegunIsNoConcernOfItsHeader(t *testing.T) {
	t.Parallel()
	body := task.Signature{Task: "body", CallOptions: task.CallOptions{ID: "body"}}
	s := parse(t, "(a|[b (c|d)]>body)")
	header := s.Tasks[1].Tasks
	header[0].Chord, header[1].Tasks[1].Chord = &body, &body
	p, _ := started(t, workflow.Origin{}, s)
	if frozen := p.Calls[0].Chain[0].Tasks[0]; frozen.Tasks[0].Chord != nil {
		t.Error("the body goes with each task")
	}
	for _, lost := range workflow.Lost(s) {
		if lost.Chord != nil {
			t.Errorf("%s joins a chord", lost.Task)
		}
	}
	if lost := workflow.Lost(task.Signature{Task: "a", CallOptions: task.CallOptions{Chain: header}}); len(lost) != 4 || lost[3].Chain != nil {
		t.Errorf("of a call with others behind it %d are lost", len(lost))
	}
}

// The place in a group is that of the body, not of the chord: Celery's workers would give the body that one.
func TestAChordInAGroupHasNoPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	raw := `{"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": [{"task": "b"}], "body": {"task": "c"}},
		"options": {"group_id": "G", "group_index": 3}}`
	s, err := wire.DecodeSignature(codec.Raw(raw), codec.JSON{})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := started(t, workflow.Origin{}, chain(task.Signature{Task: "a"}, s))
	frozen := p.Calls[0].Chain[0]
	again, err := wire.EncodeSignature(frozen, codec.JSON{})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(again), `group_index`); n != 1 || frozen.Body.GroupIndex != 3 || frozen.Body.GroupID != "G" {
		t.Errorf("%d places: %s", n, again)
	}
}

// A worker of Celery that applies the inner chord would put them in the group of its header.
func TestTheMembersOfABodyCountForTheOuterChord(t *testing.T) {
	t.Parallel()
	p, ref := started(t, workflow.Origin{}, parse(t, "[(a|[b c]>{d e}) f]>g"))
	body := p.Calls[0].Chain[0].Body
	for i, m := range body.Tasks {
		if gid := ref.Parent.ID; m.GroupID != gid || m.GroupIndex != i || body.ID != gid || body.Chord.Task != "g" {
			t.Errorf("%s is in %s at %d, the group %s, the chord %s", m.Task, m.GroupID, m.GroupIndex, body.ID, gid)
		}
	}
}

// Nothing, as in Celery, is an empty chain.
func TestNothingFollowsTheBodyOfTheLastStep(t *testing.T) {
	t.Parallel()
	p := workflow.New(workflow.Origin{ID: "1"})
	if err := p.Succeed(workflow.Followers{Chain: stepsOf(t, "[a b]>c")}, codec.Raw("1")); err != nil {
		t.Fatal(err)
	}
	if rest := p.Chords[0].Body.Chain; rest == nil || len(rest) > 0 {
		t.Errorf("rest of the chain: %v", rest)
	}
}

func TestWhatIsSaidOfAnInnerGroupHoldsForItsMembers(t *testing.T) {
	t.Parallel()
	x := []task.Signature{{Task: "x"}}
	for text, want := range map[string]string{"{a {b c}}": "a b:x c:x", "(a|{b})": "a b:x", "{a (b|{c})}": "a b c:x"} {
		s := parse(t, text)
		inner := &s.Tasks[1]
		if inner.Type == "chain" {
			inner = &inner.Tasks[1]
		}
		inner.LinkError = x
		p, _ := started(t, workflow.Origin{}, s)
		var all []task.Signature
		for _, c := range p.Calls {
			all = append(append(all, c), c.Chain...)
		}
		if got := about(all, func(s task.Signature) string { return tasksOf(s.LinkError) }); got != want {
			t.Errorf("%s: errbacks %s, want %s", text, got, want)
		}
	}
}

func TestACallKeepsItsStampsAndItsGroup(t *testing.T) {
	t.Parallel()
	s := parse(t, "{a b}")
	s.StampedHeaders, s.Stamps = []string{"s"}, map[string]any{"s": "group"}
	own := &s.Tasks[1]
	own.StampedHeaders, own.Stamps, own.GroupID = []string{"s"}, map[string]any{"s": "own"}, "G"
	task.KeepResult()(&own.CallOptions)
	task.Priority(1)(&s.CallOptions)
	p, ref := started(t, workflow.Origin{}, s)
	one, two := p.Calls[0], p.Calls[1]
	if one.Stamps["s"] != "group" || two.Stamps["s"] != "own" || one.GroupID != ref.ID || two.GroupID != "G" || two.Priority != 1 {
		t.Errorf("stamps %v and %v, groups %s and %s", one.Stamps, two.Stamps, one.GroupID, two.GroupID)
	}
	var given task.CallOptions
	task.KeepResult()(&given)
	if two.Given&given.Given == 0 || one.Given&given.Given != 0 {
		t.Error("what the member asks for is lost")
	}
}

func TestTheRestOfAChainIsNestedInTheReplacementOfAStep(t *testing.T) {
	t.Parallel()
	req := &task.Request{ID: "1", ReplyTo: "caller", ParentID: "P"}
	p := workflow.New(workflow.Origin{})
	if _, err := p.Replace(req, workflow.Followers{Chain: stepsOf(t, "c|d")}, parse(t, "(a|{})")); err != nil {
		t.Fatal(err)
	}
	call := p.Calls[0]
	say := func(s task.Signature) string { return strings.Repeat("+", s.ReplacedNesting) }
	if got := about(append([]task.Signature{call}, call.Chain...), say); got != "a:+ c:+ d:+" {
		t.Errorf("calls %s", got)
	}
	if call.ID != "1" || call.ParentID != "P" || call.RootID != "1" || call.ReplyTo != "caller" {
		t.Errorf("%s has parent %s, root %s, answers to %s", call.ID, call.ParentID, call.RootID, call.ReplyTo)
	}
}

// The call goes where the body goes first.
func TestWhoPollsAChordIsWhereItsBodyIs(t *testing.T) {
	t.Parallel()
	s := parse(t, "[a]>(b|c)")
	s.Body.Tasks[0].Queue = "q"
	p, _ := started(t, workflow.Origin{ParentID: "P"}, s)
	unlock := p.Unlock(p.Chords[0])
	if diff := cmp.Diff([]string{"q", "P"}, []string{unlock.Queue, unlock.ParentID}); diff != "" {
		t.Errorf("queue and parent (-want +got):\n%s", diff)
	}
}
