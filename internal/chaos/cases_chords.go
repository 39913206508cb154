package chaos

import (
	"context"
	"path/filepath"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
	"github.com/seed-399731e2/taskq/pool"
)

// chordsAtLeast is how many chords each of the cases completes, at least.
const chordsAtLeast = 200

// chordCases are those in which workers die with the tasks of chords, while these run and between the last one's outcome and the body.
func chordCases() []Case {
	kill := (*Scene).killWorker
	load := Load{Kinds: []Kind{Chord}, Rate: 12, Work: 30 * time.Millisecond}
	pools := []pool.Kind{pool.Goroutines, pool.Threads}
	return []Case{
		{
			Name: "chords", Number: "41", Fault: "SIGKILL of a worker with tasks of chords, 10 times, and of Redis, which counts them, twice; Redis answers after 20 ms",
			Load: load, Pools: pools, Slots: 8, Bound: afterOutage, Prepare: resultsInRedis,
			Run: inTurn(once(kill, kill, kill, kill, kill, (*Scene).killLimits, kill, kill, kill, kill, kill, (*Scene).killLimits), completeChords),
		},
		{
			Name: "chords-postgres", Number: "41, 71", Fault: "the same with PostgreSQL, which is killed once",
			Load: load, Pools: pools, Slots: 8, Bound: afterOutage, Prepare: resultsInPostgres,
			Run: inTurn(once(kill, kill, kill, kill, kill, killStore, kill, kill, kill, kill, kill), completeChords),
		},
		{
			Name: "chords-embedded", Number: "41", Fault: "SIGKILL of a worker with tasks of chords, 10 times; an SQLite file counts them",
			Load: load, Pools: pools, Slots: 8, Bound: afterOutage, Prepare: resultsInAFile,
			Run: inTurn(repeat(10, kill), completeChords),
		},
	}
}

func completeChords(ctx context.Context, s *Scene) error {
	return accumulate(chordsAtLeast*(1+membersOf))(ctx, s)
}

const (
	// slowStore has a store answer after some time, so that a kill meets what is between two of its answers.
	slowStore = 20 * time.Millisecond
	// slowSettling is how long a task that is done may wait for such a store before its message is acknowledged.
	slowSettling = 2 * time.Second
)

func resultsInRedis(ctx context.Context, s *Scene) error {
	url, err := s.world.limits(ctx)
	if err != nil {
		return err
	}
	if s.results, err = instance.StartProxy(url); err != nil {
		return err
	}
	s.results.Delay(instance.ToServer, slowStore, 0)
	s.settling = slowSettling
	s.worker.Results, s.sending = s.results.URL, url
	return nil
}

func resultsInPostgres(_ context.Context, s *Scene) error {
	s.worker.Results, s.sending = s.worker.Database, s.worker.Database
	s.store.Delay(instance.ToServer, slowStore, 0)
	s.settling = slowSettling
	return nil
}

func resultsInAFile(_ context.Context, s *Scene) error {
	s.worker.Results = "sqlite://" + filepath.Join(s.dir, "results.db")
	s.sending = s.worker.Results
	return nil
}
