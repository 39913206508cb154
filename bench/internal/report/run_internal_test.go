package report

import (
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// exampleRun is a run of round figures, some of them from text that means something to Markdown and XML.
func exampleRun() result.Run {
	return result.Run{
		Began: time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC), Took: 28 * time.Minute, Mode: full,
		Machine:  result.Machine{CPU: "A & B <Core> i9", Cores: 2, Memory: 24 << 30, System: "Linux 6.1, Debian 12"},
		Versions: map[string]string{"RabbitMQ": "3.10.8", "Celery": "5.2.6", "Go": "1.26.8"},
		Measures: append(exampleDrains(), exampleOthers()...),
	}
}

func drained(variant, subject, setting string, perSecond, program, broker float64) result.Measure {
	return result.Measure{
		Scenario: result.Drain, Variant: variant, Subject: subject, Setting: setting, Tasks: 50_000, Runs: 3, Rate: perSecond,
		CPU: map[string]float64{result.OfSubject: program, result.OfRabbitMQ: broker}, Allocs: 165, Memory: 22_400_000,
	}
}

func exampleDrains() []result.Measure {
	slow := drained("", result.Gocelery, "100 workers", 30, 389, 0)
	slow.Allocs, slow.Memory, slow.CPU[result.OfRabbitMQ] = 0, 0, 0
	celery := drained("", result.Celery, "prefork 2", 2_700, 452, 60)
	celery.Twice = 3
	return []result.Measure{
		drained("", result.Celery, "solo, tuned", 3_900, 234, 55), drained("", result.Taskq, "goroutines -c 10, prefetch 64", 25_000, 36.4, 30),
		drained("", result.Bare, "prefetch 64", 25_700, 31, 29), drained("", result.Machinery, "prefetch 64", 19_700, 44, 40), celery, slow,
		{Scenario: result.Drain, Subject: result.River, Setting: "c=2000", Rate: 17, Failed: "no database | <pgx>\nat all"},
		drained("results=rpc", result.Taskq, "goroutines -c 10", 12_400, 60, 61), drained("results=rpc", result.Celery, "solo", 2_600, 363, 80),
		drained("queued=1k", result.Taskq, "", 24_000, 40, 30), drained("queued=1M", result.Taskq, "", 1_240_000, 50, 30),
		drained("queues=10", result.Bare, "", 30_000, 30, 30), drained("queues=10", result.Taskq, "", 26_000, 40, 30),
		drained("colour=red", result.Taskq, "", 24_000, 4.56, 30),
	}
}

func exampleOthers() []result.Measure {
	waits := func(p50 time.Duration) *result.Waits {
		return &result.Waits{P50: p50, P99: 10 * p50, P999: 2 * time.Second}
	}
	return []result.Measure{
		{Scenario: result.Latency, Variant: "100/s", Subject: result.Bare, Tasks: 900, Runs: 1, Rate: 100, Waits: waits(540 * time.Microsecond)},
		{Scenario: result.Latency, Variant: "100/s", Subject: result.Taskq, Tasks: 900, Runs: 1, Rate: 100, Waits: waits(1080 * time.Microsecond)},
		{Scenario: result.Recovery, Subject: result.Taskq, Waits: waits(5 * time.Millisecond)},
		{Scenario: result.Binary, Subject: result.Taskq, Figure: 31.4, Unit: "MB", Note: "stripped, *all* of `it`"},
		{Scenario: "new", Variant: "a|b", Subject: "kafka_x", Rate: 9.87},
		{Scenario: result.Knobs, Variant: "prefetch=1", Subject: result.Taskq, Tasks: 20_000, Runs: 1, Rate: 5_400},
		{Scenario: result.Knobs, Variant: "prefetch=64", Subject: result.Taskq, Tasks: 20_000, Runs: 1, Rate: 25_400},
		{Scenario: result.Knobs, Variant: "sails=2", Subject: result.Taskq, Tasks: 20_000, Runs: 1, Rate: 999.6},
	}
}
