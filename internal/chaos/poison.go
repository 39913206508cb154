package chaos

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/worker"
)

const (
	deliveryLimit = 3                // workers that a poison message may kill
	parkWait      = 60 * time.Second // for all of them to be parked
)

// sendPoison sends n tasks that end their worker's process, with bad messages between, and starts a worker for each that ends, until
// they are all in the dead letters.
func sendPoison(n int) script {
	return func(ctx context.Context, s *Scene) error {
		ledger, err := OpenLedger(s.path("sent"))
		if err != nil {
			return err
		}
		defer func() { _ = ledger.Close() }()
		for i := range n {
			id := fmt.Sprintf("%s-poison-%d", s.queue, i)
			sent := Sent{ID: id, Kind: Crash, Outcome: Accepted, Begin: time.Now()}
			if _, err := s.sender.app.Send(ctx, Crash.signature(id, 0, 0)); err != nil {
				return err
			}
			sent.End = time.Now()
			if err := ledger.Sent(sent); err != nil {
				return err
			}
			s.poison = append(s.poison, id)
			if err := sendBad(5, 0)(ctx, s); err != nil {
				return err
			}
		}
		if err := s.supervise(ctx); err != nil {
			return err
		}
		return s.noteDeaths()
	}
}

// supervise starts a worker for each that has ended, until all poison is parked and all workers live.
func (s *Scene) supervise(ctx context.Context) error {
	return until(ctx, parkWait, "all poison is parked", func() (bool, error) {
		if i := slices.IndexFunc(s.workers, (*process).gone); i >= 0 {
			return false, s.replace(i)
		}
		all, err := queues(ctx, s.node())
		return err == nil && all[s.queue+deadSuffix].ready >= len(s.poison) && all[s.queue+".quarantine"].ready == 0, err
	})
}

// noteDeaths makes each start of a poison message a fault: the worker ended there.
func (s *Scene) noteDeaths() error {
	e, err := s.evidence()
	if err != nil {
		return err
	}
	for _, r := range e.Ran {
		if slices.Contains(s.poison, r.ID) {
			s.windows = append(s.windows, Window{
				Fault: "a task ends its worker's process", Begin: r.At, End: r.At, Before: ackDelay, After: notice, Limit: s.inHand(),
			})
		}
	}
	return nil
}

// withDeadLetters has the workers keep dead letters.
func withDeadLetters(_ context.Context, s *Scene) error {
	s.worker.DeadLetters = true
	return nil
}

// options of the worker.
func (c WorkerConfig) options() worker.Options {
	o := worker.Options{Pool: c.Pool, Concurrency: c.Concurrency, Hostname: c.Name, DeadLetters: c.DeadLetters, StateDB: c.StateDB, Batches: c.Batches}
	if c.DeadLetters {
		o.DeliveryLimit = deliveryLimit
	}
	return o
}
