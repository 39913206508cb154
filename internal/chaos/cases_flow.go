package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
	"github.com/seed-399731e2/taskq/outbox"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// waitCases are those in which tasks wait for their time or for others of their batch.
func waitCases() []Case {
	return []Case{
		{
			Name: "parked-and-kill", Number: "66, 67", Fault: "kill -9 of a worker, 3 times, and of the broker, twice, while thousands wait for their time: " +
				"countdowns, ETAs of Celery's clients, retries with growing pauses", Bound: afterOutage,
			Load: Load{Kinds: []Kind{Later, Later, Foreign, Foreign, Backoff}, Rate: 400, Senders: 64, Wait: 12 * time.Second},
			Run:  inTurn(haveDelays, accumulate(2000), once(killMoving, killBroker, killMoving, killBroker, killMoving)),
		},
		{
			Name: "batches-and-kill", Number: "71", Fault: "kill -9 of a worker that collects and runs batches of visits, 4 times, and of PostgreSQL, once; it answers after 0.1 s",
			Load: Load{Kinds: []Kind{Visit}, Rate: 300, Senders: 32}, Bound: afterOutage,
			Held: 250, Prepare: inBatches,
			Run: inTurn(accumulate(1000), once((*Scene).killWorker, (*Scene).killWorker, killStore, (*Scene).killWorker, (*Scene).killWorker)),
		},
	}
}

// flowCases are those in which tasks wait for a place or their turn, are sent by a relay or not to be run at all.
func flowCases() []Case {
	return []Case{
		{
			Name: "places-and-kill", Number: "41", Fault: "kill -9 of a worker whose tasks hold places and keys, 4 times, and of the limit store (Redis), twice",
			Load:  Load{Kinds: []Kind{Single, Only, Placed}, Work: 100 * time.Millisecond},
			Pools: []pool.Kind{pool.Goroutines, pool.Threads}, Slots: 8, Bound: afterOutage, Limits: true,
			Run: inTurn(once(killMoving, (*Scene).killLimits, killMoving, killMoving, (*Scene).killLimits, killMoving), askKeys),
		},
		{
			Name: "rate-and-restart", Number: "3", Fault: "the broker is stopped in good order, twice, and killed, once, while tasks wait for their turn: 40/s of all workers",
			Load: Load{Kinds: []Kind{Rated, Rated, Rated, Rated, Step}, Rate: 60, Senders: 32}, Bound: afterOutage, Limits: true,
			Run: inTurn(haveDelays, once(stopBroker, killBroker, stopBroker)),
		},
		{
			Name: "outbox-and-kill", Number: "78", Fault: "kill -9 of each worker that relays the outbox, of PostgreSQL and of the broker, in turn, twice; every fourth transaction is rolled back",
			Load: Load{Kinds: []Kind{Row, Row, Row, Undone}, Rate: 150}, Bound: afterOutage, Prepare: withOutbox,
			Run: once((*Scene).killRelay, killDatabase, killBroker, (*Scene).killRelay, killDatabase, killBroker, (*Scene).killRelay),
		},
		{
			Name: "revokes-and-restart", Number: "3, 41", Fault: "200 parked tasks are revoked; then the broker is restarted and all workers are killed (with a state file), twice",
			Load: Load{Kinds: []Kind{Step, Later}, Wait: 12 * time.Second}, Bound: afterOutage, Prepare: withStateDB,
			Run: revokeAndRestart(200),
		},
	}
}

func killMoving(s *Scene) fault   { return moved(s.killWorker(), moving) }
func killBroker(s *Scene) fault   { return s.killNode(0, s.draw(0, time.Second)) }
func stopBroker(s *Scene) fault   { return s.stopNode(0, s.draw(0, time.Second)) }
func killStore(s *Scene) fault    { return s.killDatabase(s.draw(0, time.Second)) }
func killDatabase(s *Scene) fault { return moved(killStore(s), relaying) }

// moved is a fault that may meet messages between two queues, or between a table and a queue, that many at the most.
func moved(f fault, besides int) fault {
	f.moves, f.besides = true, besides
	return f
}

// killLimits kills the limit store.
func (s *Scene) killLimits() fault {
	return fault{
		name: "kill -9 of the limit store", moves: true, besides: moving * s.Case.workers(),
		inject: func(context.Context) error { return s.world.redis.Kill() },
		hold:   s.draw(0, time.Second),
		heal:   s.world.redis.Start,
	}
}

