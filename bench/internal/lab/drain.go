package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// watchEvery is how often the harness looks whether all tasks have begun.
const watchEvery = 5 * time.Millisecond

// lastTask is how long the last task, which has begun, may take to end. Celery's solo pool loses the outcome of one that is met by SIGTERM.
const lastTask = 200 * time.Millisecond

// Drain fills the queues and measures how fast a worker empties them: from the first start of a task to the last.
func (l *Lab) Drain(ctx context.Context, c Case) (m result.Measure, err error) {
	m = c.measure()
	b, err := l.set(ctx, c)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.fill(ctx, c); err != nil {
		return m, err
	}
	if err := b.workOff(ctx, c, &m); err != nil {
		return m, err
	}
	return m, b.prove(ctx, c, &m)
}

// workOff runs workers until all tasks have begun, and accounts for them.
func (b *bench) workOff(ctx context.Context, c Case, m *result.Measure) error {
	var workers []*program
	for range max(c.Workers, 1) {
		p, err := b.run(ctx, c, order.Work, b.order)
		if err != nil {
			return err
		}
		workers = append(workers, p)
	}
	from := b.look()
	if err := b.complete(ctx, workers[0]); err != nil {
		return err
	}
	b.account(m, workers, from, b.look(), b.order.Tasks-from.done)
	if err := pause(ctx, lastTask); err != nil {
		return err
	}
	for _, p := range workers {
		account, err := p.stop()
		if err != nil {
			return err
		}
		m.Allocs += float64(account.Mallocs) / float64(b.order.Tasks)
	}
	return nil
}

// complete waits until every task has begun.
func (b *bench) complete(ctx context.Context, worker *program) error {
	watch := b.ledger.Watch()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	done, moved := 0, time.Now()
	for looks := 1; !watch.Complete(); looks++ {
		select {
		case <-ticker.C:
		case <-worker.ended:
			err := errOr(worker.err, errors.New("with success"))
			return worker.failure(fmt.Errorf("it ended when %d of %d tasks had run: %w", b.ledger.Sum().Done, b.order.Tasks, err))
		case <-ctx.Done():
			return ctx.Err()
		}
		if looks%100 != 0 {
			continue
		}
		switch n := b.ledger.Sum().Done; {
		case n > done:
			done, moved = n, time.Now()
		case time.Since(moved) > b.lab.cfg.Patience:
			return worker.failure(fmt.Errorf("%d of %d tasks ran, and no other for %s", n, b.order.Tasks, b.lab.cfg.Patience))
		}
	}
	return nil
}

// account adds what the workers and the servers used between two looks for n tasks.
func (b *bench) account(m *result.Measure, workers []*program, from, to used, n int) {
	b.servers(m, from, to, n)
	var spent time.Duration
	known := n > 0
	for _, p := range workers {
		pid := p.cmd.Process.Pid
		used, ok := between(from, to, pid)
		spent, known = spent+used, known && ok
		if peak, err := to.snapshot.Peak(pid); err == nil {
			m.Memory += peak
		}
	}
	if known {
		m.CPU[result.OfSubject] = micros(spent, n)
	}
}

// prove proves that every task ran and nothing is left, and adds the rate.
func (b *bench) prove(ctx context.Context, c Case, m *result.Measure) error {
	sum := b.ledger.Sum()
	m.Tasks, m.Twice = sum.Done, sum.Twice
	if sum.Done != b.order.Tasks {
		return fmt.Errorf("lab: %d of %d tasks ran", sum.Done, b.order.Tasks)
	}
	if span := sum.Span(); span > 0 {
		m.Rate = float64(sum.Done-1) / span.Seconds()
	}
	return errors.Join(b.emptied(ctx, c), b.kept(ctx, c), b.stored(ctx, c))
}
