package chaos

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// forbidden finds what ran although its transaction was rolled back, or it was revoked.
func (h *history) forbidden(v *Verdict) {
	for _, kind := range []Kind{Undone, Revoked} {
		var ran []string
		for _, id := range slices.Sorted(maps.Keys(h.ran)) {
			if h.is(id, kind) {
				ran = append(ran, id)
			}
		}
		if n := len(ran); n > 0 {
			v.problem("%d %s were run: %s", n, kind, some(ran))
		}
	}
}

func (h *history) is(id string, kind Kind) bool {
	return len(h.sent[id]) > 0 && h.sent[id][0].Kind == kind
}

// early finds what started before its time.
func (h *history) early(v *Verdict, wait time.Duration) {
	var early []string
	for _, id := range slices.Sorted(maps.Keys(h.ran)) {
		if !h.is(id, Later) && !h.is(id, Foreign) {
			continue
		}
		if by := h.sent[id][0].Begin.Add(wait).Sub(h.ran[id][0].At); by > 0 {
			early = append(early, fmt.Sprintf("%s (%s)", id, by))
		}
	}
	if n := len(early); n > 0 {
		v.problem("%d started before their time: %s", n, some(early))
	}
}

// tenure is the time in which a call must have had a place of its key.
type tenure struct {
	id         string
	begin, end time.Time
}

// crowded finds calls that ran while others had all the places of their key. An execution that was cut off keeps its place for its next one.
func (h *history) crowded(v *Verdict) {
	for kind, limit := range map[Kind]int{Single: 1, Only: 1, Placed: places} {
		byKey := map[string][]tenure{}
		for id := range h.ran {
			if h.is(id, kind) {
				byKey[keyOf(id)] = append(byKey[keyOf(id)], tenures(id, h.ran[id])...)
			}
		}
		var over []string
		for _, key := range slices.Sorted(maps.Keys(byKey)) {
			over = append(over, tooMany(byKey[key], limit)...)
		}
		if n := len(over); n > 0 {
			v.problem("%d %s ran while %d others of their key had its places: %s", n, kind, limit, some(over))
		}
	}
}

// tenures are the executions of a call, each that was cut off until the next one begins.
func tenures(id string, ran []Ran) []tenure {
	executions := spans(ran)
	slices.SortFunc(executions, func(a, b span) int { return a.begin.Compare(b.begin) })
	all := make([]tenure, 0, len(executions))
	for i, s := range executions {
		if s.cut && i+1 < len(executions) {
			s.end = executions[i+1].begin
		}
		all = append(all, tenure{id, s.begin, s.end})
	}
	return all
}

// tooMany returns those that began while as many other calls as there are places had not ended.
func tooMany(all []tenure, limit int) (over []string) {
	for _, t := range all {
		others := map[string]bool{}
		for _, o := range all {
			if o.id != t.id && !o.begin.After(t.begin) && o.end.After(t.begin) {
				others[o.id] = true
			}
		}
		if len(others) >= limit {
			over = append(over, t.id)
		}
	}
	return over
}

// hasty finds starts that came faster than the rate allows. Half a second's worth may come at once, as is said of rates, and those that
// had their turn may all have waited for a slot.
func (h *history) hasty(v *Verdict, slots int) {
	var starts []time.Time
	for id, ran := range h.ran {
		for _, r := range ran {
			if r.Event == Started && h.is(id, Rated) {
				starts = append(starts, r.At)
			}
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	for i := range starts {
		for j := i; j < len(starts); j++ {
			n, took := j-i+1, starts[j].Sub(starts[i])
			if allowed := 1 + perSec/2 + slots + int(took.Seconds()*perSec); n > allowed {
				v.problem("%d started within %s, more than the %d that the rate allows", n, took, allowed)
				return
			}
		}
	}
}
