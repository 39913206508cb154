package workflow_test

import (
	"testing"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/task"
)

// Whatever a message has for a workflow, the planner refuses it or makes calls of tasks, the same ones each time.
func FuzzPlan(f *testing.F) {
	for _, text := range []string{"a", "(a|{b (c|{d e})}|[{f} g]>{h}|{i j})", "[[a b]>{c d} {}]>[]>(a|{})", "{{} ({})}"} {
		p := &parser{text}
		raw, err := wire.EncodeSignature(p.signature(), codec.JSON{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": {"task": "a", "options": {"chord": {"task": "b"}}}, "body":
		{"task": "celery.group", "subtask_type": "group", "options": {"group_id": "1", "chord": {"task": "c"}, "chain": [{"task": "d"}]}}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := wire.DecodeSignature(raw, codec.JSON{})
		if err != nil {
			return
		}
		req := &task.Request{ID: "1", Group: "G", ReplyTo: "caller"}
		for _, what := range []func(*workflow.Plan) error{
			func(p *workflow.Plan) error { _, err := p.Start(s, "x"); return err },
			func(p *workflow.Plan) error {
				return p.Succeed(workflow.Followers{Links: []task.Signature{s}, Chain: []task.Signature{s, s}}, codec.Raw("1"))
			},
			func(p *workflow.Plan) error {
				_, err := p.Replace(req, workflow.Followers{Chord: &s, Chain: []task.Signature{s}}, s)
				return err
			},
			func(p *workflow.Plan) error { _, err := p.Extend(req, workflow.Followers{Chord: &s}, s, 1); return err },
		} {
			one, two := workflow.New(workflow.After(req)), workflow.New(workflow.After(req))
			if what(one) != nil || what(two) != nil {
				continue
			}
			for i, c := range one.Calls {
				if c.Type != "" || c.ID == "" || c.ID != two.Calls[i].ID {
					t.Errorf("call %d is %s %s, then %s", i, c.Type, c.ID, two.Calls[i].ID)
				}
			}
			for _, c := range one.Chords {
				if len(c.Header.Tasks()) == 0 || c.Header.ID == "" {
					t.Errorf("a chord waits for nothing: %+v", c.Header)
				}
				one.Unlock(c)
			}
		}
		for _, lost := range workflow.Lost(s) {
			if len(lost.Chain) > 0 {
				t.Errorf("%s is followed by what is in the list, too", lost.Task)
			}
		}
	})
}
