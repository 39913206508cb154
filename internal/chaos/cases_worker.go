package chaos

import (
	"context"
	"time"

	"github.com/seed-399731e2/taskq/pool"
)

// workerCases are those in which workers die.
func workerCases() []Case {
	return []Case{
		{
			Name: "worker-kill", Number: "41", Fault: "SIGKILL of a worker with tasks in flight, 4 times", Load: Load{Work: 50 * time.Millisecond},
			Run: repeat(4, (*Scene).killWorker),
		},
		{
			Name: "early-acknowledgement", Number: "42", Fault: "SIGKILL of a worker whose tasks are acknowledged when they start, 4 times",
			Load: Load{Kinds: []Kind{Early, Step}, Work: 50 * time.Millisecond}, Run: repeat(4, (*Scene).killWorker),
		},
		{
			Name: "retries-and-kill", Number: "50", Fault: "SIGKILL of a worker whose tasks are being sent again, 4 times",
			Load: Load{Kinds: []Kind{Retry}}, Run: repeat(4, (*Scene).killWorker),
		},
		{
			Name: "worker-freeze", Number: "43", Fault: "SIGSTOP of a worker: 1.5 s, then 9 s with a heartbeat of 2 s", Heartbeat: 2 * time.Second,
			Load: Load{Work: 50 * time.Millisecond},
			Run: once(func(s *Scene) fault { return sparing(s.freezeWorker(1500 * time.Millisecond)) },
				func(s *Scene) fault { return s.freezeWorker(9 * time.Second) }),
		},
		{
			Name: "out-of-memory", Number: "44", Fault: "the system kills a worker for its memory",
			Impossible: "it needs a control group; to taskq it is a SIGKILL (worker-kill)",
		},
		{
			Name: "panic", Number: "45", Fault: "every third task panics; all connections are reset, twice", Load: Load{Kinds: []Kind{Step, Visit, Panic}},
			Run: repeat(2, (*Scene).cut),
		},
	}
}

// stopCases are those in which nobody dies.
func stopCases() []Case {
	return []Case{
		{
			Name: "warm-stop", Number: "48", Fault: "a worker is stopped (SIGTERM) under load and another started, 3 times", Load: Load{Work: 50 * time.Millisecond},
			Run: func(ctx context.Context, s *Scene) error {
				return s.times(ctx, 3, func() fault {
					return sparing(fault{name: "SIGTERM of a worker", inject: s.stopWorker})
				})
			},
		},
		{
			Name: "slow-stop", Number: "49", Fault: "a worker is stopped (SIGTERM) while tasks of 6 s run, with a heartbeat of 1 s", Heartbeat: time.Second,
			Load: Load{Kinds: []Kind{Slow}, Slow: 6 * time.Second, Rate: 4}, Pools: []pool.Kind{pool.Goroutines, pool.Threads}, Slots: 8,
			Bound: 10 * time.Second, // a task takes that long
			Run: func(ctx context.Context, s *Scene) error {
				return s.times(ctx, 1, func() fault {
					return sparing(fault{name: "SIGTERM of a worker", inject: s.stopWorker})
				})
			},
		},
		{
			Name: "consumer-timeout", Number: "53", Fault: "the broker gives up deliveries after 2 s, for 5 s, with tasks of 10 ms and of 3.5 s",
			Load: Load{Kinds: []Kind{Step, Step, Step, Step, Step, Step, Step, Slow}, Slow: 3500 * time.Millisecond, Rate: 20}, Slots: 8,
			Pools:           []pool.Kind{pool.Goroutines, pool.Threads},
			DeliveryTimeout: 2 * time.Second, // so that a long task takes no other with it
			Run:             once(func(s *Scene) fault { return s.impatient(5 * time.Second) }),
		},
		{
			Name: "one-name", Number: "54", Fault: "two workers have one node name; all connections are reset, twice", OneName: true,
			Run: repeat(2, (*Scene).cut),
		},
	}
}

func messageCases() []Case {
	return []Case{
		{
			Name: "bad-messages", Number: "56, 57, 58", Fault: "messages of 10 kinds that no task can be made of: no JSON, cut off, pickle, an unknown task, …",
			Prepare: keepDead, Restore: forgetDead, Run: sendBad(44, 50*time.Millisecond),
		},
		{
			Name: "bad-flood", Number: "65", Fault: "1000 such messages as fast as they can be sent",
			Prepare: keepDead, Restore: forgetDead, Run: sendBad(1000, 0),
		},
		{
			Name: "poison", Number: "44, 47, 64", Fault: "3 tasks that end their worker's process each time, and 15 bad messages; a worker is started for each that ends",
			Prepare: withDeadLetters, Run: sendPoison(3), Bound: afterOutage, Load: Load{Rate: 30},
		},
	}
}
