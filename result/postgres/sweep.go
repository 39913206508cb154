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
	if l == nil || l.expires == 0 || time.Now().Before(s.due) {
		return
	}
	more, err := b.deleteExpired(ctx, l)
	if err != nil && ctx.Err() == nil {
		b.cfg.Logger.WarnContext(ctx, "expired outcomes could not be deleted", "error", pgdial.Plain(err))
	}
	s.due = time.Now().Add(min(sweepEvery, l.expires/10))
	if more {
		s.due = time.Now().Add(sweepEvery / 100)
	}
}

// deleteExpired deletes the oldest rows of both tables by date_done, as celery.backend_cleanup does (django_celery_results/managers.py,
// delete_expired). Rows that somebody else is deleting are left to them.
func (b *Backend) deleteExpired(ctx context.Context, l *layout) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	tables := []string{taskTable}
	if l.groups {
		tables = append(tables, groupTable)
	}
	for _, table := range tables {
		tag, err := b.pool.Exec(ctx, "DELETE FROM "+table+" WHERE id IN (SELECT id FROM "+table+
			" WHERE date_done <= now() - $1::bigint * interval '1 microsecond' ORDER BY date_done LIMIT $2 FOR UPDATE SKIP LOCKED)",
			l.expires.Microseconds(), sweepRows)
		if err != nil {
			return false, err
		}
		more = more || tag.RowsAffected() == sweepRows
	}
	return more, nil
}
