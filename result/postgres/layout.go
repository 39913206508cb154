package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/result"
)

// defaultExpires is Celery's result_expires.
const defaultExpires = 24 * time.Hour

// layout is what the store must know of the tables. They are Django's to migrate, so columns may be missing.
type layout struct {
	widths  map[string]int // columns of the table of tasks, with their characters; 0 is any number
	groups  bool           // there is a table of groups
	pushed  bool           // the trigger announces what others write
	expires time.Duration  // how long a row counts after its date_done; 0 is for ever
	upsert  string
	sources []source // of the upsert's parameters
	lookup  string
	chords  atomic.Bool // what counts chords is there, too
}

// has reports whether the table of tasks has the column.
func (l *layout) has(column string) bool {
	_, ok := l.widths[column]
	return ok
}

// tables returns the layout of the tables, created when they are missing.
func (b *Backend) tables(ctx context.Context) (*layout, error) {
	if err := b.waiters.Err(); err != nil {
		return nil, err
	}
	if l := b.layout.Load(); l != nil {
		return l, nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	select {
	case b.looking <- struct{}{}:
		defer func() { <-b.looking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l := b.layout.Load(); l != nil {
		return l, nil
	}
	c, err := b.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	l, err := b.prepare(ctx, c.Conn())
	if err != nil {
		return nil, err
	}
	b.layout.Store(l)
	return l, nil
}

// prepare looks at the tables, and creates them where there is no Django.
func (b *Backend) prepare(ctx context.Context, c *pgx.Conn) (*layout, error) {
	widths, needed, err := columns(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(widths) == 0 {
		if err := create(ctx, c); pgdial.State(err) == "42501" {
			return nil, forbidden(err)
		} else if err != nil {
			return nil, err
		}
		b.cfg.Logger.InfoContext(ctx, "result tables created", "table", taskTable)
		if widths, needed, err = columns(ctx, c); err != nil {
			return nil, err
		}
	}
	if err := usable(widths, needed); err != nil {
		return nil, err
	}
	l := &layout{widths: widths}
	err = c.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL,
			EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass($2) AND tgname = $3 AND tgenabled <> 'D')`,
		groupTable, taskTable, triggerName).Scan(&l.groups, &l.pushed)
	if err != nil {
		return nil, err
	}
	if l.expires, err = b.expires(ctx, c); err != nil {
		return nil, err
	}
	l.build()
	return l, nil
}

// columns reads which columns the table of tasks has, and which of them need a value.
func columns(ctx context.Context, q querier) (widths map[string]int, needed []string, err error) {
	rows, err := q.Query(ctx, `SELECT attname, CASE WHEN atttypid = 'varchar'::regtype AND atttypmod > 4 THEN atttypmod - 4 ELSE 0 END,
			attnotnull AND NOT atthasdef AND attidentity = ''
		FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, taskTable)
	if err != nil {
		return nil, nil, err
	}
	widths = map[string]int{}
	var name string
	var width int
	var need bool
	_, err = pgx.ForEachRow(rows, []any{&name, &width, &need}, func() error {
		widths[name] = width
		if need {
			needed = append(needed, name)
		}
		return nil
	})
	return widths, needed, err
}

// usable names what is wrong with a table that was found.
func usable(widths map[string]int, needed []string) error {
	var missing []string
	var known []string
	for _, s := range sources() {
		if _, ok := widths[s.column]; !ok && s.required {
			missing = append(missing, s.column)
		}
		known = append(known, s.column)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: table %s has no column %s: run \"manage.py migrate django_celery_results\"",
			result.ErrAccess, taskTable, list(missing))
	}
	for _, column := range needed {
		if !slices.Contains(known, column) {
			return fmt.Errorf("%w: column %s of table %s needs a value that nobody here knows: give it a default",
				result.ErrAccess, column, taskTable)
		}
	}
	return nil
}

// expires is how long rows are kept. Those of a Django site are deleted only if the configuration says so.
func (b *Backend) expires(ctx context.Context, q querier) (time.Duration, error) {
	if b.cfg.Expires != 0 {
		return max(b.cfg.Expires, 0), nil
	}
	django, err := site(ctx, q)
	if err != nil || django {
		return 0, err
	}
	return defaultExpires, nil
}

// build writes the statements for the columns that are there.
func (l *layout) build() {
	var names, kinds, params, updates, values []string
	for _, s := range sources() {
		if !l.has(s.column) {
			continue
		}
		names = append(names, s.column)
		if s.given() {
			l.sources = append(l.sources, s)
			params = append(params, s.column)
			kinds = append(kinds, fmt.Sprintf("$%d::%s[]", len(params), s.kind()))
		}
		value := s.value
		if value == "" {
			value = "n." + s.column
		}
		values = append(values, value)
		if s.update != "" {
			updates = append(updates, s.column+" = "+s.update)
		} else if s.given() && s.column != "task_id" {
			updates = append(updates, s.column+" = excluded."+s.column)
		}
	}
	expired, fresh := "", ""
	if l.expires > 0 {
		age := fmt.Sprintf("now() - %d * interval '1 microsecond'", l.expires.Microseconds())
		expired, fresh = " OR t.date_done <= "+age, " AND t.date_done > "+age
	}
	// The announcement is part of the statement: it goes out with the commit, neither earlier nor without it.
	l.upsert = "WITH stored AS (INSERT INTO " + taskTable + " AS t (" + list(names) + ") SELECT " + list(values) +
		" FROM unnest(" + list(kinds) + ") AS n(" + list(params) + ") ON CONFLICT (task_id) DO UPDATE SET " + list(updates) +
		" WHERE t.status <> 'SUCCESS'" + expired + " RETURNING task_id)" +
		" SELECT task_id, CASE WHEN octet_length(task_id) < 8000 THEN pg_notify('" + channel + "', task_id)::text END FROM stored"
	read := make([]string, 0, len(readColumns()))
	for _, column := range readColumns() {
		if l.has(column) {
			read = append(read, "t."+column)
		} else {
			read = append(read, "NULL")
		}
	}
	l.lookup = "SELECT " + strings.Join(read, ", ") + " FROM " + taskTable + " AS t WHERE t.task_id = ANY($1)" + fresh
}
