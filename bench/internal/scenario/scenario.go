// Package scenario is what the harness measures: the subjects, and for each question a table of cases.
package scenario

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/lab"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// Modes of a run.
const (
	Full  = "full"
	Quick = "quick"
	Smoke = "smoke"
)

// Modes returns all of them.
func Modes() []string { return []string{Full, Quick, Smoke} }

// Scenario is one question.
type Scenario struct {
	Name   string
	About  string
	Budget time.Duration // in the mode full; no other round begins that would not end within it
	Quick  bool          // the mode quick has it, too
	run    func(context.Context, *Run) []result.Measure
}

// All are the scenarios in the order in which they are measured.
func All() []Scenario {
	return []Scenario{
		{"drain", "empty a queue, results off", 260 * time.Second, true, drain},
		{"results", "empty a queue, results kept", 150 * time.Second, true, results},
		{"send", "send while nobody consumes", 90 * time.Second, true, send},
		{"latency", "from sending to starting, at 100/s", 120 * time.Second, true, latency},
		{"visits", "store visits in PostgreSQL", 150 * time.Second, true, visits},
		{"half", "from sending to starting, at half load", 60 * time.Second, false, halfLoad},
		{"slots", "empty a queue with 1 to 1000 slots", 45 * time.Second, false, slots},
		{"pools", "empty a queue with each pool", 30 * time.Second, false, pools},
		{"queues", "empty 1 and 10 queues", 30 * time.Second, false, queues},
		{"names", "empty a queue of 1 and 100 kinds of tasks", 25 * time.Second, false, names},
		{"queued", "empty a queue of 1k to 1M tasks", 30 * time.Second, false, queued},
		{"bodies", "empty a queue of large messages", 60 * time.Second, false, bodies},
		{"types", "empty a quorum queue", 25 * time.Second, false, types},
		{"logs", "empty a queue and log each task", 12 * time.Second, false, logs},
		{"delays", "park tasks that are due in an hour", 60 * time.Second, false, delays},
		{"recovery", "kill workers with a task in flight", 45 * time.Second, false, recovery},
		{"embedded", "the embedded store between two processes", 25 * time.Second, false, embedded},
		{"footprint", "start-up, idle worker, program", 30 * time.Second, false, footprint},
		{"knobs", "settings of taskq, one at a time", 100 * time.Second, false, knobs},
	}
}

// Run is one run of the harness.
type Run struct {
	Lab  *lab.Lab
	Mode string
	Say  func(format string, args ...any)

	servers lab.Servers
	budget  time.Duration // of the scenario that is being measured
}

// New returns a run against servers.
func New(l *lab.Lab, servers lab.Servers, mode string) *Run {
	return &Run{Lab: l, Mode: mode, Say: l.Say, servers: servers}
}

// Measure measures the scenarios whose names match. In the mode quick those that are not asked for by name are fewer.
func (r *Run) Measure(ctx context.Context, wanted *regexp.Regexp) (measures []result.Measure) {
	for _, s := range All() {
		if !wanted.MatchString(s.Name) || r.Mode == Quick && !s.Quick && wanted.String() == "" {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		r.Say("== %s: %s", s.Name, s.About)
		r.budget = s.Budget
		measures = append(measures, s.run(ctx, r)...)
	}
	return measures
}

// plan is how much is measured in the mode of the run.
func (r *Run) plan() lab.Plan {
	switch r.Mode {
	case Smoke:
		return lab.Plan{Rounds: 1, Most: 200}
	case Quick:
		return lab.Plan{Rounds: 1, Seconds: 1}
	}
	return lab.Plan{Rounds: 3, Seconds: 2, Budget: r.budget}
}

// has reports whether the servers that the cases need are there.
func (r *Run) has(c lab.Case) bool {
	servers := []lab.Server{c.Subject.Broker}
	switch c.Results {
	case lab.ResultsRedis:
		servers = append(servers, lab.Redis)
	case lab.ResultsPostgres:
		servers = append(servers, lab.Postgres)
	}
	return !slices.ContainsFunc(servers, func(s lab.Server) bool { return !r.servers.Has(s) })
}

// possible are the cases whose servers are there; of the others it is said that they are missing.
func (r *Run) possible(cases []lab.Case) []lab.Case {
	return slices.DeleteFunc(slices.Clone(cases), func(c lab.Case) bool {
		if r.Mode == Smoke && r.spared(c) {
			return true
		}
		missing := !r.has(c)
		if missing {
			r.Say("%s: left out: a server is missing", c)
		}
		return missing
	})
}

// spared reports whether the mode smoke does without the case: Celery starts slowly, and the other peers have run in the drains.
func (r *Run) spared(c lab.Case) bool {
	own := []string{result.Bare, result.Taskq, result.Pgx}
	slow := c.Subject.Name == result.Gocelery && c.Subject.Broker == lab.Redis // to end
	return slow || c.Subject.Python || !slices.Contains(own, c.Subject.Name) && (c.Scenario != result.Drain || c.Variant != result.Headline)
}
