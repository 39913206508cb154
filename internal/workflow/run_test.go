package workflow_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/task"
)

// machine carries out plans as workers would, with every signature that goes along in a message written and read again.
type machine struct {
	*rand.Rand
	t *testing.T
	evaluator
	again   bool // some messages come twice
	queue   []task.Signature
	results map[string]any // by id: what came of the task
	chords  map[string]workflow.Chord
	runs    map[string]int // of the same id
	named   map[string]string
}

func newMachine(t *testing.T, r *rand.Rand) *machine {
	t.Helper()
	return &machine{
		Rand: r, t: t, evaluator: evaluator{map[string]bool{}, map[string]task.Signature{}}, results: map[string]any{}, chords: map[string]workflow.Chord{},
		runs: map[string]int{}, named: map[string]string{},
	}
}

// carryOut notes the chords and sends the calls.
func (m *machine) carryOut(p *workflow.Plan) {
	for _, c := range p.Chords {
		if old, noted := m.chords[c.Header.ID]; noted && !cmp.Equal(old.Header.Tasks(), c.Header.Tasks()) {
			m.t.Errorf("chord %s is noted again with other tasks", c.Header.ID)
		}
		m.chords[c.Header.ID] = c
	}
	for _, s := range p.Calls {
		if name, known := m.named[s.ID]; known && name != s.Task && s.ReplacedNesting == 0 {
			m.t.Errorf("%s and %s have the same id", name, s.Task)
		}
		m.named[s.ID] = s.Task
		m.queue = append(m.queue, s)
		if m.again && m.IntN(4) == 0 && m.runs[s.ID] < 3 {
			m.queue = append(m.queue, s)
		}
	}
}

// run runs all that is queued, in any order.
func (m *machine) run() {
	for len(m.queue) > 0 {
		i := m.IntN(len(m.queue))
		s := m.queue[i]
		m.queue = slices.Delete(m.queue, i, i+1)
		m.runs[s.ID]++
		m.call(s)
	}
}

func (m *machine) call(s task.Signature) {
	args := make([]any, len(s.Args))
	for i, v := range s.Args {
		args[i] = value(v)
	}
	req := &task.Request{ID: s.ID, Group: s.GroupID, GroupIndex: s.GroupIndex, RootID: s.RootID, ReplyTo: s.ReplyTo, ReplacedNesting: s.ReplacedNesting}
	f := workflow.Followers{Links: m.sent(s.Link), Errbacks: m.sent(s.LinkError), Chain: m.sent(s.Chain)}
	if s.Chord != nil {
		f.Chord = &m.sent([]task.Signature{*s.Chord})[0]
	}
	if m.fails[s.Task] {
		m.end(s, f.Chord, failed{}, req)
		for _, step := range f.Chain {
			for _, lost := range workflow.Lost(step) {
				m.end(lost, lost.Chord, failed{}, req)
			}
		}
		return
	}
	if other, replaced := m.replaces[s.Task]; replaced {
		m.follow(workflow.After(req), func(p *workflow.Plan) error {
			_, err := p.Replace(req, f, other)
			if !slices.Contains(idsOf(p), s.ID) {
				m.t.Errorf("nothing of %s has the id of %s", notation(other), s.Task)
			}
			return err
		})
		return
	}
	var result any = outcome(s.Task, args)
	if s.Task == "celery.accumulate" {
		result = args[0]
	}
	raw, err := (codec.JSON{}).Marshal(result)
	if err != nil {
		m.t.Fatal(err)
	}
	m.follow(workflow.After(req), func(p *workflow.Plan) error { return p.Succeed(f, raw) })
	m.end(s, f.Chord, result, req)
}

// follow carries out a plan, which is the same each time.
func (m *machine) follow(o workflow.Origin, fill func(*workflow.Plan) error) {
	plans := []*workflow.Plan{workflow.New(o), workflow.New(o)}
	for _, p := range plans {
		if err := fill(p); err != nil {
			m.t.Fatalf("plan: %v", err)
		}
	}
	if !reflect.DeepEqual(plans[0].Calls, plans[1].Calls) {
		m.t.Errorf("the plan differs the second time")
	}
	m.carryOut(plans[0])
}

