package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

const (
	killWatch = 100 * time.Microsecond
	killWait  = 2 * time.Minute
)

// Recover measures how long it takes until a task runs elsewhere whose worker was killed: for each task a worker is killed by SIGKILL
// while it runs it, and another one is there. The order's work must be order.Hold.
func (l *Lab) Recover(ctx context.Context, c Case) (m result.Measure, err error) {
	m = c.measure()
	b, err := l.set(ctx, c)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	worker, err := b.run(ctx, c, order.Work, b.order)
	if err != nil {
		return m, err
	}
	for i := range b.order.Tasks {
		if worker, err = b.killOne(ctx, c, worker, i); err != nil {
			return m, err
		}
	}
	if _, err := worker.stop(); err != nil {
		return m, err
	}
	m.Waits = quantiles(b.ledger.Waits())
	if err := b.prove(ctx, c, &m); err != nil {
		return m, err
	}
	m.Rate = 0
	return m, nil
}

// killOne sends one task to the only worker there is, starts another one, kills the first, and returns the other when it runs the task.
func (b *bench) killOne(ctx context.Context, c Case, worker *program, i int) (*program, error) {
	if err := publish(ctx, b.order.Broker, b.order, i); err != nil {
		return nil, err
	}
	if err := b.runsReach(ctx, i, 1); err != nil {
		return nil, worker.failure(err)
	}
	other, err := b.run(ctx, c, order.Work, b.order)
	if err != nil {
		return nil, err
	}
	b.ledger.Again(i)
	worker.kill()
	if err := b.runsReach(ctx, i, 2); err != nil {
		return nil, other.failure(err)
	}
	return other, nil
}

// runsReach waits until a task has begun for the nth time.
func (b *bench) runsReach(ctx context.Context, i, n int) error {
	deadline := time.Now().Add(killWait)
	ticker := time.NewTicker(killWatch)
	defer ticker.Stop()
	for b.ledger.Runs(i) < n {
		if time.Now().After(deadline) {
			return fmt.Errorf("lab: task %d ran %d times within %s, want %d", i, b.ledger.Runs(i), killWait, n)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
