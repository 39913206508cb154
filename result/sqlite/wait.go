package sqlite

import (
	"context"
	"encoding/json"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/task"
)

// Wait implements task.Results. One goroutine looks for the outcomes of other processes, for all who wait.
func (b *Backend) Wait(ctx context.Context, id string) (task.Meta, error) {
	defer b.attend(ctx)()
	return b.waiters.Wait(ctx, id, func() (task.Meta, error) { return b.Get(ctx, id) })
}

// Watch implements task.Results.
func (b *Backend) Watch(ctx context.Context, id string, yield func(task.Meta) bool) error {
	defer b.attend(ctx)()
	return b.waiters.Watch(ctx, id, func() (task.Meta, error) { return b.Get(ctx, id) }, yield)
}

// attend keeps the watching goroutine alive until the returned function is called.
func (b *Backend) attend(ctx context.Context) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiters.Err() != nil {
		return func() {}
	}
	if b.watching++; b.watching == 1 {
		watch := b.db.Watch(topic)
		ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it outlives the first who waits
		b.wg.Go(func() { b.follow(ctx, watch) })
	}
	return b.unattend
}

func (b *Backend) unattend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watching--; b.watching == 0 {
		b.cancel()
	}
}

// follow delivers what is waited for whenever the file has changed.
func (b *Backend) follow(ctx context.Context, watch *sqlitedb.Watch) {
	defer watch.Stop()
	for {
		select {
		case <-watch.C:
		case <-ctx.Done():
			return
		}
		if err := b.deliver(ctx); err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "outcomes could not be read", "error", err)
		}
	}
}

// deliver looks for the states that are waited for.
func (b *Backend) deliver(ctx context.Context) error {
	waited := b.waiters.IDs()
	if len(waited) == 0 {
		return nil
	}
	ids, err := json.Marshal(waited)
	if err != nil {
		return err
	}
	rows, err := b.db.SQL().QueryContext(ctx, "SELECT "+columns+" FROM results WHERE id IN (SELECT value FROM json_each(?))", string(ids))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		meta, err := scan(rows.Scan)
		if err != nil {
			return err
		}
		b.waiters.Deliver(meta)
	}
	return rows.Err()
}
