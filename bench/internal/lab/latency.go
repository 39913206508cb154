package lab

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// Latency measures how long it takes from sending a task to its start, the sender and the worker being processes of their own. The
// case's order says at which rate and by how many senders. The first tenth of the tasks warms up and does not count.
func (l *Lab) Latency(ctx context.Context, c Case) (m result.Measure, err error) {
	m = c.measure()
	b, err := l.set(ctx, c)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.pass(ctx, c, &m); err != nil {
		return m, err
	}
	waits := b.ledger.Waits()
	m.Waits = quantiles(waits[len(waits)/10:])
	return m, nil
}

// Through measures how many tasks a second come from a sender that sends as fast as it can to the worker beside it.
func (l *Lab) Through(ctx context.Context, c Case) (m result.Measure, err error) {
	m = c.measure()
	b, err := l.set(ctx, c)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return m, b.pass(ctx, c, &m)
}

// pass has a worker run what a sender sends meanwhile.
func (b *bench) pass(ctx context.Context, c Case, m *result.Measure) error {
	worker, err := b.run(ctx, c, order.Work, b.order)
	if err != nil {
		return err
	}
	from := b.look()
	sender, err := b.run(ctx, c, order.Send, b.order)
	if err != nil {
		return err
	}
	if _, err := sender.wait(sendWait); err != nil {
		return err
	}
	if err := b.complete(ctx, worker); err != nil {
		return err
	}
	b.account(m, []*program{worker}, from, b.look(), b.order.Tasks)
	account, err := worker.stop()
	if err != nil {
		return err
	}
	m.Allocs = float64(account.Mallocs) / float64(b.order.Tasks)
	return b.prove(ctx, c, m)
}

// quantiles of waits; nil of none.
func quantiles(waits []time.Duration) *result.Waits {
	if len(waits) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(waits))
	at := func(q float64) time.Duration { return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)] }
	return &result.Waits{P50: at(0.5), P99: at(0.99), P999: at(0.999)}
}
