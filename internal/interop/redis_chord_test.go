package interop_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// A chord of three tasks, one of which nobody runs: Go notes its outcome.
const threeOfAChord = `
from market import *
header = [add.s(1, 1), add.s(2, 2), signature("market.elsewhere", queue="nobody")]
r = chord(header)(total.s())
say(body=r.id, group=r.parent.id, parts=[c.id for c in r.parent.results])
`

func TestGoNotesTheLastPartOfAPythonChord(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	s.python.Worker("market", "-P", "solo", "-Q", "python")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	sent := lines(t, s.python.Run(threeOfAChord))[0]
	group, ids := sent["group"].(string), sent["parts"].([]any)
	key := "celery-taskset-meta-" + group
	waitFor(t, "Python's parts are noted", func() bool { return s.do(t, "ZCARD", key+".j") == "2" })
	joined, err := s.store.JoinChord(ctx, result.ChordPart{
		Index: 2, Meta: task.Meta{ID: ids[2].(string), State: task.Success, Result: codec.Raw("6"), GroupID: group},
	})
	if err != nil || joined == nil {
		t.Fatalf("joined = %v, %v", joined, err)
	}
	var numbers []int
	for i, part := range joined.Parts {
		var n int
		if err := part.Value(&n); err != nil || part.ID != ids[i] || part.State != task.Success {
			t.Errorf("part %d = %+v, %v", i, part, err)
		}
		numbers = append(numbers, n)
	}
	if !slices.Equal(numbers, []int{2, 4, 6}) {
		t.Errorf("parts = %v, want 2 4 6", numbers)
	}
	last := strings.Split(s.do(t, "ZRANGE", key+".j", "0", "-1"), "\n")[2]
	if want := `[1, "` + ids[2].(string) + `", "SUCCESS", 6]`; last != want {
		t.Errorf("noted as %s, want %s", last, want)
	}
	if err := s.store.ForgetChord(ctx, group); err != nil || s.do(t, "KEYS", key+"*") != "" {
		t.Errorf("left of the chord: %s, %v", s.do(t, "KEYS", key+"*"), err)
	}
}

func TestPythonFinishesAChordThatGoHasAPartIn(t *testing.T) {
	t.Parallel()
	s := openMarket(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	sent := lines(t, s.python.Run(threeOfAChord))[0]
	group, ids := sent["group"].(string), sent["parts"].([]any)
	joined, err := s.store.JoinChord(ctx, result.ChordPart{
		Index: 2, Meta: task.Meta{ID: ids[2].(string), State: task.Success, Result: codec.Raw("6"), GroupID: group},
	})
	if err != nil || joined != nil {
		t.Fatalf("joined = %v, %v", joined, err)
	}
	s.python.Worker("market", "-P", "solo", "-Q", "python")
	m, err := s.store.Wait(ctx, sent["body"].(string))
	var sum int
	if err = errors.Join(err, m.Value(&sum)); err != nil || sum != 12 {
		t.Errorf("sum of the chord = %d, %v; want 12", sum, err)
	}
}

// The members of a chord that somebody else applies, and a chord whose header has a group, of which Go runs the last task. Celery keeps
// the structure of groups that follow upon something; those that are members themselves it takes apart.
const membersOfAChord = `
from market import *

@app.task(name="market.deep")
def deep(numbers):
    return numbers

def members(group_id, ids):
    body = deep.s().set(task_id=group_id + "-body")
    for i, id in enumerate(ids):
        add.apply_async((i + 1, i + 1), task_id=id, group_id=group_id, group_index=i, chord=body)

def nested():
    header = [add.s(1, 1), add.s(1, 1) | group(add.s(2), signature("market.elsewhere", queue="nobody"))]
    r = chord(header)(deep.s())
    say(group=r.parent.id, parts=[r.parent.results[0].id] + [c.id for c in r.parent.results[1].results])
`

func TestPythonFinishesTheChordThatGoHasOpened(t *testing.T) {
	t.Parallel()
	s := openMarket(t, "chords.py", membersOfAChord)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s.python.Worker("chords", "-P", "solo", "-Q", "python")
	for group, members := range map[string][]task.Ref{
		"flat":   {{ID: "flat1"}, {ID: "flat2"}, {ID: "flat3"}},
		"nested": {{ID: "nested1"}, {ID: "inner", Group: true, Members: []task.Ref{{ID: "nested2"}, {ID: "nested3"}}}},
	} {
		if err := s.store.OpenChord(ctx, task.Ref{ID: group, Group: true, Members: members}); err != nil {
			t.Fatal(err)
		}
		m := task.Meta{ID: group + "3", State: task.Success, Result: codec.Raw("6"), GroupID: group}
		if err := s.store.Store(ctx, m); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if joined, err := s.store.JoinChord(ctx, result.ChordPart{Index: 2, Meta: m}); err != nil || joined != nil {
				t.Fatalf("joined = %v, %v", joined, err)
			}
		}
		s.python.Run("import chords\nchords.members('" + group + "', ['" + group + "1', '" + group + "2'])")
		want := map[string]string{"flat": "[2, 4, 6]", "nested": "[2, [4, 6]]"}[group]
		if m, err := s.store.Wait(ctx, group+"-body"); err != nil || string(m.Result) != want {
			t.Errorf("%s: the body got %s (%s), %v; want %s", group, m.Result, m.State, err, want)
		}
	}
}

func TestGoSeesTheStructureOfAPythonChord(t *testing.T) {
	t.Parallel()
	s := openMarket(t, "chords.py", membersOfAChord)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s.python.Worker("chords", "-P", "solo", "-Q", "python")
	sent := lines(t, s.python.Run("import chords\nchords.nested()"))[0]
	group, ids := sent["group"].(string), sent["parts"].([]any)
	waitFor(t, "Python's parts are noted", func() bool { return s.do(t, "ZCARD", "celery-taskset-meta-"+group+".j") == "2" })
	joined, err := s.store.JoinChord(ctx, result.ChordPart{
		Index: 2, Meta: task.Meta{ID: ids[2].(string), State: task.Success, Result: codec.Raw("6"), GroupID: group},
	})
	if err != nil || joined == nil || joined.Header == nil {
		t.Fatalf("joined = %+v, %v", joined, err)
	}
	tasks := joined.Header.Tasks()
	for i, part := range joined.Parts {
		if part.ID != ids[i] || tasks[i] != ids[i] {
			t.Errorf("part %d is of %s, and %s in the header; want %s", i, part.ID, tasks[i], ids[i])
		}
	}
	if len(joined.Header.Members) != 2 || len(joined.Header.Members[1].Members) != 2 {
		t.Errorf("header = %+v, want a task and a group of two", joined.Header)
	}
}
