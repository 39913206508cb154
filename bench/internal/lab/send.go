package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// sendWait is how long a sender may take.
const sendWait = 5 * time.Minute

// Send measures how fast a subject sends, into fresh queues that nobody consumes: from the first message to the last confirm.
func (l *Lab) Send(ctx context.Context, c Case) (m result.Measure, err error) {
	m = c.measure()
	b, err := l.set(ctx, c)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	p, err := b.run(ctx, c, order.Send, b.order)
	if err != nil {
		return m, err
	}
	from := b.look()
	account, err := p.wait(sendWait)
	if err != nil {
		return m, err
	}
	n := b.order.Tasks - from.sent
	b.servers(&m, from, b.look(), n)
	if before, err := from.snapshot.CPU(p.cmd.Process.Pid); err == nil && n > 0 {
		m.CPU[result.OfSubject] = micros(p.spent()-before, n)
	}
	m.Tasks, m.Allocs = b.ledger.Sum().Sent, float64(account.Mallocs)/float64(b.order.Tasks)
	if account.Seconds > 0 {
		m.Rate = float64(m.Tasks) / account.Seconds
	}
	return m, b.waiting(ctx, c)
}

// waiting proves that all tasks wait.
func (b *bench) waiting(ctx context.Context, c Case) error {
	switch {
	case c.Subject.Waiting != nil:
		n, err := c.Subject.Waiting(ctx, b.order.Broker)
		if err == nil && n != b.order.Tasks {
			err = fmt.Errorf("lab: %d tasks wait, want %d", n, b.order.Tasks)
		}
		return err
	case c.Subject.Broker == RabbitMQ:
		return b.lab.holds(ctx, b.order.Broker, b.order.Queues, b.order.Tasks)
	case b.ledger.Sum().Sent != b.order.Tasks:
		return fmt.Errorf("lab: %d of %d tasks were sent", b.ledger.Sum().Sent, b.order.Tasks)
	}
	return nil
}
