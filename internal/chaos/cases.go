package chaos

import (
	"context"
	"slices"
	"time"
)

// Cases returns all cases, in the order of the table.
func Cases() []Case {
	return slices.Concat(brokerCases(), networkCases(), resourceCases(), workerCases(), messageCases(), soakCases())
}

// repeat strikes n times with the same kind of fault.
func repeat(n int, next func(*Scene) fault) func(context.Context, *Scene) error {
	return func(ctx context.Context, s *Scene) error {
		return s.times(ctx, n, func() fault { return next(s) })
	}
}

func brokerCases() []Case {
	const bound = 15 * time.Second // reconnecting waits up to twice as long as the broker was away
	return []Case{
		{
			Name: "broker-kill", Number: "1, 2", Fault: "kill -9 of the broker under load, twice", Bound: bound,
			Load: Load{Rate: 200, Senders: 32},
			Run:  repeat(2, func(s *Scene) fault { return s.killNode(0, s.draw(0, time.Second)) }),
		},
		{
			Name: "broker-restart", Number: "3", Fault: "stop of the broker in good order and start, twice", Bound: bound,
			Run: repeat(2, func(s *Scene) fault { return s.stopNode(0, s.draw(0, time.Second)) }),
		},
		{
			Name: "broker-freeze", Number: "6", Fault: "SIGSTOP of the broker for 3 s, with a heartbeat of 2 s for 9 s", Heartbeat: 2 * time.Second,
			Bound: bound,
			Run: func(ctx context.Context, s *Scene) error {
				if err := s.strike(ctx, s.freezeNode(3*time.Second)); err != nil {
					return err
				}
				return s.times(ctx, 1, func() fault { return s.freezeNode(9 * time.Second) })
			},
		},
		{
			Name: "connections-closed", Number: "10", Fault: "the operator closes all connections, 5 times",
			Run: repeat(5, (*Scene).closeConnections),
		},
	}
}

func networkCases() []Case  { return nil }
func resourceCases() []Case { return nil }

func workerCases() []Case {
	return []Case{
		{
			Name: "worker-kill", Number: "41", Fault: "SIGKILL of a worker with tasks in flight, 4 times", Load: Load{Work: 50 * time.Millisecond},
			Run: repeat(4, (*Scene).killWorker),
		},
	}
}
func messageCases() []Case { return nil }
func soakCases() []Case    { return nil }
