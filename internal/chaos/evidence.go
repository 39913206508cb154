package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// verdict reads everything and checks it.
func (s *Scene) verdict(ctx context.Context) (*Verdict, error) {
	e, err := s.evidence()
	if err != nil {
		return nil, err
	}
	if e.Rows, err = s.rows(ctx); err != nil {
		return nil, err
	}
	all, err := queues(ctx, s.node())
	if err != nil {
		return nil, err
	}
	for name, d := range all {
		if d.ready == 0 {
			continue
		}
		ids, err := s.take(ctx, name, d.ready)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, deadSuffix) {
			e.Dead = append(e.Dead, ids...)
		} else {
			e.Left = append(e.Left, ids...)
		}
	}
	return Check(e), nil
}

// deadSuffix ends the names of dead-letter queues.
const deadSuffix = ".dead"

// evidence is what the ledgers say so far.
func (s *Scene) evidence() (e Evidence, err error) {
	e = Evidence{Windows: s.windows, Removed: s.removed, Poison: s.poison, Wait: s.Case.Load.withDefaults().Wait, Slots: s.Case.workers() * s.worker.Concurrency}
	if e.Sent, err = ReadSent(s.path("sent")); err != nil {
		return e, err
	}
	e.Ran, err = ReadRan(s.dir)
	return e, err
}

// connectionsLost counts the connections that were lost, as proof that the faults were felt.
func (s *Scene) connectionsLost() (int, error) {
	paths, err := filepath.Glob(s.path("*.log"))
	if err != nil {
		return 0, fmt.Errorf("chaos: %w", err)
	}
	n := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, fmt.Errorf("chaos: %w", err)
		}
		n += strings.Count(string(text), `msg="Connection to broker lost"`)
	}
	return n, nil
}

// rows counts the stored visits by the id in their path.
func (s *Scene) rows(ctx context.Context) (map[string]int, error) {
	database, err := s.world.database(ctx) // the proxies are closed
	if err != nil {
		return nil, err
	}
	straight := s.worker
	straight.Database = database
	recorder, err := straight.recorder()
	if err != nil {
		return nil, err
	}
	defer func() { _ = recorder.Close() }()
	const all = 1_000_000
	visits, err := recorder.List(ctx, all)
	if err != nil {
		return nil, err
	}
	rows := map[string]int{}
	for _, visit := range visits {
		rows[strings.TrimPrefix(visit.Path, "/")]++
	}
	return rows, nil
}

// take removes n messages from a queue and returns the ids of their tasks.
func (s *Scene) take(ctx context.Context, queue string, n int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	app, b, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = app.Close(ctx) }()
	consumer, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 100})
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, n)
	for range n {
		d, err := consumer.Next(ctx)
		if err != nil {
			return nil, err
		}
		ids = append(ids, d.CorrelationID) // Celery's copy of the id
		if err := d.Settle(ctx, broker.Ack); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
