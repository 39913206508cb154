package chaos

import (
	"context"
	"time"

	"github.com/seed-399731e2/taskq/pool"
)

func resourceCases() []Case {
	return []Case{
		{
			Name: "memory-alarm", Number: "28", Fault: "the broker blocks publishers for 6 s (memory alarm)",
			Run: once(func(s *Scene) fault { return sparing(s.alarm("memory", 6*time.Second)) }),
		},
		{
			Name: "disk-alarm", Number: "29", Fault: "the broker blocks publishers for 6 s (disk alarm) while tasks want to be retried", Heartbeat: 2 * time.Second,
			Load: Load{Kinds: []Kind{Step, Retry, Visit}},
			Run:  once(func(s *Scene) fault { return sparing(s.alarm("disk", 6*time.Second)) }),
		},
		{
			Name: "alarm-and-stop", Number: "30", Fault: "a worker is stopped (SIGTERM) while the broker blocks publishers",
			Run: func(ctx context.Context, s *Scene) error {
				alarm := s.alarm("memory", 0)
				heal := alarm.heal
				alarm.heal = func(ctx context.Context) error {
					if err := s.stopWorker(ctx); err != nil {
						return err
					}
					return heal(ctx)
				}
				return s.times(ctx, 1, func() fault { return sparing(alarm) })
			},
		},
		{
			Name: "full-queue", Number: "31", Fault: "the queue refuses messages beyond 10 for 5 s", Load: Load{Rate: 200, Senders: 16, Work: 50 * time.Millisecond},
			Run: once(func(s *Scene) fault { return s.full(5 * time.Second) }),
		},
		{
			Name: "disk-full", Number: "32", Fault: "the broker's disk is full, or it has no file descriptors left",
			Impossible: "it needs a file system of its own; the alarm that the broker raises before is played (disk-alarm)",
		},
	}
}

func topologyCases() []Case {
	return []Case{
		{
			Name: "queue-deleted", Number: "35", Fault: "the queue is deleted under its consumers, twice", Bound: afterOutage,
			Run: repeat(2, func(s *Scene) fault { return s.removeQueue("deletion") }),
		},
		{
			Name: "queue-purged", Number: "36", Fault: "the queue is purged, twice", Load: Load{Rate: 200, Senders: 16, Work: 50 * time.Millisecond},
			Run: repeat(2, func(s *Scene) fault { return s.removeQueue("purge") }),
		},
		{
			Name: "no-permission", Number: "26, 40", Fault: "all permissions are taken away for 4 s", Bound: 45 * time.Second,
			Run: once(func(s *Scene) fault { return s.forbid(4 * time.Second) }),
		},
	}
}

func databaseCases() []Case {
	visits := Load{Kinds: []Kind{Visit}}
	return []Case{
		{
			Name: "database-kill", Number: "71", Fault: "PostgreSQL is killed and started again, twice", Load: visits, Bound: afterOutage,
			Run: repeat(2, func(s *Scene) fault { return s.killDatabase(s.draw(0, 2*time.Second)) }),
		},
		{
			Name: "database-connections", Number: "72", Fault: "PostgreSQL ends all connections, 4 times", Load: visits,
			Run: repeat(4, (*Scene).terminateBackends),
		},
		{
			Name: "database-half-open", Number: "73", Fault: "no byte passes to or from PostgreSQL for 12 s", Load: visits, Bound: afterOutage,
			Run: once(func(s *Scene) fault { return s.stallDatabase(12 * time.Second) }),
		},
	}
}

func delayCases() []Case {
	return []Case{{
		Name: "delays-and-kill", Number: "66, 67", Fault: "kill -9 of the broker while tasks wait for their time and for their retry, twice",
		Load: Load{Kinds: []Kind{Later, Retry}}, Bound: afterOutage, Pools: []pool.Kind{pool.Goroutines},
		Run: repeat(2, func(s *Scene) fault { return s.killNode(0, s.draw(0, time.Second)) }),
	}}
}
