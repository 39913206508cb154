package report

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

func TestATargetIsHeldToARun(t *testing.T) {
	t.Parallel()
	drains := func(measures ...result.Measure) result.Run { return result.Run{Measures: measures} }
	of := func(subject, setting string, perSecond, program float64) result.Measure {
		return drained("", subject, setting, perSecond, program, 0)
	}
	failed := of(result.Taskq, "", 999, 1)
	failed.Failed = "it broke"
	flat := func(variant string, program float64) result.Measure {
		return drained(variant, result.Taskq, "", 1, program, 0)
	}
	broken := flat("queued=10k", 4000)
	broken.Failed = "it broke"
	visit := func(subject string, perSecond float64) result.Measure {
		return result.Measure{Scenario: result.Visit, Variant: result.VisitSingle, Subject: subject, Rate: perSecond}
	}
	idle := result.Measure{Scenario: result.Idle, Subject: result.Taskq, Memory: 20_000_000, Figure: 0.6, Unit: "%"}
	for _, c := range []struct {
		name, key string
		run       result.Run
		want      verdict
	}{
		{"the bound itself is enough", "drain", drains(of(result.Taskq, "", 900, 1), of(result.Bare, "", 1000, 1)), verdict{"0.90 (900/s against 1.0k/s)", true, true}},
		{"too little", "drain", drains(of(result.Taskq, "", 890, 1), of(result.Bare, "", 1000, 1)), verdict{"0.89 (890/s against 1.0k/s)", true, false}},
		{"the best of several", "drain-celery", drains(of(result.Taskq, "", 4900, 1), of(result.Celery, "solo", 500, 1), of(result.Celery, "threads", 1000, 1)), verdict{"4.90 (4.9k/s against 1.0k/s)", true, false}},
		{"the setting that is meant", "cpu-solo", drains(of(result.Taskq, "", 1, 30), of(result.Celery, "prefork 2", 1, 100), of(result.Celery, "solo, tuned", 1, 300)), verdict{"1/10 (30 µs against 300 µs)", true, true}},
		{"less is better", "cpu", drains(of(result.Taskq, "", 1, 40), of(result.Bare, "", 1, 31)), verdict{"1.29 (40 µs against 31 µs)", true, false}},
		{"the cheapest of ours", "cpu", drains(of(result.Taskq, "", 1, 40), of(result.Taskq, "other", 1, 31), of(result.Bare, "", 1, 31)), verdict{"1.00 (31 µs against 31 µs)", true, true}},
		{"theirs is missing", "drain", drains(of(result.Taskq, "", 900, 1)), verdict{}},
		{"ours is missing", "drain", drains(of(result.Bare, "", 900, 1)), verdict{}},
		{"ours failed", "drain", drains(failed, of(result.Bare, "", 1, 1)), verdict{}},
		{"the figure is missing", "latency-p50", drains(of(result.Taskq, "", 1, 1)), verdict{}},
		{"the slower of two", "visit", drains(visit(result.Taskq, 800), visit(result.Bare, 9000), visit(result.Pgx, 1000)), verdict{"0.80 (800/s against 1.0k/s)", true, true}},
		{"one of the two is missing", "visit", drains(visit(result.Taskq, 800), visit(result.Pgx, 1000)), verdict{}},
		{"absolute, met", "idle-memory", drains(idle), verdict{"20 MB", true, true}},
		{"absolute, not met", "idle", drains(idle), verdict{"0.60 %", true, false}},
		{"nothing at all is a figure", "idle", drains(result.Measure{Scenario: result.Idle, Subject: result.Taskq, Unit: "%"}), verdict{"0.00 %", true, true}},
		{"a wait", "recovery", drains(result.Measure{Scenario: result.Recovery, Subject: result.Taskq, Waits: &result.Waits{P50: 1, P99: 22 * time.Millisecond}}), verdict{"22 ms", true, true}},
		{"flat", "flat-queued", drains(flat("queued=1k", 31), flat("queued=1M", 40), broken, flat("slots=1", 400)), verdict{"± 13 % (31 µs to 40 µs)", true, true}},
		{"not flat", "flat-slots", drains(flat("slots=1", 30), flat("slots=10", 50)), verdict{"± 25 % (30 µs to 50 µs)", true, false}},
		{"one variant is no line", "flat-names", drains(flat("names=1", 30)), verdict{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := find(t, c.key).judge(c.run); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func find(t *testing.T, key string) target {
	t.Helper()
	for _, g := range targets() {
		if g.key == key {
			return g
		}
	}
	t.Fatalf("no target has the key %s", key)
	return target{}
}

func TestTargetsSayWhatTheyWant(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"drain": "≥ 0.90 × the bare client", "cpu-prefork": "≤ 1/12 × Celery, prefork", "parking": "≥ 4k/s", "recovery": "≤ 100 ms",
		"idle-memory": "≤ 20 MB", "binary": "≤ 25 MB", "flat-slots": "± 15 % of the mean", "drain-celery": "≥ 5 × Celery's best pool", "embedded-wait": "≤ 6 ms", "idle": "≤ 0.50 %",
	} {
		if got := find(t, key).goal(); got != want {
			t.Errorf("the target %s is %q, want %q", key, got, want)
		}
	}
}

func TestEachReasonIsOfATarget(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, g := range targets() {
		if seen[g.key] {
			t.Errorf("two targets have the key %s", g.key)
		}
		seen[g.key] = true
	}
	for _, known := range []map[string]string{reasons(), missing()} {
		for key := range known {
			if !seen[key] {
				t.Errorf("there is a reason for %s, which is no target", key)
			}
		}
	}
}

func TestReasonsAreShownOnlyWhereTheyAreNeeded(t *testing.T) {
	t.Parallel()
	run := exampleRun()
	if text := goals(run).text(); !strings.Contains(text, "not measured: there are no events yet") || strings.Contains(text, "not measured: taskq notes") {
		t.Errorf("the reason is missing, or is given for what was not measured:\n%s", text)
	}
	run.Measures = append(run.Measures, drained("events=on", result.Taskq, "", 10_000, 50, 60))
	if text := goals(run).text(); !strings.Contains(text, "not met: CPU per task, of program + servers, is 50 + 60 µs against 36 + 30 µs") || strings.Contains(text, "events yet") {
		t.Errorf("the reason is missing where the target is not met:\n%s", text)
	}
	run.Measures[len(run.Measures)-1].Rate = 24_000
	if text := goals(run).text(); strings.Contains(text, "50 + 60 µs") {
		t.Errorf("a reason is given for a target that is met:\n%s", text)
	}
}

func TestAReasonIsAFactOfTheRun(t *testing.T) {
	t.Parallel()
	of := func(subject, setting string, perSecond, program float64) result.Measure {
		return drained("", subject, setting, perSecond, program, 10)
	}
	celery := of(result.Celery, "solo", 900, 107)
	for _, c := range []struct {
		name, key string
		measures  []result.Measure
		want      string
	}{
		{
			"the bare client does not reach it either", "drain-celery",
			[]result.Measure{of(result.Taskq, "", 2100, 16), of(result.Bare, "", 2200, 20), celery},
			"nor does the bare client reach it: 2.44 (2.2k/s against 900/s), with the servers on the same cores; by the CPU of the programs taskq is at 1/6.7 (16 µs against 107 µs)",
		},
		{
			"the bare client reaches it", "drain-celery",
			[]result.Measure{of(result.Taskq, "", 2100, 16), of(result.Bare, "", 9000, 20), celery},
			"CPU per task, of program + servers, is 16 + 10 µs against 107 + 10 µs",
		},
		{
			"CPU, and not of the bare client either", "cpu-solo",
			[]result.Measure{of(result.Taskq, "", 1, 16), of(result.Bare, "", 1, 20), celery},
			"nor does the bare client reach it: 1/5.4 (20 µs against 107 µs)",
		},
		{"CPU, and the bare client reaches it", "cpu-solo", []result.Measure{of(result.Taskq, "", 1, 16), of(result.Bare, "", 1, 10), celery}, ""},
		{
			"only the utmost is out of line", "flat-queued",
			[]result.Measure{
				drained("queued=1k", result.Taskq, "", 1, 60, 1), drained("queued=10k", result.Taskq, "", 1, 20, 1), drained("queued=1M", result.Taskq, "", 1, 20, 1),
			},
			"without the first thousand tasks, while the program warms up, it is ± 0 % (20 µs to 20 µs)",
		},
		{"others are, too", "flat-queued", []result.Measure{
			drained("queued=1k", result.Taskq, "", 1, 60, 1), drained("queued=10k", result.Taskq, "", 1, 20, 1), drained("queued=1M", result.Taskq, "", 1, 40, 1),
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := find(t, c.key).why(result.Run{Measures: c.measures}); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
