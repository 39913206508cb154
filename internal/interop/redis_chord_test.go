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
