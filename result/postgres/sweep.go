package postgres

import (
	"context"
	"time"

	"github.com/seed-399731e2/taskq/internal/pgdial"
)

const (
	sweepRows  = 1000 // expired rows that are deleted at once
	sweepEvery = time.Minute
)

// sweep deletes what has expired, in small pieces, as part of the process that stores.
type sweep struct{ due time.Time }

func newSweep() *sweep { return &sweep{} }

// maybe deletes some if it is time; it comes back soon when there are more.
func (s *sweep) maybe(ctx context.Context, b *Backend) {
	l := b.layout.Load()
	if l == nil || time.Now().Before(s.due) {
		return
	}
	more, err := b.deleteExpired(ctx, l)
	if err != nil && ctx.Err() == nil {
		b.cfg.Logger.WarnContext(ctx, "expired outcomes could not be deleted", "error", pgdial.Plain(err))
	}
	s.due = time.Now().Add(min(sweepEvery, claimed(l)/10))
	if more {
		s.due = time.Now().Add(sweepEvery / 100)
	}
}

// Cleanup implements result.Cleaner. Nothing of a Django site's is deleted unless Config.Expires is set.
func (b *Backend) Cleanup(ctx context.Context) error {
	const what = "delete what has expired"
	l, err := b.tables(ctx)
	for more := true; more && err == nil; {
		more, err = b.deleteExpired(ctx, l)
	}
	return b.failed(what, err)
}

// deleteExpired deletes some of the rows that have expired: the oldest of tasks and groups by date_done, as celery.backend_cleanup does
// (django_celery_results/managers.py, delete_expired), and of chords, for which Django has no date, those that were not touched here.
// Rows that somebody else is deleting are left to them.
func (b *Backend) deleteExpired(ctx context.Context, l *layout) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	var statements []string
	if l.expires > 0 {
		statements = append(statements, expired(taskTable, "date_done"))
		if l.groups {
			statements = append(statements, expired(groupTable, "date_done"))
		}
	}
	var counted bool
	if err := b.pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", "taskq_claims").Scan(&counted); err != nil {
		return false, err
	}
	if counted && l.expires > 0 {
		statements = append(statements, "DELETE FROM "+chordTable+" WHERE id IN (SELECT c.id FROM "+chordTable+" AS c JOIN taskq_chords AS t ON t.id = c.id"+
			" WHERE t.touched <= now() - $1::bigint * interval '1 microsecond' ORDER BY t.touched LIMIT $2 FOR UPDATE OF c SKIP LOCKED)")
	}
	if counted { // a chord whose counter is gone is Python's to have finished
		statements = append(statements, expired("taskq_claims", "touched"), "DELETE FROM taskq_chords WHERE id IN (SELECT t.id FROM taskq_chords AS t"+
			" WHERE t.touched <= now() - $1::bigint * interval '1 microsecond' AND NOT EXISTS (SELECT FROM "+chordTable+" AS c WHERE c.id = t.id)"+
			" ORDER BY t.touched LIMIT $2 FOR UPDATE SKIP LOCKED)")
	}
	for _, statement := range statements {
		tag, err := b.pool.Exec(ctx, statement, claimed(l).Microseconds(), sweepRows)
		if err != nil {
			return false, err
		}
		more = more || tag.RowsAffected() == sweepRows
	}
	return more, nil
}

// expired deletes rows of a table by the age of a column.
func expired(table, column string) string {
	return "DELETE FROM " + table + " WHERE id IN (SELECT id FROM " + table + " WHERE " + column +
		" <= now() - $1::bigint * interval '1 microsecond' ORDER BY " + column + " LIMIT $2 FOR UPDATE SKIP LOCKED)"
}
