package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// selector picks measures. An empty setting is any; otherwise it is a part of the setting.
type selector struct{ scenario, variant, subject, setting string }

func (s selector) of(run result.Run) []result.Measure {
	var found []result.Measure
	for _, m := range run.Measures {
		if m.Failed == "" && m.Scenario == s.scenario && m.Variant == s.variant && m.Subject == s.subject && strings.Contains(m.Setting, s.setting) {
			found = append(found, m)
		}
	}
	return found
}

// quantity is one figure of a measure.
type quantity int

const (
	tasksPerSecond quantity = iota // or messages, or rows
	cpuOfProgram                   // microseconds per task
	p50                            // seconds
	p99                            // seconds
	figureItself                   // in the unit of the scenario
	residentMemory                 // bytes
)

// of is the quantity of a measure; ok is false when it was not measured.
func (q quantity) of(m result.Measure) (v float64, ok bool) {
	switch {
	case q == tasksPerSecond:
		v = m.Rate
	case q == cpuOfProgram:
		v = m.CPU[result.OfSubject]
	case q == residentMemory:
		v = float64(m.Memory)
	case q == figureItself: // which may be nothing at all
		return m.Figure, m.Unit != ""
	case m.Waits == nil:
	case q == p50:
		v = m.Waits.P50.Seconds()
	case q == p99:
		v = m.Waits.P99.Seconds()
	}
	return v, v > 0
}

// better reports whether a is the better one.
func (q quantity) better(a, b float64) bool {
	if q == tasksPerSecond {
		return a > b
	}
	return a < b
}

// format writes a value with its unit.
func (q quantity) format(v float64, unit string) string {
	switch q {
	case tasksPerSecond:
		return rate(v) + "/s"
	case cpuOfProgram:
		return amount(v) + " µs"
	case residentMemory:
		return size(int64(v))
	case figureItself:
		return figure(v, unit)
	}
	return wait(seconds(v))
}

// target is one row of the table of targets: a figure of ours against a bound, or against somebody's figure times the bound.
type target struct {
	key      string // of the reason, when it is not met
	what     string
	quantity quantity
	ours     selector
	than     string     // whom theirs is, in words; "" makes the bound an absolute one
	theirs   []selector // of these the best counts, or with slowest the worst
	slowest  bool
	limit    selector // the bare client doing the same, of a target against another peer
	atLeast  bool     // the bound is the least; otherwise it is the most
	bound    float64
	unit     string // of a figure that has no unit of its own
	flat     string // with this, the figure is how far variants with this key are from their mean, and the bound is a part of one
}

// verdict is what became of a target.
type verdict struct {
	measured string
	known    bool // there are the figures that it takes
	met      bool
}

// judge holds a target to a run.
func (t target) judge(run result.Run) verdict {
	if t.flat != "" {
		return t.judgeFlat(run)
	}
	ours, ok := t.pick(run, []selector{t.ours}, true)
	if !ok {
		return verdict{}
	}
	value, measured := ours, t.quantity.format(ours, t.unit)
	if t.than != "" {
		theirs, ok := t.pick(run, t.theirs, !t.slowest)
		if !ok {
			return verdict{}
		}
		value = ours / theirs
		measured = fmt.Sprintf("%s (%s against %s)", part(value), measured, t.quantity.format(theirs, t.unit))
	}
	met := value <= t.bound
	if t.atLeast {
		met = value >= t.bound
	}
	return verdict{measured: measured, known: true, met: met}
}

// pick is the best of what a selector finds, since of several settings of one subject the best is meant; of several selectors it is the
// best or the worst of these, and each must find something.
func (t target) pick(run result.Run, from []selector, best bool) (value float64, ok bool) {
	for i, s := range from {
		found, seen := 0.0, false
		for _, m := range s.of(run) {
			if v, ok := t.quantity.of(m); ok && (!seen || t.quantity.better(v, found)) {
				found, seen = v, true
			}
		}
		if !seen {
			return 0, false
		}
		if i == 0 || t.quantity.better(found, value) == best {
			value = found
		}
	}
	return value, len(from) > 0
}

// judgeFlat compares each variant with the mean of all.
func (t target) judgeFlat(run result.Run) verdict {
	var values []float64
	sum := 0.0
	for _, m := range run.Measures {
		v, ok := t.quantity.of(m)
		if ok && m.Failed == "" && m.Scenario == t.ours.scenario && m.Subject == t.ours.subject && key(m.Variant) == t.flat {
			values, sum = append(values, v), sum+v
		}
	}
	if len(values) < 2 {
		return verdict{}
	}
	mean, worst := sum/float64(len(values)), 0.0
	low, high := values[0], values[0]
	for _, v := range values {
		worst = max(worst, math.Abs(v-mean)/mean)
		low, high = min(low, v), max(high, v)
	}
	measured := fmt.Sprintf("± %.0f %% (%s to %s)", worst*100, t.quantity.format(low, t.unit), t.quantity.format(high, t.unit))
	return verdict{measured: measured, known: true, met: worst <= t.bound}
}

// goal is the target in words.
func (t target) goal() string {
	sign := "≤"
	if t.atLeast {
		sign = "≥"
	}
	if t.flat != "" {
		return fmt.Sprintf("± %.0f %% of the mean", t.bound*100)
	}
	bound := t.quantity.format(t.bound, t.unit)
	if t.than != "" {
		bound = part(t.bound) + " × " + t.than
	}
	return sign + " " + strings.NewReplacer(".00 ", " ", ".0k", "k").Replace(bound) // a bound is a round figure
}
