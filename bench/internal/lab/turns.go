package lab

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// Plan says how much is measured.
type Plan struct {
	Rounds  int           // of which the median is taken
	Seconds float64       // that one measure is to last
	Budget  time.Duration // no other round begins that would not end within it; 0: all rounds
	Most    int           // tasks in one measure; 0: any number
}

// fewest are the tasks of the smallest measure.
const fewest = 100

// Tasks is how many make a measure last as long as planned.
func (p Plan) Tasks(speed float64) int {
	n := max(int(speed*p.Seconds), fewest)
	if p.Most > 0 {
		n = min(n, p.Most)
	}
	return n
}

// InTurn measures all the cases once, then all again, and so on, so that what disturbs the machine for a while disturbs all of them,
// and returns the median of each: by its rate, or by the wait where that is what counts. A case that failed once has failed.
func (l *Lab) InTurn(ctx context.Context, plan Plan, measure Measurement, cases ...Case) []result.Measure {
	t := &turns{lab: l, plan: plan, measure: measure, runs: make([][]result.Measure, len(cases)), failed: make([]string, len(cases))}
	for _, c := range cases {
		_, _ = l.command(ctx, c.Subject) // building is no part of a round; what cannot be built fails in its turn
	}
	begin := time.Now()
	for round := range plan.Rounds {
		spent := time.Since(begin)
		if next := spent + spent/time.Duration(max(round, 1)); round > 0 && plan.Budget > 0 && next > plan.Budget {
			l.Say("there is no time for more than %d of %d rounds", round, plan.Rounds)
			break
		}
		for i, c := range cases {
			t.run(ctx, i, c)
		}
	}
	measures := make([]result.Measure, 0, len(cases))
	for i, c := range cases {
		switch {
		case t.failed[i] != "":
			m := c.measure()
			m.Failed = t.failed[i]
			measures = append(measures, m)
		case len(t.runs[i]) > 0:
			measures = append(measures, Median(t.runs[i]))
		}
	}
	return measures
}

// Measurement measures a case once.
type Measurement = func(context.Context, Case) (result.Measure, error)

// turns are cases that are measured in turn.
type turns struct {
	lab     *Lab
	plan    Plan
	measure Measurement
	runs    [][]result.Measure // by case
	failed  []string           // why a case has failed
}

// run measures a case once more, unless it has failed.
func (t *turns) run(ctx context.Context, i int, c Case) {
	if t.failed[i] != "" || ctx.Err() != nil {
		return
	}
	c = c.sized(t.plan, t.runs[i])
	m, err := t.measure(ctx, c)
	switch {
	case err != nil && ctx.Err() != nil: // it was interrupted
	case err != nil:
		t.failed[i] = err.Error()
		t.lab.Say("%s: FAILED: %v", c, err)
	default:
		t.runs[i] = append(t.runs[i], m)
		t.lab.Say("%s: %s", c, Brief(m))
	}
}

// sized is the case with as many tasks as the rate of the round before, or what is expected, lets be measured in the time.
func (c Case) sized(plan Plan, before []result.Measure) Case {
	if c.Tasks > 0 {
		return c
	}
	speed := cmp.Or(c.Speed, float64(c.Subject.Speed))
	if len(before) > 0 && before[len(before)-1].Rate > 0 {
		speed = min(max(before[len(before)-1].Rate, speed/4), speed*4)
	}
	c.Tasks = plan.Tasks(speed)
	return c
}

// Median returns the measure in the middle, the lower of two.
func Median(runs []result.Measure) result.Measure {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b result.Measure) int { return cmp.Compare(key(a), key(b)) })
	m := sorted[(len(sorted)-1)/2]
	m.Runs = len(runs)
	return m
}

// key is what runs are sorted by.
func key(m result.Measure) float64 {
	switch {
	case m.Waits != nil:
		return float64(m.Waits.P50)
	case m.Rate > 0:
		return m.Rate
	}
	return m.Figure
}
