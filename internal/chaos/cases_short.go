package chaos

import (
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/pool"
)

// ShortCases are a few cases with few faults, for every run of the tests.
func ShortCases() []Case {
	return []Case{
		{
			Name: "short-reset", Fault: "all connections are reset, twice", Run: repeat(2, (*Scene).cut),
			Types: []broker.QueueType{broker.Classic}, Pools: []pool.Kind{pool.Threads}, Bound: afterOutage,
		},
		{
			Name: "short-worker-kill", Fault: "SIGKILL of a worker, twice", Run: repeat(2, (*Scene).killWorker),
			Types: []broker.QueueType{broker.Quorum}, Pools: []pool.Kind{pool.Goroutines}, Bound: afterOutage,
		},
		{
			Name: "short-broker-kill", Fault: "kill -9 of the broker", Run: repeat(1, func(s *Scene) fault { return s.killNode(0, 0) }),
			Types: []broker.QueueType{broker.Quorum}, Pools: []pool.Kind{pool.Solo}, Bound: 2 * afterOutage,
		},
	}
}
