package chaos

import (
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
	"github.com/seed-399731e2/taskq/pool"
)

// ShortCases are three cases with few faults, for every run of the tests.
func ShortCases() []Case {
	return []Case{
		{
			Name: "short", Fault: "connections are reset, a worker is killed, a connection ends within a frame",
			Types: []broker.QueueType{broker.Classic}, Pools: []pool.Kind{pool.Threads}, Bound: 2 * afterOutage,
			Run: once((*Scene).cut, (*Scene).killWorker,
				func(s *Scene) fault { return s.truncate(instance.ToServer) }),
		},
		{
			Name: "short-broker-kill", Fault: "kill -9 of the broker",
			Types: []broker.QueueType{broker.Quorum}, Pools: []pool.Kind{pool.Goroutines}, Bound: 2 * afterOutage,
			Run: once(func(s *Scene) fault { return s.killNode(0, 0) }),
		},
		{
			Name: "short-chords", Fault: "a worker with tasks of chords is killed, 3 times",
			Load:  Load{Kinds: []Kind{Chord}, Rate: 10, Work: 30 * time.Millisecond},
			Types: []broker.QueueType{broker.Classic}, Pools: []pool.Kind{pool.Goroutines}, Slots: 8, Bound: 2 * afterOutage, Prepare: resultsInRedis,
			Run: repeat(3, (*Scene).killWorker),
		},
	}
}
