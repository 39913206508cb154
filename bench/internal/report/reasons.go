package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// why says what a run shows about a target that is not met; "" when it shows nothing. The figures are of the run itself, so that no
// reason outlives what it was found in.
func (t target) why(run result.Run) string {
	figures := cmp.Or(t.limited(run), t.compared(run), t.without(run))
	return strings.Join(slices.DeleteFunc([]string{reasons()[t.key], figures}, func(s string) bool { return s == "" }), "; ")
}

// limited says that the bare client does not reach the target either, if that is so, and how the programs compare then.
func (t target) limited(run result.Run) string {
	if t.limit == (selector{}) {
		return ""
	}
	bare := t
	bare.ours = t.limit
	limit := bare.judge(run)
	if !limit.known || limit.met {
		return ""
	}
	text := "nor does the bare client reach it: " + limit.measured
	if t.quantity != tasksPerSecond {
		return text
	}
	text += ", with the servers on the same cores"
	program := t
	program.quantity = cpuOfProgram
	if cpu := program.judge(run); cpu.known {
		text += "; by the CPU of the programs taskq is at " + cpu.measured
	}
	return text
}

// compared are the costs of ours and theirs, of a rate.
func (t target) compared(run result.Run) string {
	if t.quantity != tasksPerSecond || t.than == "" {
		return ""
	}
	ours, ok := quickest(t.ours.of(run))
	var all []result.Measure
	for _, s := range t.theirs {
		all = append(all, s.of(run)...)
	}
	theirs, known := quickest(all)
	if !ok || !known || len(t.theirs) > 1 {
		return ""
	}
	return fmt.Sprintf("CPU per task, of program + servers, is %s µs against %s µs", costs(ours), costs(theirs))
}

// quickest is the measure with the highest rate.
func quickest(measures []result.Measure) (best result.Measure, ok bool) {
	for _, m := range measures {
		if m.Rate > best.Rate {
			best, ok = m, true
		}
	}
	return best, ok
}

// without says that only the utmost variant is out of line, if that is so.
func (t target) without(run result.Run) string {
	utmost := map[string]struct{ variant, text string }{
		"queued": {"queued=1k", "the first thousand tasks, while the program warms up"},
		"slots":  {"slots=1000", "1000 slots, which take turns on the cores"},
	}[t.flat]
	if utmost.variant == "" {
		return ""
	}
	run.Measures = slices.DeleteFunc(slices.Clone(run.Measures), func(m result.Measure) bool { return m.Variant == utmost.variant })
	if rest := t.judge(run); rest.met {
		return fmt.Sprintf("without %s, it is %s", utmost.text, rest.measured)
	}
	return ""
}

// missing are why targets are not measured, by the target's key.
func missing() map[string]string {
	return map[string]string{"events": "there are no events yet"}
}

// reasons are what no figure of a run says about targets that are not met, by the target's key. They are true of any run.
func reasons() map[string]string {
	return map[string]string{
		"drain-machinery": "its messages have no headers, which is less to do for it and for RabbitMQ; taskq's are Celery's, with 16",
		"visit-celery":    "taskq notes the task's id with each visit, so that one that is delivered twice is stored once; Celery inserts the row alone",
		"latency-p50":     "the worker wakes a slot for each task, where the bare client calls it in its loop",
		"latency-p99":     "the slowest hundredth is a few tasks; what else ran on the cores meanwhile decides about them",
	}
}
