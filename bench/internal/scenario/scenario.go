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
	Budget time.Duration // in the mode full; after it no other round begins
	Quick  bool          // the mode quick has it, too
	run    func(context.Context, *Run) []result.Measure
}

// All are the scenarios in the order in which they are measured.
func All() []Scenario {
	return []Scenario{
		{Name: "drain", About: "empty a queue, results off", Budget: 5 * time.Minute, Quick: true, run: drain},
	}
}

// Run is one run of the harness.
type Run struct {
	Lab  *lab.Lab
	Mode string
	Say  func(format string, args ...any)

	servers  lab.Servers
	measures []result.Measure
}

// New returns a run against servers.
func New(l *lab.Lab, servers lab.Servers, mode string) *Run {
	return &Run{Lab: l, Mode: mode, Say: l.Say, servers: servers}
}

// Measure measures the scenarios whose names match.
func (r *Run) Measure(ctx context.Context, wanted *regexp.Regexp) []result.Measure {
	for _, s := range All() {
		if !wanted.MatchString(s.Name) || r.Mode == Quick && !s.Quick {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		r.Say("== %s: %s", s.Name, s.About)
		r.measures = append(r.measures, s.run(ctx, r)...)
	}
	return r.measures
}

// plan is how much is measured in the mode of the run.
func (r *Run) plan(budget time.Duration) lab.Plan {
	switch r.Mode {
	case Smoke:
		return lab.Plan{Rounds: 1, Most: 200}
	case Quick:
		return lab.Plan{Rounds: 1, Seconds: 1}
	}
	return lab.Plan{Rounds: 3, Seconds: 2, Budget: budget}
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
	return slices.DeleteFunc(cases, func(c lab.Case) bool {
		missing := !r.has(c)
		if missing {
			r.Say("%s: left out: a server is missing", c)
		}
		return missing
	})
}
