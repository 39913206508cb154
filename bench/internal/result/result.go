// Package result is what a run of the harness measured, as it is kept in JSON between measuring and showing.
package result

import (
	"slices"
	"time"
)

// Run is one run of the harness: everything in it was measured on one machine, one after the other, the subjects of a scenario in turn.
type Run struct {
	Began    time.Time         `json:"began"`
	Took     time.Duration     `json:"took"`
	Mode     string            `json:"mode"`     // full, quick or smoke
	Machine  Machine           `json:"machine"`  // that it ran on
	Versions map[string]string `json:"versions"` // of servers, languages and subjects: "RabbitMQ": "3.10.8"
	Measures []Measure         `json:"measures"`
	Again    []Again           `json:"again,omitempty"` // what was measured once more, after the rest
}

// Again is a part of a run that was measured once more.
type Again struct {
	Began     time.Time `json:"began"`
	Scenarios []string  `json:"scenarios"` // as -list names them
}

// With returns the run with the measures of a later one in the place of its own. Those that it does not have come behind the rest.
func (r Run) With(later Run, scenarios []string) Run {
	same := func(a Measure) func(Measure) bool {
		return func(b Measure) bool {
			return a.Scenario == b.Scenario && a.Variant == b.Variant && a.Subject == b.Subject && a.Setting == b.Setting
		}
	}
	r.Measures = slices.Clone(r.Measures)
	for _, m := range later.Measures {
		if i := slices.IndexFunc(r.Measures, same(m)); i >= 0 {
			r.Measures[i] = m
		} else {
			r.Measures = append(r.Measures, m)
		}
	}
	r.Again = append(slices.Clone(r.Again), Again{later.Began, scenarios})
	return r
}

// Machine is where it ran.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory"` // bytes
	System string `json:"system"` // kernel and distribution
}

// Measure is one subject in one variant of one scenario. Where a scenario is run several times it is the median. What was not measured
// is zero.
type Measure struct {
	Scenario string `json:"scenario"` // drain, send, latency, …
	Variant  string `json:"variant"`  // what is varied: "results=redis", "slots=100", "body=1 MB"; "" when nothing is
	Subject  string `json:"subject"`  // bare, taskq, celery, machinery, …
	Setting  string `json:"setting"`  // the subject's own: "goroutines -c 10, prefetch 64", "solo, tuned"

	Tasks int `json:"tasks"` // that were sent, or run, each of them proved by the ledger
	Twice int `json:"twice"` // of these, how many ran more than once
	Runs  int `json:"runs"`  // that the median is of

	Rate   float64            `json:"rate"`             // tasks, messages or rows per second
	CPU    map[string]float64 `json:"cpu,omitempty"`    // microseconds per task, by process: subject, rabbitmq, postgres, redis
	Allocs float64            `json:"allocs,omitempty"` // per task, in the subject
	Memory int64              `json:"memory,omitempty"` // peak resident bytes of the subject with its children
	Waits  *Waits             `json:"waits,omitempty"`  // from sending to starting
	Figure float64            `json:"figure,omitempty"` // of a scenario that measures something else, in Unit
	Unit   string             `json:"unit,omitempty"`   // s, %, MB, …
	Note   string             `json:"note,omitempty"`   // what the reader must know
	Failed string             `json:"failed,omitempty"` // why there is no figure
}

// Waits are quantiles.
type Waits struct {
	P50  time.Duration `json:"p50"`
	P99  time.Duration `json:"p99"`
	P999 time.Duration `json:"p999"`
}