// end notes what came of a task, and calls the body of the chord when it was the last one.
func (m *machine) end(s task.Signature, body *task.Signature, result any, req *task.Request) {
	if s.ID == "" {
		m.t.Errorf("%s has no id", s.Task)
	}
	if old, ended := m.results[s.ID]; ended && text(old) != text(result) {
		m.t.Errorf("%s ended with %v, then %v", s.ID, old, result)
	}
	m.results[s.ID] = result
	if body == nil {
		return
	}
	chord, noted := m.chords[s.GroupID]
	switch {
	case !noted:
		m.t.Errorf("the chord of %s is not noted", s.Task)
	case !slices.Contains(chord.Header.Tasks(), s.ID):
		m.t.Errorf("%s is not in the header of its chord", s.Task)
	case slices.ContainsFunc(chord.Header.Tasks(), func(id string) bool { return m.results[id] == nil }): // not yet
	case hasFailed(m.value(chord.Header)):
		for _, lost := range workflow.Lost(*body) {
			m.end(lost, lost.Chord, failed{}, req)
		}
	case m.runs[chord.Header.ID] < 2:
		m.runs[chord.Header.ID]++
		req := &task.Request{ID: s.ID, Group: s.GroupID, RootID: "root"}
		results := m.value(chord.Header)
		m.follow(joined(req), func(p *workflow.Plan) error {
			_, err := p.Start(*body, results)
			return err
		})
	}
}

// sent writes calls and reads them again.
func (m *machine) sent(list []task.Signature) []task.Signature {
	raw, err := wire.EncodeSignatures(list, codec.JSON{})
	if err == nil {
		list, err = wire.DecodeSignatures(raw, codec.JSON{})
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

// value is what came of a task or group, nil when nothing has yet.
func (m *machine) value(ref task.Ref) any {
	if !ref.Group {
		return m.results[ref.ID]
	}
	list := []any{}
	for _, member := range ref.Members {
		list = append(list, m.value(member))
	}
	return list
}

// value is an argument, decoded.
func value(v any) any {
	if raw, encoded := v.(codec.Raw); encoded {
		var plain any
		if err := (codec.JSON{}).Unmarshal(raw, &plain); err != nil {
			panic(err)
		}
		return plain
	}
	return v
}

// same compares what came of a workflow to what should have.
func (m *machine) same(ref task.Ref, want any) bool {
	if _, nothing := want.(failed); nothing {
		return !slices.ContainsFunc(ref.Tasks(), func(id string) bool { return m.results[id] != failed{} })
	}
	if !ref.Group {
		return text(m.results[ref.ID]) == text(want)
	}
	list, isList := want.([]any)
	if !isList || len(list) != len(ref.Members) {
		return false
	}
	for i, member := range ref.Members {
		if !m.same(member, list[i]) {
			return false
		}
	}
	return true
}

func TestRandomWorkflowsComeToWhatTheySay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 6)) //nolint:gosec // reproducible
		shape := &shape{Rand: r, left: 14}
		s := shape.workflow(4)
		m := newMachine(t, r)
		name := fmt.Sprintf("t%d", 1+r.IntN(shape.n+1))
		if seed%4 == 3 {
			shape.left = 5
			m.replaces[name] = shape.workflow(2)
		}
		m.again = seed%4 == 1
		if seed%4 == 2 || seed%8 == 7 {
			m.fails[fmt.Sprintf("t%d", 1+r.IntN(shape.n+1))] = true
		}
		what := fmt.Sprintf("seed %d: %s, %s replaced by %s, failing %v", seed, notation(s), name, notation(m.replaces[name]), m.fails)
		plan := workflow.New(workflow.Origin{ReplyTo: "client"})
		ref, err := plan.Start(s, "x")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		m.carryOut(plan)
		m.run()
		if want := m.evaluator.value(s, "x"); !m.same(ref, want) {
			t.Errorf("%s = %s, want %s", what, text(m.value(ref)), text(want))
		}
		for _, id := range append(idsOf(plan), ref.AllTasks()...) {
			if m.results[id] == nil {
				t.Errorf("%s: nothing comes of %s", what, m.named[id])
			}
		}
		if t.Failed() {
			return
		}
	}
}
