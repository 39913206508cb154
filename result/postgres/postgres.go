// Package postgres keeps outcomes in PostgreSQL, in the tables of django-celery-results: Python's Celery reads what Go wrote with the
// backend "django-db", Go reads what Python wrote, and a Django admin shows both (docs/adr/0013-results-in-postgresql.md).
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/internal/waiters"
	"github.com/seed-399731e2/taskq/task"
)

// Config is what a Backend is made of.
type Config struct {
	// URL of the database, postgres://user:password@host/name, with the parameters of libpq and pgx: sslmode, search_path,
	// pool_max_conns (default 4; one more is used for waiting) and the like.
	URL string
	// Expires is how long an outcome is kept. 0 means a day, Celery's result_expires; in the database of a Django site it means that
	// nothing is deleted, since the site's celery.backend_cleanup does that. Negative means for ever.
	Expires time.Duration
	// Timeout bounds each statement; 0 means 10 s.
	Timeout time.Duration
	// Accept holds the codecs that outcomes of others may be encoded with; nil means JSON alone.
	Accept codec.Set
	Logger *slog.Logger // nil: slog.Default
}

const (
	maxConns       = 4 // unless the URL says otherwise
	connectTimeout = 5 * time.Second
)

// Backend is the result store in PostgreSQL. Make it with Open.
type Backend struct {
	cfg     Config
	pool    *pgxpool.Pool
	waiters waiters.Set
	layout  atomic.Pointer[layout] // of the tables; nil until they are known to be there
	looking chan struct{}          // one place, for who looks at the tables
	queue   chan *request          // outcomes to be written
	reader  reader
	cancel  context.CancelFunc
	ended   <-chan struct{} // closed by Close
	wg      sync.WaitGroup
}

var (
	_ result.Backend    = (*Backend)(nil)
	_ result.GroupStore = (*Backend)(nil)
	_ result.Joiner     = (*Backend)(nil)
	_ result.Cleaner    = (*Backend)(nil)
	_ result.Checker    = (*Backend)(nil)
)

// Open returns the store. It connects to nothing: a server that is away shows when it is used. Close must be called.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Accept == nil {
		cfg.Accept = codec.NewSet(codec.JSON{})
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	conf, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: result store %s: %w: %w", pgdial.Redacted(cfg.URL), result.ErrAccess, pgdial.Reason(err))
	}
	pgdial.Prepare(conf.ConnConfig)
	if !strings.Contains(cfg.URL, "pool_max_conns") {
		conf.MaxConns = maxConns
	}
	if t := conf.ConnConfig.ConnectTimeout; t == 0 || t == 2*time.Minute { // pgx's default
		conf.ConnConfig.ConnectTimeout = connectTimeout
	}
	ctx = context.WithoutCancel(ctx) // the store outlives who opened it
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("postgres: result store %s: %w", pgdial.Redacted(cfg.URL), pgdial.Plain(err))
	}
	b := &Backend{cfg: cfg, pool: pool, looking: make(chan struct{}, 1), queue: make(chan *request)}
	b.reader.wake = make(chan struct{}, 1)
	ctx, b.cancel = context.WithCancel(ctx)
	b.ended = ctx.Done()
	b.wg.Go(func() { b.write(ctx) })
	b.wg.Go(func() { b.follow(ctx) })
	return b, nil
}

// Check implements result.Checker.
func (b *Backend) Check(ctx context.Context) error {
	_, err := b.tables(ctx)
	return b.failed("check the tables", err)
}

// Get implements task.Results.
func (b *Backend) Get(ctx context.Context, id string) (task.Meta, error) {
	found, err := b.read(ctx, []string{id})
	if err != nil {
		return task.Meta{}, b.failed("look up "+id, err)
	}
	if len(found) == 0 {
		return task.Meta{ID: id, State: task.Pending}, nil
	}
	return decode(found[0], b.cfg.Accept)
}

// Forget implements task.Results.
func (b *Backend) Forget(ctx context.Context, id string) error {
	return b.failed("forget "+id, b.exec(ctx, "DELETE FROM "+taskTable+" WHERE task_id = $1", id))
}

// exec runs one statement on tables that are there.
func (b *Backend) exec(ctx context.Context, statement string, args ...any) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	if _, err := b.tables(ctx); err != nil {
		return err
	}
	_, err := b.pool.Exec(ctx, statement, args...)
	return err
}

// Close implements result.Backend. A server that does not answer does not hold it up longer than ctx lasts.
func (b *Backend) Close(ctx context.Context) error {
	b.waiters.Close(fmt.Errorf("postgres: %w", result.ErrClosed))
	b.cancel()
	b.wg.Wait()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		b.pool.Close() // it says goodbye to the server and waits for those who use a connection
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("postgres: close: connections are still in use: %w", ctx.Err())
	}
}
