package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// SoakTime is how long the random case goes on by default.
const SoakTime = 40 * time.Second

func soakCase(d time.Duration) Case {
	return Case{
		Name: "soak", Number: "81", Fault: fmt.Sprintf("a random fault every second or two, for %s", d), Heartbeat: 2 * time.Second, Bound: afterOutage, Workers: 3,
		Load: Load{Kinds: []Kind{Step, Step, Visit, Retry, Later}},
		Run:  soak(d),
	}
}

// soak strikes with whatever the seed draws, until the time is over.
func soak(d time.Duration) script {
	return func(ctx context.Context, s *Scene) error {
		kinds := []func() fault{
			s.killWorker, s.killWorker,
			func() fault { return s.freezeWorker(s.draw(time.Second, 8*time.Second)) },
			s.cut, s.cut, s.closeInOrder, s.closeConnections,
			func() fault { return s.truncate(instance.ToServer) },
			func() fault { return s.truncate(instance.ToClient) },
			func() fault { return s.stall(s.draw(time.Second, 7*time.Second)) },
			func() fault { return s.stall(s.draw(time.Second, 7*time.Second), instance.ToServer) },
			func() fault { return s.stall(s.draw(time.Second, 7*time.Second), instance.ToClient) },
			func() fault { return s.refuse(s.draw(0, 3*time.Second)) },
			func() fault {
				return s.slow(s.draw(time.Second, 3*time.Second), 200*time.Millisecond, 100*time.Millisecond)
			},
			func() fault { return s.alarm("memory", s.draw(time.Second, 3*time.Second)) },
			func() fault { return s.killNode(0, s.draw(0, time.Second)) },
			func() fault { return s.freezeNode(s.draw(time.Second, 6*time.Second)) },
		}
		for end := time.Now().Add(d); time.Now().Before(end); {
			if err := pause(ctx, s.draw(500*time.Millisecond, 1500*time.Millisecond)); err != nil {
				return err
			}
			if err := s.strike(ctx, kinds[s.rng.IntN(len(kinds))]()); err != nil {
				return err
			}
		}
		return nil
	}
}
