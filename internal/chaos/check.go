package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Window is the time of one fault. What was sent or run then may come twice; nothing else may.
type Window struct {
	Fault string
	Begin time.Time
	End   time.Time // healed
	// Before is how long before the fault an acknowledgement may have been on its way; After how long what the fault left
	// behind may go on.
	Before, After time.Duration
	// Limit is how many messages can have been in flight: what the workers may hold and the sender may wait for. 0: as many as
	// were sent or run then.
	Limit int
	// Repeats is how often the fault may interrupt one message; 0: once.
	Repeats int
	// Moves is set when the broker dies: what it was moving from a delay queue to its task queue it may move again.
	Moves bool
	// Harmless faults interrupt nothing: not one task may be done twice because of them.
	Harmless bool
}

// touches reports whether the window meets the span between two times.
func (w Window) touches(begin, end time.Time) bool {
	return !end.Before(w.Begin.Add(-w.Before)) && !begin.After(w.End.Add(w.After))
}

// Evidence is all that is known after a case.
type Evidence struct {
	Sent    []Sent
	Ran     []Ran
	Windows []Window
	// Left are the ids that the broker still holds, Dead those in dead-letter queues.
	Left, Dead []string
	// Rows are the stored visits by task id.
	Rows map[string]int
	// Removed is how many waiting messages the operator deleted or purged; as many accepted ones may be missing.
	Removed int
	// Wait is how long those waited at least that had to wait for their time; Slots is how many tasks may run at a time.
	Wait  time.Duration
	Slots int
	// Poison are ids that must end in the dead letters and never be done.
	Poison []string
}

// Verdict is what the evidence says.
type Verdict struct {
	Sent       int // tasks, whatever became of them
	Accepted   int // tasks
	Done       int // tasks
	Unknown    int // sends
	Lost       []string
	Removed    int // missing because the operator removed them
	Early      int // acknowledged early, and cut off by a fault
	Phantoms   []string
	Duplicates int // completed executions after the first
	Allowed    int // that many at the most
	Recovery   time.Duration
	Problems   []string // empty: all is well
}

// OK reports whether everything held.
func (v *Verdict) OK() bool { return len(v.Problems) == 0 }

func (v *Verdict) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// Check compares what was sent with what was done.
func Check(e Evidence) *Verdict {
	h := gather(e)
	v := &Verdict{Sent: len(h.sent), Unknown: h.unknown}
	h.lost(v, e)
	h.phantoms(v)
	h.duplicates(v, e.Windows)
	h.rows(v, e.Rows)
	h.poison(v, e)
	h.forbidden(v)
	h.early(v, e.Wait)
	h.crowded(v)
	h.hasty(v, e.Slots)
	h.bodies(v)
	recovery(v, e)
	return v
}

// attempt is one try of one task: a message that must be done once.
type attempt struct {
	id      string
	retries int
}

// history is the evidence by task.
type history struct {
	sent     map[string][]Sent
	accepted map[string]Kind
	unknown  int
	ran      map[string][]Ran // by id, in order of time
	done     map[string]bool
	times    map[attempt]int           // how often it was completed
	claims   map[string]map[Event]bool // of bodies: by which messages they ran
}

func gather(e Evidence) *history {
	h := &history{
		sent: map[string][]Sent{}, accepted: map[string]Kind{}, ran: map[string][]Ran{}, done: map[string]bool{}, times: map[attempt]int{},
		claims: map[string]map[Event]bool{},
	}
	for _, s := range e.Sent {
		h.sent[s.ID] = append(h.sent[s.ID], s)
		switch s.Outcome {
		case Accepted:
			h.accepted[s.ID] = s.Kind
		case Unknown:
			h.unknown++
		case Rejected:
		}
	}
	ran := slices.Clone(e.Ran)
	slices.SortStableFunc(ran, func(a, b Ran) int { return a.At.Compare(b.At) })
	for _, r := range ran {
		if strings.HasPrefix(string(r.Event), claims) {
			h.claim(r)
			continue
		}
		h.ran[r.ID] = append(h.ran[r.ID], r)
		if r.Event == Done || r.Event == Failed && h.accepted[r.ID] == Panic { // which is all that can be done of it
			h.done[r.ID] = true
		}
		if r.Event == Done || r.Event == Retrying {
			h.times[attempt{r.ID, r.Retries}]++
		}
	}
	for _, id := range e.Left { // a message that came late, of a task that is done, would have been run again
		if ran := h.ran[id]; h.done[id] {
			h.times[attempt{id, ran[len(ran)-1].Retries}]++
		}
	}
	return h
}

