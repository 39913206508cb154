package sqlite

import (
	"context"
	"encoding/json"
	"time"

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
	var again <-chan time.Time
	for seen := int64(unknown); ; {
		select {
		case <-watch.C:
		case <-again:
		case <-ctx.Done():
			return
		}
		newest, err := b.deliver(ctx, seen)
		if again = nil; err == nil {
			seen = newest
		} else if ctx.Err() == nil {
			b.log.WarnContext(ctx, "outcomes could not be read", "error", err)
			again = time.After(lookAgain)
		}
	}
}

const (
	unknown   = -1 // no change has been seen yet
	lookAgain = time.Second
)

// deliver reads what is waited for and has changed since a change that was seen, and returns the newest one. At first that is whatever
// is waited for.
func (b *Backend) deliver(ctx context.Context, seen int64) (newest int64, err error) {
	var ids []string
	if seen == unknown {
		err = b.db.SQL().QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM results").Scan(&newest)
		ids = b.waiters.IDs() // who comes later looks after that change
	} else {
		newest, ids, err = b.changed(ctx, seen)
	}
	if err != nil || len(ids) == 0 {
		return newest, err
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return newest, err
	}
	rows, err := b.db.SQL().QueryContext(ctx, "SELECT "+columns+" FROM results WHERE id IN (SELECT value FROM json_each(?)) AND (expires_at = 0 OR expires_at > ?)", string(list), time.Now().UnixMicro())
	if err != nil {
		return newest, err
	}
	defer rows.Close()
	for rows.Next() {
		meta, err := b.scan(rows.Scan)
		if err != nil {
			return newest, err
		}
		b.waiters.Deliver(meta)
	}
	return newest, rows.Err()
}

// changed returns which of the tasks that are waited for have changed.
func (b *Backend) changed(ctx context.Context, seen int64) (newest int64, ids []string, err error) {
	rows, err := b.db.SQL().QueryContext(ctx, "SELECT seq, id FROM results WHERE seq > ? ORDER BY seq", seen)
	if err != nil {
		return seen, nil, err
	}
	defer rows.Close()
	newest = seen
	for rows.Next() {
		var id string
		if err := rows.Scan(&newest, &id); err != nil {
			return seen, nil, err
		}
		if b.waiters.Waited(id) {
			ids = append(ids, id)
		}
	}
	return newest, ids, rows.Err()
}
