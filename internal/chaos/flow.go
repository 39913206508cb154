package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

// What the limited tasks are limited to.
const (
	places   = 2                // of each key of Placed
	keys     = 10               // of Single, Only and Placed
	perSec   = 40               // starts of Rated
	lease    = 20 * time.Second // of a key whose owner can give it back no more
	moving   = 128              // messages that a worker puts back into the broker at a time: worker.parkWindow
	relaying = 500              // rows that a relay sends at a time
)

// keyOf is the key of a limited task: one of keys, by the id.
func keyOf(id string) string { return id[len(id)-1:] }

// waits reports whether tasks of the kind may spend time in a queue that is not theirs, or in a table, before they start first.
func (k Kind) waits() bool {
	switch k {
	case Later, Spread, Foreign, Single, Only, Placed, Rated, Row, Revoked:
		return true
	}
	return false
}

// limitedTasks are those that need a limit store.
func limitedTasks() []task.Definition {
	do := func(ctx context.Context, w work) (struct{}, error) { return struct{}{}, w.do(ctx) }
	key := task.PerArgument("key")
	return []task.Definition{
		task.New(taskSingle, do, task.Unique(key, lease, task.Running)),
		task.New(taskOnly, do, task.Unique(key, lease, task.Both)),
		task.New(taskPlaced, do, task.MaxConcurrent(places, task.ClusterWide(), task.FreeAfter(lease), key)),
		task.New(taskRated, do, task.RateLimit(fmt.Sprintf("%d/s", perSec), task.ClusterWide())),
	}
}

// errUndone is the end of a transaction as it was meant to be.
var errUndone = errors.New("rolled back, as asked for")

// call sends a task of a kind.
func (s *Sender) call(ctx context.Context, kind Kind, id string, work time.Duration) error {
	switch kind {
	case Foreign:
		return s.foreign(ctx, id)
	case Row, Undone:
		return s.transaction(ctx, kind, id, work)
	}
	_, err := s.app.Send(ctx, kind.signature(id, work, s.load.Wait))
	return err
}

// spread sends tasks with all delays that have a queue up to 20 s, so that these queues exist: RabbitMQ 3.10 may leave a quorum queue
// without a leader that was created just before the server ended.
func (s *Sender) spread(ctx context.Context) error {
	var delays []time.Duration
	for d := 100 * time.Millisecond; d <= 20*time.Second; {
		delays = append(delays, d)
		if d < 5*time.Second {
			d += 100 * time.Millisecond
		} else {
			d += time.Second
		}
	}
	errs := make([]error, len(delays))
	var all sync.WaitGroup
	for i, d := range delays {
		id, _, work := s.next()
		all.Go(func() { errs[i] = s.later(ctx, id, work, d) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// later sends a task with a countdown, which is written down.
func (s *Sender) later(ctx context.Context, id string, work, countdown time.Duration) error {
	sent := Sent{ID: id, Kind: Spread, Begin: time.Now(), Outcome: Accepted}
	if _, err := s.app.Send(ctx, Spread.signature(id, work, countdown)); err != nil {
		return err
	}
	sent.End = time.Now()
	return s.ledger.Sent(sent)
}

// foreign sends as Celery's clients do: the ETA is a header, and the message goes straight to its queue.
func (s *Sender) foreign(ctx context.Context, id string) error {
	b, err := s.app.Broker(ctx)
	if err != nil {
		return err
	}
	m := message(id)
	m.Headers["eta"] = time.Now().Add(s.load.Wait).UTC().Format("2006-01-02T15:04:05.999999-07:00")
	return b.Publish(ctx, broker.Address{RoutingKey: s.queue}, m)
}

// transaction sends within one, which is committed or not.
func (s *Sender) transaction(ctx context.Context, kind Kind, id string, work time.Duration) error {
	tx, err := s.rows.Begin(ctx)
	if err != nil {
		return fmt.Errorf("chaos: begin: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after the commit it does nothing
	if _, err := s.app.SendTx(ctx, tx, kind.signature(id, work, 0)); err != nil {
		return err
	}
	if kind == Undone {
		return errUndone
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("chaos: commit: %w", err)
	}
	return nil
}
