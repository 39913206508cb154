package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// SaveGroup implements result.GroupStore.
func (b *Backend) SaveGroup(ctx context.Context, group task.Ref) error {
	what := "save the group " + group.ID
	if _, err := b.groups(ctx); err != nil {
		return b.failed(what, err)
	}
	tuple, err := wire.EncodeRef(group)
	if err != nil {
		return b.failed(what, fmt.Errorf("%w: %w", result.ErrInvalid, err))
	}
	return b.failed(what, b.exec(ctx, "INSERT INTO "+groupTable+`
			(group_id, date_created, date_done, content_type, content_encoding, result)
		VALUES ($1, now(), now(), $2, $3, $4)
		ON CONFLICT (group_id) DO UPDATE SET date_done = excluded.date_done, content_type = excluded.content_type,
			content_encoding = excluded.content_encoding, result = excluded.result`,
		group.ID, codec.JSON{}.ContentType(), codec.JSON{}.ContentEncoding(), string(tuple)))
}

// Group implements result.GroupStore.
func (b *Backend) Group(ctx context.Context, id string) (group task.Ref, found bool, err error) {
	r, err := b.group(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return task.Ref{}, false, nil
	}
	if err == nil {
		group, err = decodeGroup(r, b.cfg.Accept)
	}
	return group, err == nil, b.failed("look up the group "+id, err)
}

func (b *Backend) group(ctx context.Context, id string) (r row, err error) {
	l, err := b.groups(ctx)
	if err != nil {
		return row{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	err = b.pool.QueryRow(ctx, "SELECT content_type, content_encoding, result FROM "+groupTable+
		" WHERE group_id = $1 AND ($2::bigint = 0 OR date_done > now() - $2::bigint * interval '1 microsecond')", id, l.expires.Microseconds()).
		Scan(&r.contentType, &r.contentEncoding, &r.result)
	return r, err
}

func decodeGroup(r row, accept codec.Set) (task.Ref, error) {
	c, err := accept.ForContentType(r.contentType)
	if err != nil {
		return task.Ref{}, err
	}
	raw, err := content(r.contentEncoding, r.result)
	if err != nil {
		return task.Ref{}, err
	}
	return wire.DecodeRef(raw, c)
}

// ForgetGroup implements result.GroupStore.
func (b *Backend) ForgetGroup(ctx context.Context, id string) error {
	what := "forget the group " + id
	if _, err := b.groups(ctx); err != nil {
		return b.failed(what, err)
	}
	return b.failed(what, b.exec(ctx, "DELETE FROM "+groupTable+" WHERE group_id = $1", id))
}

// groups returns the layout when there is a table of groups.
func (b *Backend) groups(ctx context.Context) (*layout, error) {
	l, err := b.tables(ctx)
	if err == nil && !l.groups {
		return nil, fmt.Errorf("%w: the table %s is missing: run \"manage.py migrate django_celery_results\"", result.ErrAccess, groupTable)
	}
	return l, err
}
