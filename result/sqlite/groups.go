package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// SaveGroup implements result.GroupStore.
func (b *Backend) SaveGroup(ctx context.Context, group task.Ref) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	members, err := wire.EncodeGroup(group, nil)
	if err != nil {
		return fmt.Errorf("sqlite: save group: %w", err)
	}
	now := time.Now()
	err = b.db.Write(ctx, func(tx *sqlitedb.Tx) error {
		if _, err := tx.Exec("INSERT OR REPLACE INTO result_groups VALUES (?, ?, ?)", group.ID, members, b.expiry(now)); err != nil {
			return err
		}
		return b.sweep(tx, now)
	})
	if err != nil {
		return fmt.Errorf("sqlite: save group %s: %w", group.ID, err)
	}
	return nil
}

// Group implements result.GroupStore.
func (b *Backend) Group(ctx context.Context, id string) (task.Ref, bool, error) {
	if err := b.waiters.Err(); err != nil {
		return task.Ref{}, false, err
	}
	var members []byte
	row := b.db.SQL().QueryRowContext(ctx, "SELECT members FROM result_groups WHERE id = ? AND (expires_at = 0 OR expires_at > ?)", id, time.Now().UnixMicro())
	err := row.Scan(&members)
	if errors.Is(err, sql.ErrNoRows) {
		return task.Ref{}, false, nil
	}
	if err != nil {
		return task.Ref{}, false, fmt.Errorf("sqlite: look up group %s: %w", id, err)
	}
	group, err := wire.DecodeGroup(members, nil)
	if err != nil {
		return task.Ref{}, false, fmt.Errorf("sqlite: look up group %s: %w", id, err)
	}
	return group, true, nil
}

// ForgetGroup implements result.GroupStore.
func (b *Backend) ForgetGroup(ctx context.Context, id string) error {
	return b.delete(ctx, "DELETE FROM result_groups WHERE id = ?", id)
}
