package chaos

import (
	"fmt"
	"slices"
	"time"
)

// duplicates counts completed executions after the first, holds each task to the faults that it was in flight at, and all of them
// to what can have been in flight.
func (h *history) duplicates(v *Verdict, windows []Window) {
	windows = slices.DeleteFunc(slices.Clone(windows), func(w Window) bool { return w.Harmless })
	slices.SortFunc(windows, func(a, b Window) int { return a.Begin.Compare(b.Begin) })
	excused, inFlight := map[string]int{}, make([]int, len(windows))
	for id := range h.ran {
		for i, n := range h.excuses(id, windows) {
			excused[id] += n
			inFlight[i] += n
		}
	}
	for i, w := range windows {
		if w.Limit > 0 {
			inFlight[i] = min(inFlight[i], w.Limit)
		}
		v.Allowed += inFlight[i]
	}
	unexcused, again := h.again(v, excused)
	if n := len(unexcused); n > 0 {
		v.problem("%d done again that no fault met: %s", n, some(unexcused))
	}
	if again > v.Allowed {
		v.problem("%d done again, more than the %d that were in flight", again, v.Allowed)
	}
}

// again finds what was done again without an excuse, and counts what was done again because of faults: a retry that was asked for twice
// is done twice by itself.
func (h *history) again(v *Verdict, excused map[string]int) (unexcused []string, total int) {
	extra := map[string]int{}
	for a, n := range h.times {
		v.Duplicates += n - 1
		if due := max(1, h.times[attempt{a.id, a.retries - 1}]); n > due {
			extra[a.id] += n - due
			total += n - due
		}
	}
	for id, n := range extra {
		if n > excused[id] {
			unexcused = append(unexcused, fmt.Sprintf("%s (%d times more)", id, n))
		}
	}
	slices.Sort(unexcused)
	return unexcused, total
}

// excuses is how often each fault may have had the task done again: once for each publish and each move of the broker that it met, as
// those may have been repeated, and once for each message that was being run; there are as many messages as publishes were repeated before, and one.
func (h *history) excuses(id string, windows []Window) []int {
	counts, messages, executions := make([]int, len(windows)), 1, spans(h.ran[id])
	for i, w := range windows {
		publishes, runs := 0, 0
		for _, s := range h.sent[id] {
			if w.touches(s.Begin, s.End) {
				publishes++
			}
		}
		for _, s := range executions {
			if !w.touches(s.begin, s.end) {
				continue
			}
			runs++
			if s.again {
				publishes++
			}
		}
		for _, s := range waits(h.sent[id], h.ran[id]) {
			if w.Moves && w.touches(s.begin, s.end) {
				publishes++
			}
		}
		messages += publishes
		counts[i] = publishes + min(runs, messages*max(1, w.Repeats))
	}
	return counts
}

// span is one execution. One that was cut off ends where it began.
type span struct {
	begin, end time.Time
	again      bool // it asked to be run again, which is a publish
	cut        bool // it was cut off
}

// spans pairs the starts of a task's executions with their ends.
func spans(ran []Ran) []span {
	type key struct{ pid, retries int }
	open := map[key][]time.Time{}
	var all []span
	for _, r := range ran {
		k := key{r.PID, r.Retries}
		if r.Event == Started {
			open[k] = append(open[k], r.At)
			continue
		}
		if starts := open[k]; len(starts) > 0 {
			all = append(all, span{begin: starts[0], end: r.At, again: r.Event == Retrying})
			open[k] = starts[1:]
		}
	}
	for _, starts := range open {
		for _, begin := range starts {
			all = append(all, span{begin: begin, end: begin, cut: true})
		}
	}
	return all
}

// waits are the times that a task's messages spent in delay queues: from a send with a countdown, or from a retry, to the next start.
func waits(sent []Sent, ran []Ran) []span {
	var all []span
	add := func(begin time.Time, retries int) {
		for _, r := range ran {
			if r.Event == Started && r.Retries == retries && r.At.After(begin) {
				all = append(all, span{begin: begin, end: r.At})
				return
			}
		}
	}
	for _, s := range sent {
		if s.Kind.waits() {
			add(s.Begin, 0)
		}
	}
	for _, r := range ran {
		if r.Event == Retrying {
			add(r.At, r.Retries+1)
		}
	}
	return all
}