// killRelay kills the worker that has run for the longest time: the one that relays, or the next one.
func (s *Scene) killRelay() fault {
	return moved(fault{
		name:   "SIGKILL of a relay",
		inject: func(context.Context) error { return s.workers[0].kill() },
		heal:   func(context.Context) error { return s.replace(0) },
	}, relaying)
}

// askKeys asks for every key when everything is done: those whose owner and whose store were killed are free when their time is over.
func askKeys(ctx context.Context, s *Scene) error {
	if err := s.goOn(ctx); err != nil {
		return err
	}
	if err := errors.Join(s.sender.Wait(settleWait), s.drained(ctx)); err != nil {
		return err
	}
	for range keys { // their ids follow each other
		id, _, work := s.sender.next()
		if err := until(ctx, lease, "the key is free", func() (bool, error) {
			err := s.sender.deliver(ctx, id, Only, work)
			return err == nil, err
		}); err != nil {
			return err
		}
	}
	return nil
}

// haveDelays makes the delay queues, and gives the broker the time to note them.
func haveDelays(ctx context.Context, s *Scene) error {
	if err := s.sender.spread(ctx); err != nil {
		return err
	}
	return pause(ctx, 3*time.Second)
}

// accumulate lets the load go on until it has sent so many tasks.
func accumulate(n int) script {
	return func(ctx context.Context, s *Scene) error {
		return until(ctx, settleWait, fmt.Sprintf("%d tasks are sent", n), func() (bool, error) {
			sent, err := ReadSent(s.path("sent"))
			return len(sent) >= n, err
		})
	}
}

// inTurn is one script after the other.
func inTurn(scripts ...script) script {
	return func(ctx context.Context, s *Scene) error {
		for _, do := range scripts {
			if err := do(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// inBatches has the workers collect visits, and makes the database slow, so that a kill meets batches that run.
func inBatches(_ context.Context, s *Scene) error {
	s.worker.Batches = map[string]task.BatchPolicy{accessrecord.TaskName: {Size: 50, Wait: 300 * time.Millisecond}}
	s.store.Delay(instance.ToServer, 100*time.Millisecond, 0)
	return nil
}

// withOutbox makes the table and has the workers relay it.
func withOutbox(ctx context.Context, s *Scene) error {
	s.worker.Outbox = s.worker.Database
	store, err := outbox.Open(ctx, outbox.Config{URL: s.worker.Outbox})
	if err != nil {
		return err
	}
	return errors.Join(store.Migrate(ctx), store.Close(ctx))
}

// withStateDB has the workers remember what was revoked, in one file.
func withStateDB(_ context.Context, s *Scene) error {
	s.worker.StateDB = s.path("revoked")
	return nil
}

// revokeAndRestart sends n tasks for later, revokes them and breaks everything that could forget that.
func revokeAndRestart(n int) script {
	return func(ctx context.Context, s *Scene) error {
		ids := make([]string, 0, n)
		for range n {
			id, err := s.sender.send(ctx, Revoked)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if err := s.sender.app.Revoke(ctx, ids); err != nil {
			return err
		}
		if err := until(ctx, 10*time.Second, "the revoked are remembered", func() (bool, error) { return s.remembered(ids) }); err != nil {
			return err
		}
		return once(stopBroker, (*Scene).killWorkers, stopBroker, (*Scene).killWorkers)(ctx, s)
	}
}

// remembered reports whether the state file has all of them.
func (s *Scene) remembered(ids []string) (bool, error) {
	text, err := os.ReadFile(s.worker.StateDB)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var state struct{ Revoked map[string]int64 }
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	for _, id := range ids {
		if _, ok := state.Revoked[id]; !ok {
			return false, err
		}
	}
	return err == nil, err
}

// killWorkers kills all of them, and starts as many when the last one is dead.
func (s *Scene) killWorkers() fault {
	return moved(fault{
		name: "SIGKILL of all workers",
		inject: func(context.Context) error {
			var errs []error
			for _, p := range s.workers {
				errs = append(errs, p.kill())
			}
			return errors.Join(errs...)
		},
		heal: func(context.Context) error {
			for range s.workers {
				if err := s.replace(0); err != nil { // the last in the row
					return err
				}
			}
			return nil
		},
	}, moving*s.Case.workers())
}
