package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/task"
)

// membersOf is how many tasks the header of a chord of the load has.
const membersOf = 10

// The names of the tasks of a chord.
const (
	taskMember = "chaos.member"
	taskBody   = "chaos.body"
)

// claimHeader is what taskq's bodies come with: a word for each time that the body was sent (docs/reliability.md).
const claimHeader = "taskq_claim"

// chordOf is a chord whose body has the id. Its other ids follow from that one, so that who sends it again sends the same.
func chordOf(id string, patience time.Duration) task.Signature {
	members := make([]task.Signature, membersOf)
	for i := range members {
		members[i] = task.Signature{Task: taskMember, Args: []any{patience.Milliseconds(), i}, CallOptions: task.CallOptions{ID: memberOf(id, i)}}
	}
	header := canvas.Group(members...)
	header.ID = id + "-header"
	return canvas.Chord([]task.Signature{header}, task.Signature{Task: taskBody, CallOptions: task.CallOptions{ID: id}})
}

func memberOf(id string, i int) string { return id + "-" + strconv.Itoa(i) }

// tasksOf are the tasks that a send means: the task of the id, and the members of its header if it is a chord.
func tasksOf(s Sent) []Sent {
	all := []Sent{s}
	if s.Kind == Chord {
		for i := range membersOf {
			all = append(all, Sent{memberOf(s.ID, i), Member, s.Outcome, s.Begin, s.End})
		}
	}
	return all
}

// chordTasks are those of a chord. The body writes down which message it came by.
func chordTasks(l *Ledger, pid int) []task.Definition {
	return []task.Definition{
		task.New(taskMember, func(ctx context.Context, in struct {
			Milliseconds int `task:"ms"`
			Place        int `task:"place"`
		},
		) (int, error) {
			return in.Place, work{Milliseconds: in.Milliseconds}.do(ctx)
		}),
		task.New(taskBody, func(ctx context.Context, places []int) (int, error) {
			req := task.FromContext(ctx)
			if err := l.Ran(Ran{ID: req.ID, Event: claimed(req.Headers[claimHeader]), PID: pid, At: time.Now()}); err != nil {
				return 0, err
			}
			for i, place := range places {
				if place != i || len(places) != membersOf {
					return 0, fmt.Errorf("chaos: the body was called with %v", places)
				}
			}
			return len(places), nil
		}),
	}
}

// claimed is the event of a body that comes by a message with this claim.
func claimed(claim any) Event { return Event(fmt.Sprintf("%s%v", claims, claim)) }

// claims begin events of bodies.
const claims = "claim:"

// bodies finds the bodies that ran for two messages: a chord may send its body more than once, and runs it for one of them.
func (h *history) bodies(v *Verdict) {
	var twice []string
	for _, id := range slices.Sorted(maps.Keys(h.claims)) {
		if n := len(h.claims[id]); n > 1 {
			twice = append(twice, fmt.Sprintf("%s (%d)", id, n))
		}
	}
	if n := len(twice); n > 0 {
		v.problem("%d bodies of chords ran for more than one message: %s", n, some(twice))
	}
}

func (h *history) claim(r Ran) {
	if h.claims[r.ID] == nil {
		h.claims[r.ID] = map[Event]bool{}
	}
	h.claims[r.ID][r.Event] = true
}
