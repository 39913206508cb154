package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

const (
	// sweepRows expired rows of a table at the most are deleted by one write, and by the next one again until none are left.
	sweepRows  = 500
	sweepPause = time.Second // at the least, once none are left; else a tenth of the time that outcomes are kept
)

// sweeps delete some of what has expired at a time. A chord goes when the last of its tasks has gone.
func sweeps() []string {
	return []string{
		"DELETE FROM results WHERE seq IN (SELECT seq FROM results WHERE expires_at > 0 AND expires_at <= ? LIMIT ?)",
		"DELETE FROM result_groups WHERE id IN (SELECT id FROM result_groups WHERE expires_at > 0 AND expires_at <= ? LIMIT ?)",
		`DELETE FROM result_chord_tasks WHERE rowid IN (SELECT t.rowid FROM result_chords AS c JOIN result_chord_tasks AS t ON t.chord = c.id
			WHERE c.expires_at > 0 AND c.expires_at <= ? LIMIT ?)`,
		`DELETE FROM result_chords WHERE id IN (SELECT id FROM result_chords AS c WHERE expires_at > 0 AND expires_at <= ?
			AND NOT EXISTS (SELECT 1 FROM result_chord_tasks WHERE chord = c.id) LIMIT ?)`,
		"DELETE FROM result_claims WHERE id IN (SELECT id FROM result_claims WHERE expires_at <= ? LIMIT ?)",
	}
}

// sweep deletes some of what has expired, when it is time to.
func (b *Backend) sweep(tx *sqlitedb.Tx, now time.Time) error {
	if now.UnixMicro() < b.sweepAt.Load() {
		return nil
	}
	more, err := sweep(tx, now)
	if err == nil && !more {
		expires := b.expires
		if expires < 0 {
			expires = defaultExpires // that of claims
		}
		b.sweepAt.Store(now.Add(max(expires/10, sweepPause)).UnixMicro())
	}
	return err
}

func sweep(tx *sqlitedb.Tx, now time.Time) (more bool, err error) {
	for _, statement := range sweeps() {
		swept, err := tx.Exec(statement, now.UnixMicro(), sweepRows)
		if err != nil {
			return false, err
		}
		more = more || swept == sweepRows
	}
	return more, nil
}

// Cleanup implements result.Cleaner, in writes that hold nobody up for long.
func (b *Backend) Cleanup(ctx context.Context) error {
	now := time.Now()
	for more := true; more; {
		if err := b.waiters.Err(); err != nil {
			return err
		}
		err := b.db.Write(ctx, func(tx *sqlitedb.Tx) (err error) {
			more, err = sweep(tx, now)
			return err
		})
		if err != nil {
			return fmt.Errorf("sqlite: delete what has expired: %w", err)
		}
	}
	return nil
}
