package accessrecord

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// postgres keeps visits in PostgreSQL, through one connection per slot.
type postgres struct {
	cfg    Config
	conn   *pgx.ConnConfig
	tables tables
	slots  *pool.Resource[*pgx.Conn]
	layout atomic.Pointer[layout] // of the tables; nil until they are known to be there

	copyless atomic.Bool // the table takes INSERT alone
}

var _ store = (*postgres)(nil)

func newPostgres(cfg Config) (store, error) {
	conn, err := connConfig(cfg.Database)
	if err != nil {
		return nil, err
	}
	p := &postgres{cfg: cfg, conn: conn}
	if p.tables, err = newTables(cfg.Schema, cfg.Table); err != nil {
		return nil, err
	}
	p.slots = &pool.Resource[*pgx.Conn]{
		Name:        "access_record database",
		Open:        p.open,
		Close:       hangUp,
		Interrupt:   interrupt,
		Usable:      usable,
		Peek:        peek,
		Ping:        func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) },
		PingAfter:   time.Minute,
		OpenTimeout: cfg.Timeout,
		MaxAge:      cfg.MaxAge,
		Suspect:     func(err error) bool { return !refused(err) },
	}
	return p, nil
}

// hooks implements store.
func (p *postgres) hooks() []pool.Hook { return []pool.Hook{p.slots} }

// decoder implements store: columns of an existing table may be narrower than ours.
func (p *postgres) decoder() decoder {
	d := decoder{location: p.cfg.Location, now: now}
	if l := p.layout.Load(); l != nil {
		d.limits = l.limits
	}
	return d
}

// open connects a slot. A slot whose tables are not there, and cannot be made, takes no task.
func (p *postgres) open(ctx context.Context) (*pgx.Conn, error) {
	c, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	if p.layout.Load() == nil {
		if err := p.prepare(ctx, c); err != nil {
			closeConn(ctx, c)
			return nil, err
		}
	}
	return c, nil
}

// insert implements store.
func (p *postgres) insert(ctx context.Context, entries []*entry) {
	// Whoever stores the same ids at the same time locks them in the same order.
	slices.SortStableFunc(entries, func(a, b *entry) int { return strings.Compare(a.id, b.id) })
	_ = divide(entries, refused, func(piece []*entry) error { return p.outlast(ctx, piece) }) // the entries have it
}

// outlast stores entries, all or none. It may be repeated, so it outlasts the loss of its connection: it tries again on a new one until
// the patience of the configuration is over, and then asks to be retried later.
func (p *postgres) outlast(ctx context.Context, entries []*entry) error {
	giveUp := time.Now().Add(p.cfg.Patience)
	for try := 0; ; try++ {
		err := p.slots.Use(ctx, func(c *pgx.Conn) error { return p.store(ctx, c, entries) })
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("accessrecord: store visit: %w", context.Cause(ctx))
		case misused(err) || refused(err):
			return fmt.Errorf("accessrecord: store visit: %w", err)
		case missing(err):
			p.layout.Store(nil) // somebody dropped the table: look again before the next try
		}
		wait := backoff(try)
		if time.Now().Add(wait).After(giveUp) {
			return task.RetryAfter(fmt.Errorf("accessrecord: store visit: %w", err), retryLater)
		}
		p.cfg.Logger.WarnContext(ctx, "visit could not be stored yet", "task", TaskName, "id", entries[0].id, "visits", len(entries), "error", err, "retry_in", wait)
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("accessrecord: store visit: %w", err)
		}
	}
}

// store tries once to store entries, all or none.
func (p *postgres) store(ctx context.Context, c *pgx.Conn, entries []*entry) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	if p.layout.Load() == nil {
		if err := p.prepare(ctx, c); err != nil {
			return err
		}
	}
	if len(entries) == 1 {
		_, err := c.Exec(ctx, p.tables.insert, p.values(entries[0])...)
		return err
	}
	if !p.copyless.Load() {
		err := p.copy(ctx, c, distinct(entries))
		if !uncopyable(err) {
			return err
		}
		p.copyless.Store(true)
		p.cfg.Logger.WarnContext(ctx, "table takes no COPY: visits are inserted one by one", "table", p.cfg.Table, "error", err)
	}
	return p.insertEach(ctx, c, entries)
}

// values are the parameters of the statement that stores an entry.
func (p *postgres) values(e *entry) []any {
	v := e.visit
	return []any{e.id, v.Path, v.QueryStr, v.Address, v.UserAgent, v.Referer, p.clock(v.ATime), v.Source}
}

// clock is the time in the zone of the configuration, because a column without time zone keeps what the clock shows there.
func (p *postgres) clock(t time.Time) time.Time { return t.In(p.cfg.Location) }

// list implements store.
func (p *postgres) list(ctx context.Context, n int) ([]Row, error) {
	var rows []Row
	err := p.once(ctx, func(c *pgx.Conn) error {
		l, err := inspect(ctx, c, p.tables)
		if err != nil {
			return err
		}
		found, err := c.Query(ctx, p.tables.list(), n)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (r Row, err error) {
			err = row.Scan(&r.ID, &r.Path, &r.QueryStr, &r.Address, &r.UserAgent, &r.Referer, &r.ATime, &r.Source)
			r.ATime = l.time(r.ATime, p.cfg.Location)
			return r, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("accessrecord: list visits: %w", err)
	}
	return rows, nil
}

// migrate implements store.
func (p *postgres) migrate(ctx context.Context) error {
	if err := p.once(ctx, func(c *pgx.Conn) error { return migrate(ctx, c, p.tables) }); err != nil {
		return fmt.Errorf("accessrecord: migrate: %w", err)
	}
	return nil
}

// once runs fn with a connection of its own.
func (p *postgres) once(ctx context.Context, fn func(*pgx.Conn) error) error {
	c, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(ctx, c)
	return fn(c)
}

// close implements store. The slots close their connections themselves.
func (p *postgres) close() error { return nil }

// retryLater is when a task that has run out of patience is run again.
const retryLater = 30 * time.Second

// backoff is the wait after a try, counted from 0: 50 ms, doubling up to 2 s, less a random half.
func backoff(try int) time.Duration {
	d := 2 * time.Second
	if try < 5 {
		d = 50 * time.Millisecond << try
	}
	return d/2 + rand.N(d/2)
}

// sleep returns the cause when ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// now is the time of this moment, as exact as PostgreSQL and Python keep it.
func now() time.Time { return time.Now().Truncate(time.Microsecond) }
