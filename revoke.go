package taskq

import (
	"context"
	"fmt"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/task"
)

// Control returns a client for commands to the workers on the application's broker.
func (a *App) Control(ctx context.Context) (*control.Client, error) {
	conn, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	return &control.Client{
		Broker: conn.broker, Clock: &a.clock, Accept: a.formats.accept, Limits: a.cfg.Limits, Declare: a.cfg.Declare, Logger: a.log,
	}, nil
}

// Revoke tells the workers not to run tasks, as Result.Revoke does: those that are connected now, which tell those that start later.
// It returns once the broker has the message.
func (a *App) Revoke(ctx context.Context, ids []string, opts ...task.RevokeOption) error {
	how, err := task.NewRevocation(opts...)
	if err != nil {
		return fmt.Errorf("taskq: revoke: %w: %w", broker.ErrInvalid, err)
	}
	return a.cast(ctx, control.Revoke(ids, how), len(ids))
}

// RevokeByStamps tells the workers not to run the tasks that have one of the stamps: a value, or a list of values, by name
// (celery/app/control.py, revoke_by_stamped_headers; Celery 5.3). Workers remember it as long as a revoked id.
func (a *App) RevokeByStamps(ctx context.Context, stamps map[string]any, opts ...task.RevokeOption) error {
	how, err := task.NewRevocation(opts...)
	if err != nil {
		return fmt.Errorf("taskq: revoke: %w: %w", broker.ErrInvalid, err)
	}
	return a.cast(ctx, control.RevokeByStamps(stamps, how), len(stamps))
}

// cast sends a command about n things.
func (a *App) cast(ctx context.Context, r control.Request, n int) error {
	if n == 0 {
		return nil
	}
	client, err := a.Control(ctx)
	if err != nil {
		return err
	}
	return client.Cast(ctx, r)
}
