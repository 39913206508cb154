package chaos

import (
	"context"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// quick is a heartbeat that notices a dead connection within seconds.
const quick = 2 * time.Second

// lossCases are those in which connections end.
func lossCases() []Case {
	return []Case{
		{
			Name: "reset", Number: "10", Fault: "all connections are reset (RST), 6 times",
			Run: repeat(6, (*Scene).cut),
		},
		{
			Name: "closed", Number: "10", Fault: "all connections are closed (FIN), 4 times; half-closed, each way once", Heartbeat: quick,
			Run: once((*Scene).closeInOrder, (*Scene).closeInOrder, (*Scene).closeInOrder, (*Scene).closeInOrder,
				func(s *Scene) fault { return s.halfClose(instance.ToServer) },
				func(s *Scene) fault { return s.halfClose(instance.ToClient) }),
		},
		{
			Name: "truncated-sends", Number: "13", Fault: "a connection ends after some bytes to the broker, anywhere in a frame, 8 times",
			Run: repeat(8, func(s *Scene) fault { return s.truncate(instance.ToServer) }),
		},
		{
			Name: "truncated-deliveries", Number: "14", Fault: "a connection ends after some bytes from the broker, anywhere in a frame, 8 times",
			Run: repeat(8, func(s *Scene) fault { return s.truncate(instance.ToClient) }),
		},
		{
			Name: "flapping", Number: "21", Fault: "all connections are reset every 200 ms, 40 times", Bound: afterOutage,
			Run: flap(40, 200*time.Millisecond),
		},
		{
			Name: "refused", Number: "5", Fault: "connections are refused for 6 s", Bound: afterOutage,
			Run: once(func(s *Scene) fault { return s.refuse(6 * time.Second) }),
		},
		{
			Name: "dead-hosts", Number: "23", Fault: "two addresses before the right one are dead; all connections are reset, 3 times", DeadHosts: true,
			Run: repeat(3, (*Scene).cut),
		},
	}
}

// silenceCases are those in which connections do not end and do not work either.
func silenceCases() []Case {
	return []Case{
		{
			Name: "half-open", Number: "15, 16", Fault: "no byte passes either way for 9 s (heartbeat 2 s)", Heartbeat: quick, Bound: afterOutage,
			Run: once(func(s *Scene) fault { return s.stall(9 * time.Second) }),
		},
		{
			Name: "half-open-sends", Number: "17", Fault: "no byte passes to the broker for 9 s (heartbeat 2 s)", Heartbeat: quick, Bound: afterOutage,
			Run: once(func(s *Scene) fault { return s.stall(9*time.Second, instance.ToServer) }),
		},
		{
			Name: "half-open-replies", Number: "18", Fault: "no byte passes from the broker for 9 s (heartbeat 2 s)", Heartbeat: quick, Bound: afterOutage,
			Run: once(func(s *Scene) fault { return s.stall(9*time.Second, instance.ToClient) }),
		},
		{
			Name: "slow-link", Number: "19", Fault: "64 kbit/s each way for 10 s", Heartbeat: quick,
			Run: once(func(s *Scene) fault { return s.narrow(10*time.Second, 8000) }),
		},
		{
			Name: "latency", Number: "20", Fault: "500 ms ± 200 ms more each way for 10 s", Heartbeat: quick, Load: Load{Senders: 64},
			Run: once(func(s *Scene) fault { return s.slow(10*time.Second, 500*time.Millisecond, 200*time.Millisecond) }),
		},
		{
			Name: "black-hole", Number: "22", Fault: "connections are cut, new ones accepted and never answered, for 6 s", Bound: afterOutage,
			Run: once(func(s *Scene) fault { return s.blackHole(6 * time.Second) }),
		},
	}
}

// flap cuts the connections n times with little time between.
func flap(n int, every time.Duration) script {
	return func(ctx context.Context, s *Scene) error {
		for range n {
			if err := s.strike(ctx, s.cut()); err != nil {
				return err
			}
			if err := pause(ctx, every); err != nil {
				return err
			}
		}
		return nil
	}
}
