package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Migrate brings a room's tables up to date: steps are applied in order, each once in the life of the file, however many processes
// start at the same time. Steps are only ever appended. A file from a newer taskq is refused.
func (db *DB) Migrate(ctx context.Context, room string, steps []string) error {
	if db.migrated(ctx, room) == len(steps) {
		return nil
	}
	err := db.Write(ctx, func(tx *Tx) error { return migrate(tx, room, steps) })
	if err != nil {
		return fmt.Errorf("sqlitedb: migrate %s in %s: %w", room, db.path, err)
	}
	return nil
}

// migrated looks without a lock, so that opening a file that is up to date writes nothing.
func (db *DB) migrated(ctx context.Context, room string) int {
	var done int
	if err := db.pool.QueryRowContext(ctx, "SELECT version FROM schema_versions WHERE room = ?", room).Scan(&done); err != nil {
		return -1 // the table does not exist yet, or the write will tell
	}
	return done
}

func migrate(tx *Tx, room string, steps []string) error {
	if _, err := tx.Exec("CREATE TABLE IF NOT EXISTS schema_versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"); err != nil {
		return err
	}
	var done int
	err := tx.QueryRow("SELECT version FROM schema_versions WHERE room = ?", []any{room}, &done)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if done > len(steps) {
		return fmt.Errorf("its version is %d, this program knows up to %d: use a newer taskq or another file", done, len(steps))
	}
	for i, step := range steps[done:] {
		if err := tx.script(step); err != nil {
			return fmt.Errorf("step %d: %w", done+i+1, err)
		}
	}
	_, err = tx.Exec("INSERT INTO schema_versions VALUES (?, ?) ON CONFLICT (room) DO UPDATE SET version = excluded.version", room, len(steps))
	return err
}

// script runs statements that are needed once.
func (tx *Tx) script(statements string) error {
	_, err := tx.writer.conn.ExecContext(tx.ctx, statements)
	return err
}
