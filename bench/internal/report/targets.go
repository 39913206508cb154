package report

import (
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// The parts of selectors that come up often.
func drain(variant, subject, setting string) selector {
	return selector{result.Drain, variant, subject, setting}
}

func one(s selector) []selector { return []selector{s} }

func seconds(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

// targets are what the project wants to reach, each in one run.
func targets() []target {
	list := drainTargets()
	for _, more := range [][]target{resultTargets(), sendTargets(), latencyTargets(), visitTargets(), growthTargets(), otherTargets()} {
		list = append(list, more...)
	}
	return list
}

func drainTargets() []target {
	ours := drain(result.Headline, result.Taskq, "")
	bare := drain(result.Headline, result.Bare, "")
	return []target{
		{
			key: "drain", what: "drain, results off", ours: ours,
			than: "the bare client", theirs: one(bare), atLeast: true, bound: 0.9,
		},
		{
			key: "drain-celery", what: "drain, results off", ours: ours,
			than: "Celery's best pool", theirs: one(drain(result.Headline, result.Celery, "")), limit: bare, atLeast: true, bound: 5,
		},
		{
			key: "drain-machinery", what: "drain, results off", ours: ours,
			than: "machinery with the same prefetch", theirs: one(drain(result.Headline, result.Machinery, result.Prefetch64)), limit: bare, atLeast: true, bound: 1.1,
		},
		{
			key: "cpu", what: "CPU of the worker per task", quantity: cpuOfProgram, ours: ours,
			than: "the bare client", theirs: one(bare), bound: 1.25,
		},
		{
			key: "cpu-solo", what: "CPU of the worker per task", quantity: cpuOfProgram, ours: ours,
			than: "Celery, solo", theirs: one(drain(result.Headline, result.Celery, "solo")), limit: bare, bound: 1.0 / 7,
		},
		{
			key: "cpu-prefork", what: "CPU of the worker per task", quantity: cpuOfProgram, ours: ours,
			than: "Celery, prefork", theirs: one(drain(result.Headline, result.Celery, "prefork")), limit: bare, bound: 1.0 / 12,
		},
	}
}

func resultTargets() []target {
	var list []target
	for _, store := range []struct {
		name string
		part float64 // of the rate without results
	}{{"rpc", 0.5}, {"redis", 0.5}, {"postgres", 0.4}} {
		variant := "results=" + store.name
		what := "drain, results in " + store.name
		if store.name == "rpc" {
			what = "drain, results over rpc"
		}
		ours := drain(variant, result.Taskq, "")
		list = append(list, target{
			key: variant, what: what, ours: ours,
			than: "results off", theirs: one(drain(result.Headline, result.Taskq, "")), atLeast: true, bound: store.part,
		}, target{
			key: variant + "-celery", what: what, ours: ours,
			than: "Celery with the same store", theirs: one(drain(variant, result.Celery, "")), limit: drain(variant, result.Bare, ""), atLeast: true, bound: 5,
		})
	}
	return append(list, target{
		key: "events", what: "drain, events on, one listener", ours: drain("events=on", result.Taskq, ""),
		than: "events off", theirs: one(drain(result.Headline, result.Taskq, "")), atLeast: true, bound: 0.7,
	})
}

func sendTargets() []target {
	send := func(variant, subject string) selector { return selector{result.Send, variant, subject, ""} }
	celery := []selector{send(result.SendSingle, result.Celery)}
	return []target{
		{
			key: "send-batch", what: "send, confirmed, one sender in batches", ours: send(result.SendBatch, result.Taskq),
			than: "the bare client", theirs: one(send(result.SendBatch, result.Bare)), atLeast: true, bound: 0.9,
		},
		{
			key: "send-batch-celery", what: "send, confirmed, one sender in batches", ours: send(result.SendBatch, result.Taskq),
			than: "Celery, unconfirmed", theirs: celery, limit: send(result.SendBatch, result.Bare), atLeast: true, bound: 5,
		},
		{
			key: "send-many", what: "send, confirmed, 64 senders", ours: send(result.SendMany, result.Taskq),
			than: "the bare client", theirs: one(send(result.SendMany, result.Bare)), atLeast: true, bound: 0.95,
		},
		{
			key: "send-many-celery", what: "send, confirmed, 64 senders", ours: send(result.SendMany, result.Taskq),
			than: "Celery, unconfirmed", theirs: celery, limit: send(result.SendMany, result.Bare), atLeast: true, bound: 5,
		},
	}
}

func latencyTargets() []target {
	at := func(subject string) selector { return selector{result.Latency, "100/s", subject, ""} }
	return []target{
		{
			key: "latency-p50", what: "from sending to starting, 100/s, p50", quantity: p50, ours: at(result.Taskq),
			than: "the bare client", theirs: one(at(result.Bare)), bound: 1.3,
		},
		{
			key: "latency-p99", what: "from sending to starting, 100/s, p99", quantity: p99, ours: at(result.Taskq),
			than: "the bare client", theirs: one(at(result.Bare)), bound: 1.5,
		},
	}
}

func visitTargets() []target {
	visit := func(variant, subject, setting string) selector {
		return selector{result.Visit, variant, subject, setting}
	}
	single := visit(result.VisitSingle, result.Taskq, "")
	return []target{
		{
			key: "visit", what: "access_record, a row each", ours: single, than: "the slower of the bare client and pgx, both at once",
			theirs: []selector{visit(result.VisitSingle, result.Bare, ""), visit(result.VisitSingle, result.Pgx, "")}, slowest: true, atLeast: true, bound: 0.8,
		},
		{
			key: "visit-celery", what: "access_record, a row each", ours: single, than: "Celery, connections kept",
			theirs: one(visit(result.VisitSingle, result.Celery, result.ConnectionKept)), atLeast: true, bound: 4,
		},
		{
			key: "visit-django", what: "access_record, a row each", ours: single, than: "Celery, a connection per task (Django's default)",
			theirs: one(visit(result.VisitSingle, result.Celery, result.ConnectionPerTask)), atLeast: true, bound: 30,
		},
		{
			key: "visit-batch", what: "access_record in batches", ours: visit(result.VisitBatch, result.Taskq, ""), than: "the bare client",
			theirs: one(visit(result.VisitBatch, result.Bare, "")), atLeast: true, bound: 0.8,
		},
	}
}

func growthTargets() []target {
	ours := drain("", result.Taskq, "")
	return []target{
		{key: "flat-queued", what: "CPU per task, 1k to 1M in the queue", quantity: cpuOfProgram, ours: ours, flat: "queued", bound: 0.15},
		{key: "flat-names", what: "CPU per task, 1 to 100 kinds of tasks", quantity: cpuOfProgram, ours: ours, flat: "names", bound: 0.15},
		{key: "flat-slots", what: "CPU per task, 1 to 1000 slots", quantity: cpuOfProgram, ours: ours, flat: "slots", bound: 0.15},
	}
}

func otherTargets() []target {
	of := func(scenario, variant string) selector { return selector{scenario, variant, result.Taskq, ""} }
	return []target{
		{key: "parking", what: "tasks that are due in an hour, parked", ours: of(result.Delay, result.DelayParking), atLeast: true, bound: 4000},
		{
			key: "parking-memory", what: "the worker grows while it parks them by", quantity: figureItself, ours: of(result.Delay, result.DelayParking),
			bound: 5, unit: "MB",
		},
		{
			key: "parking-others", what: "an ordinary task meanwhile, p50", quantity: p50, ours: of(result.Delay, result.DelayOrdinary),
			than: "the same alone", theirs: one(of(result.Delay, result.DelayAlone)), bound: 1.3,
		},
		{key: "recovery", what: "after SIGKILL until the task runs elsewhere, p99", quantity: p99, ours: of(result.Recovery, ""), bound: 0.1},
		{key: "start", what: "start to ready", quantity: figureItself, ours: of(result.Start, ""), bound: 0.3, unit: "s"},
		{key: "idle", what: "CPU of an idle worker", quantity: figureItself, ours: of(result.Idle, ""), bound: 0.5, unit: "%"},
		{key: "idle-memory", what: "memory of an idle worker", quantity: residentMemory, ours: of(result.Idle, ""), bound: 20e6},
		{key: "binary", what: "size of the program", quantity: figureItself, ours: of(result.Binary, ""), bound: 25, unit: "MB"},
		{key: "embedded", what: "embedded store, two processes", ours: of(result.Embedded, ""), atLeast: true, bound: 4000},
		{key: "embedded-wait", what: "embedded store, hand-over, p50", quantity: p50, ours: of(result.Embedded, result.HandOver), bound: 0.006},
	}
}
