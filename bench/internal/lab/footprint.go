package lab

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// idleWarm is after which a worker is at rest.
const idleWarm = time.Second

// Start measures the time from starting a worker until it consumes.
func (l *Lab) Start(ctx context.Context, c Case) (m result.Measure, err error) {
	m = c.measure()
	err = l.atRest(ctx, c, func(_ *bench, p *program) error {
		m.Figure, m.Unit = p.readyIn.Seconds(), "s"
		return nil
	})
	return m, err
}

// Idle measures what a worker uses that has nothing to do for a while: percents of one core, and resident memory.
func (l *Lab) Idle(ctx context.Context, c Case, while time.Duration) (m result.Measure, err error) {
	m = c.measure()
	err = l.atRest(ctx, c, func(b *bench, p *program) error {
		if err := pause(ctx, idleWarm); err != nil {
			return err
		}
		from, begin := b.look(), time.Now()
		if err := pause(ctx, while); err != nil {
			return err
		}
		if spent, ok := between(from, b.look(), p.cmd.Process.Pid); ok {
			m.Figure, m.Unit = 100*spent.Seconds()/time.Since(begin).Seconds(), "%"
		}
		m.Memory = resident(p)
		return nil
	})
	return m, err
}

// atRest runs a worker without tasks.
func (l *Lab) atRest(ctx context.Context, c Case, look func(*bench, *program) error) (err error) {
	c.Tasks = 1 // of a ledger; it is not sent
	if _, err := l.command(ctx, c.Subject); err != nil {
		return err // building is no part of starting
	}
	b, err := l.set(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	p, err := b.run(ctx, c, order.Work, b.order)
	if err != nil {
		return err
	}
	defer p.kill() // how it ends is not measured, and prefork does not end at a SIGTERM that comes too soon
	return look(b, p)
}

// Size measures the program in a directory of the module, stripped as for a release.
func (l *Lab) Size(ctx context.Context, c Case, dir string) (m result.Measure, err error) {
	m = c.measure()
	program, err := l.Build(ctx, dir, "-trimpath", "-ldflags=-s -w")
	if err != nil {
		return m, err
	}
	info, err := os.Stat(program)
	if err != nil {
		return m, err
	}
	m.Figure, m.Unit, m.Runs = float64(info.Size())/1e6, "MB", 1
	return m, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