// lost finds what was accepted and is nowhere.
func (h *history) lost(v *Verdict, e Evidence) {
	v.Accepted, v.Done = len(h.accepted), len(h.done)
	elsewhere := map[string]bool{}
	for _, id := range slices.Concat(e.Left, e.Dead) {
		elsewhere[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(h.accepted)) {
		switch {
		case h.done[id], elsewhere[id]:
		case h.accepted[id] == Revoked: // must not be run
		case h.accepted[id] == Early && h.cutOff(id, e.Windows):
			v.Early++
		default:
			v.Lost = append(v.Lost, id)
		}
	}
	if n := len(v.Lost); n > 0 && n <= e.Removed {
		v.Removed, v.Lost = n, nil
	}
	if n := len(v.Lost); n > 0 {
		v.problem("%d lost (%d were removed by the operator): %s", n, e.Removed, some(v.Lost))
	}
	left := slices.DeleteFunc(slices.Clone(e.Left), func(id string) bool { return h.done[id] })
	if n := len(left); n > 0 {
		v.problem("%d left in the broker: %s", n, some(left))
	}
}

// cutOff reports whether an execution of the task was under way when a fault came, and did not end.
func (h *history) cutOff(id string, windows []Window) bool {
	for _, s := range spans(h.ran[id]) {
		if s.cut && slices.ContainsFunc(windows, func(w Window) bool { return !w.Harmless && !w.End.Before(s.begin) }) {
			return true
		}
	}
	return false
}

func (h *history) phantoms(v *Verdict) {
	for _, id := range slices.Sorted(maps.Keys(h.ran)) {
		if h.sent[id] == nil {
			v.Phantoms = append(v.Phantoms, id)
		}
	}
	if n := len(v.Phantoms); n > 0 {
		v.problem("%d run that nobody sent: %s", n, some(v.Phantoms))
	}
}

// rows holds every visit to one row.
func (h *history) rows(v *Verdict, rows map[string]int) {
	var wrong []string
	for id, kind := range h.accepted {
		if kind == Visit && h.done[id] && rows[id] != 1 {
			wrong = append(wrong, fmt.Sprintf("%s (%d)", id, rows[id]))
		}
	}
	for id, n := range rows {
		if h.sent[id] == nil || n > 1 && h.accepted[id] == "" {
			wrong = append(wrong, fmt.Sprintf("%s (%d)", id, n))
		}
	}
	slices.Sort(wrong)
	if n := len(wrong); n > 0 {
		v.problem("%d visits have another number of rows than one: %s", n, some(wrong))
	}
}

// poison holds what must be parked to the dead letters, and the dead letters to that.
func (h *history) poison(v *Verdict, e Evidence) {
	list := func(what string, ids, unless []string) {
		known := map[string]bool{}
		for _, id := range unless {
			known[id] = true
		}
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return known[id] })
		if n := len(ids); n > 0 {
			v.problem("%d %s: %s", n, what, some(ids))
		}
	}
	list("in the dead letters that did nothing wrong", e.Dead, e.Poison)
	list("not in the dead letters", e.Poison, e.Dead)
	copies := map[string]int{}
	for _, id := range e.Dead {
		copies[id]++
	}
	for _, id := range e.Poison {
		// a copy that was sent twice is a message of its own
		if n := len(h.ran[id]); n > deliveryLimit*max(1, copies[id]) {
			v.problem("%s was run %d times", id, n)
		}
	}
	done := slices.DeleteFunc(slices.Clone(e.Poison), func(id string) bool { return !h.done[id] })
	list("done that should have been parked", done, nil)
}

// recovery finds the longest time that passed after a fault was healed until a task was done and one was accepted. Where the next
// fault came first, that one's end counts.
func recovery(v *Verdict, e Evidence) {
	for _, w := range e.Windows {
		var done, accepted, next time.Time
		for _, r := range e.Ran {
			if r.Event == Done {
				done = earliest(done, r.At, w.End)
			}
		}
		for _, s := range e.Sent {
			if s.Outcome == Accepted {
				accepted = earliest(accepted, s.End, w.End)
			}
		}
		for _, other := range e.Windows {
			next = earliest(next, other.Begin, w.End)
		}
		switch {
		case done.IsZero():
			v.problem("no task was done after: %s", w.Fault)
		case accepted.IsZero():
			v.problem("no task was accepted after: %s", w.Fault)
		case next.IsZero() || next.After(done) && next.After(accepted):
			v.Recovery = max(v.Recovery, done.Sub(w.End), accepted.Sub(w.End))
		}
	}
}

// earliest is the earlier of two times that is after another; first is zero as long as there is none.
func earliest(first, at, after time.Time) time.Time {
	if at.After(after) && (first.IsZero() || at.Before(first)) {
		return at
	}
	return first
}

// some shows the first of many ids.
func some(ids []string) string {
	const shown = 5
	if len(ids) > shown {
		return strings.Join(ids[:shown], ", ") + ", …"
	}
	return strings.Join(ids, ", ")
}
