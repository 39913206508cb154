package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/task"
)

// swap is a task that has others run in its place, the next one each time.
func swap(with ...task.Signature) task.Definition {
	var n atomic.Int32
	return task.New("swap", func(ctx context.Context, _ none) (any, error) {
		i := int(n.Add(1)) - 1
		if got := task.FromContext(ctx).ReplacedNesting; got != i {
			return nil, fmt.Errorf("nesting %d, want %d", got, i)
		}
		return nil, task.Replace(with[i])
	})
}

func echo(args ...any) task.Signature { return task.Signature{Task: "echo", Args: args} }

// What takes the place of a task has its id, its chord and place there, and what follows it.
func TestAReplacedTaskIsWhatReplacesIt(t *testing.T) {
	t.Parallel()
	follows := call("swap", "M")
	follows.Link, follows.LinkError = []task.Signature{call("body", "L")}, []task.Signature{call("errback", "E")}
	for name, test := range map[string]struct {
		call task.Signature
		with []task.Signature
		want map[string]string // results by id
	}{
		"by a task":             {follows, []task.Signature{echo(1)}, map[string]string{"M": "1", "L": "1"}},
		"by a chain":            {follows, []task.Signature{chain(echo(1), call("echo", ""))}, map[string]string{"M": "1", "L": "1"}},
		"by a group":            {follows, []task.Signature{group(echo(1), echo(2))}, map[string]string{"M": "[1,2]", "L": "[1,2]"}},
		"by a chord":            {follows, []task.Signature{chord(call("echo", ""), echo(1), echo(2))}, map[string]string{"M": "[1,2]", "L": "[1,2]"}},
		"by what is replaced":   {follows, []task.Signature{call("swap", ""), call("swap", ""), echo(3)}, map[string]string{"M": "3", "L": "3"}},
		"by what fails":         {follows, []task.Signature{call("fail", "")}, map[string]string{"M": "Exception", "E": `"M"`}},
		"by nothing of sense":   {follows, []task.Signature{chain()}, map[string]string{"M": "Exception", "E": `"M"`}},
		"as a step":             {chain(call("ok", ""), task.Signature{Task: "swap", Immutable: true}, call("echo", "Z")), []task.Signature{echo(5)}, map[string]string{"Z": "5"}},
		"in a chord":            {chord(call("body", "B"), call("swap", "M"), call("ok", "")), []task.Signature{echo(1)}, map[string]string{"M": "1", "B": "[1,7]"}},
		"in a chord by a group": {chord(call("body", "B"), call("ok", ""), call("swap", "M")), []task.Signature{group(echo(1), echo(2))}, map[string]string{"B": "[7,[1,2]]"}},
		"in a chord, by what fails": {
			chord(call("body", "B"), call("ok", ""), call("swap", "M")), []task.Signature{group(call("fail", ""), echo(2))}, map[string]string{"M": "ChordError", "B": "ChordError"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log callLog
				h := start(t, plan{tasks: append(chordTasks(&log), swap(test.with...)), limits: limitmem.New()})
				h.apply(test.call, nil)
				got := map[string]string{}
				for id := range test.want {
					meta := h.outcome(id)
					if got[id] = string(meta.Result); meta.State != task.Success {
						remote, _ := errors.AsType[*task.RemoteError](meta.Err())
						got[id] = remote.Type
					}
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("results (-want +got):\n%s", diff)
				}
				time.Sleep(time.Minute)
				h.wantWaiting(queue, 0)
			})
		})
	}
}

// A call that is added counts once, also when the task that adds it runs again.
func TestATaskAddsToItsChord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log callLog
		var ids []string
		add := task.New("add", func(ctx context.Context, _ none) (int, error) {
			for _, s := range []task.Signature{echo(1), chain(echo(2), call("echo", ""))} {
				id, err := task.AddToChord(ctx, s)
				if err != nil {
					return 0, err
				}
				ids = append(ids, id)
			}
			if len(ids) == 2 {
				return 0, task.RetryAfter(nil, 10*time.Second)
			}
			return 9, nil
		})
		h := start(t, plan{tasks: append(chordTasks(&log), add), limits: limitmem.New()})
		h.apply(chord(call("body", "B"), call("add", "M"), call("ok", "")), nil)
		if got := string(h.outcome("B").Result); got != "[9,7,1,2]" {
			t.Errorf("body got %s", got)
		}
		if len(ids) != 4 || ids[0] != ids[2] || ids[1] != ids[3] || ids[0] == ids[1] {
			t.Errorf("ids = %v; want the same two again", ids)
		}
		if got := family(h.outcome("M").Children); got != "made made" {
			t.Errorf("children = %s", got)
		}
	})
}

// What takes the place of a task has its id, and adds calls of its own nevertheless.
func TestWhatReplacesATaskAddsToTheChordAsWell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log callLog
		add := task.New("add", func(ctx context.Context, _ none) (int, error) {
			nesting := task.FromContext(ctx).ReplacedNesting
			if _, err := task.AddToChord(ctx, echo(nesting)); err != nil {
				return 0, err
			}
			if nesting == 0 {
				return 0, task.Replace(call("add", ""))
			}
			return 9, nil
		})
		h := start(t, plan{tasks: append(chordTasks(&log), add), limits: limitmem.New()})
		h.apply(chord(call("body", "B"), call("add", "M"), call("ok", "")), nil)
		if got := string(h.outcome("B").Result); got != "[9,7,0,1]" {
			t.Errorf("body got %s", got)
		}
	})
}

func TestOnlyATaskOfAChordAddsToIt(t *testing.T) {
	t.Parallel()
	if _, err := task.AddToChord(t.Context(), echo(1)); !errors.Is(err, task.ErrNoTask) {
		t.Errorf("err = %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		var got error
		add := task.New("add", func(ctx context.Context, _ none) (any, error) {
			_, got = task.AddToChord(ctx, echo(1))
			return nil, nil
		})
		h := start(t, plan{tasks: []task.Definition{add}})
		h.outcome(h.send(add.S(none{})))
		if !errors.Is(got, task.ErrNotInChord) {
			t.Errorf("err = %v", got)
		}
	})
}

// A call that was added and cannot be sent leaves nobody waiting.
func TestWhatCannotBeAddedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log callLog
		add := task.New("add", func(ctx context.Context, _ none) (int, error) {
			s := echo(1)
			s.Queue = "nowhere"
			_, err := task.AddToChord(ctx, s)
			if err == nil {
				t.Error("it was added")
			}
			return 9, nil
		})
		h := start(t, plan{tasks: append(chordTasks(&log), add), limits: limitmem.New()})
		h.apply(chord(call("body", "B"), call("add", "M"), call("ok", "")), nil)
		h.wantFailure("B", "ChordError")
	})
}
