package chaos

import (
	"context"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

func brokerCases() []Case {
	return []Case{
		{
			Name: "broker-kill", Number: "1, 2", Fault: "kill -9 of the broker under load, twice", Bound: afterOutage,
			Load: Load{Rate: 200, Senders: 32},
			Run:  repeat(2, func(s *Scene) fault { return s.killNode(0, s.draw(0, time.Second)) }),
		},
		{
			Name: "broker-restart", Number: "3", Fault: "the broker is stopped in good order and started, twice", Bound: afterOutage,
			Run: repeat(2, func(s *Scene) fault { return s.stopNode(0, s.draw(0, time.Second)) }),
		},
		{
			Name: "broker-absent", Number: "4", Fault: "workers start while the broker is down; it comes 3 s later", Bound: afterOutage,
			Run: startWithoutBroker,
		},
		{
			Name: "broker-freeze", Number: "6", Fault: "SIGSTOP of the broker: 3 s, then 9 s with a heartbeat of 2 s", Heartbeat: 2 * time.Second,
			Bound: afterOutage,
			Run: once(func(s *Scene) fault { return s.freezeNode(3 * time.Second) },
				func(s *Scene) fault { return s.freezeNode(9 * time.Second) }),
		},
		{
			Name: "connections-closed", Number: "10", Fault: "the operator closes all connections, 5 times",
			Run: repeat(5, (*Scene).closeConnections),
		},
		{
			Name: "broker-upgrade", Number: "12", Fault: "a newer broker that denies transient queues",
			Impossible: "only the installed version runs here",
		},
	}
}

// startWithoutBroker kills the broker and all workers, and starts the workers first.
func startWithoutBroker(ctx context.Context, s *Scene) error {
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	return s.strike(ctx, fault{
		name: "start without a broker", hold: 3 * time.Second, before: s.memory(), forgets: s.memory() > 0, moves: true,
		inject: func(context.Context) error {
			if err := s.node().Kill(); err != nil {
				return err
			}
			for range s.workers {
				if err := s.workers[0].kill(); err != nil {
					return err
				}
				if err := s.replace(0); err != nil { // the last in the row
					return err
				}
			}
			return nil
		},
		heal: func(ctx context.Context) error { return start(ctx, s.node()) },
	})
}

func clusterCases() []Case {
	const bound = 15 * time.Second
	return []Case{
		{
			Name: "quorum-leader-kill", Number: "7", Fault: "kill -9 of the node that leads a quorum queue, of three; started again after 5 s",
			Cluster: true, Types: []broker.QueueType{broker.Quorum}, Bound: bound,
			Run: atHome(func(s *Scene, n int) fault { return s.killNode(n, 5*time.Second) }),
		},
		{
			Name: "classic-home-kill", Number: "8", Fault: "kill -9 of the node that has a classic queue, of three; started again after 5 s",
			Cluster: true, Types: []broker.QueueType{broker.Classic}, Bound: 35 * time.Second,
			Run: atHome(func(s *Scene, n int) fault { return s.killNode(n, 5*time.Second) }),
		},
		{
			Name: "rolling-restart", Number: "11", Fault: "each of three nodes is stopped in good order and started again",
			Cluster: true, Types: []broker.QueueType{broker.Quorum}, Bound: bound,
			Run: func(ctx context.Context, s *Scene) error {
				for n := range s.nodes {
					if err := s.strike(ctx, s.stopNode(n, time.Second)); err != nil {
						return err
					}
					if err := pause(ctx, 2*time.Second); err != nil {
						return err
					}
				}
				return nil
			},
		},
	}
}

// atHome strikes the node of the queue, after a second.
func atHome(kind func(s *Scene, node int) fault) script {
	return func(ctx context.Context, s *Scene) error {
		home, err := s.home(ctx)
		if err != nil {
			return err
		}
		return s.times(ctx, 1, func() fault { return kind(s, home) })
	}
}
