package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-399731e2/taskq/internal/pgdial"
)

// Config says where an outbox is.
type Config struct {
	// URL of the database, postgres://user:password@host/name, with the parameters of libpq and pgx: sslmode, search_path,
	// pool_max_conns (default 4) and the like.
	URL   string
	Table Table // in it
	// Timeout bounds each statement; 0 means 10 s.
	Timeout time.Duration
	Logger  *slog.Logger // nil: slog.Default
}

const (
	maxConns       = 4 // unless the URL says otherwise
	connectTimeout = 5 * time.Second
)

func (c *Config) complete() error {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c.Table.Validate()
}

// Store is what people and programs that have no transaction of their own do with an outbox. Make it with Open.
type Store struct {
	cfg  Config
	pool *pgxpool.Pool
}

var _ Tx = (*Store)(nil)

// Open returns the store. It connects to nothing: a server that is away shows when it is used. Close must be called.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if scheme, _, ok := strings.Cut(cfg.URL, "://"); ok && scheme != "postgres" && scheme != "postgresql" {
		return nil, fmt.Errorf("outbox: database %s: %w: use postgres://user:password@host/name", pgdial.Redacted(cfg.URL), ErrAccess)
	}
	conf, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("outbox: database %s: %w: %w", pgdial.Redacted(cfg.URL), ErrAccess, pgdial.Reason(err))
	}
	prepare(conf.ConnConfig)
	if !strings.Contains(cfg.URL, "pool_max_conns") {
		conf.MaxConns = maxConns
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), conf) // it outlives who opened it
	if err != nil {
		return nil, fmt.Errorf("outbox: database %s: %w", pgdial.Redacted(cfg.URL), explain(err, cfg.Table))
	}
	return &Store{cfg: cfg, pool: pool}, nil
}

// prepare adds what finds dead peers, and a bound for connecting.
func prepare(conf *pgx.ConnConfig) {
	pgdial.Prepare(conf)
	if t := conf.ConnectTimeout; t == 0 || t == 2*time.Minute { // pgx's default
		conf.ConnectTimeout = connectTimeout
	}
}

// Migrate creates the table and its indexes, as far as they are missing.
func (s *Store) Migrate(ctx context.Context) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.failed("migrate", err)
	}
	defer c.Release()
	return s.failed("migrate", migrate(ctx, c.Conn(), s.cfg.Table))
}

// Exec implements Tx: each statement is a transaction of its own. See Insert.
func (s *Store) Exec(ctx context.Context, statement string, args ...any) (pgconn.CommandTag, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	return s.pool.Exec(ctx, statement, args...)
}

// Insert writes the entries in a transaction of its own. A table that is missing is made, as far as the user may.
func (s *Store) Insert(ctx context.Context, entries ...Entry) error {
	err := Insert(ctx, s, s.cfg.Table, entries...)
	if !errors.Is(err, ErrNoTable) {
		return err
	}
	if made := s.Migrate(ctx); made != nil {
		return fmt.Errorf("%w (%w)", err, made)
	}
	return Insert(ctx, s, s.cfg.Table, entries...)
}

// Close closes the connections. A server that does not answer does not hold it up longer than ctx lasts.
func (s *Store) Close(ctx context.Context) error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.pool.Close() // it says goodbye to the server and waits for those who use a connection
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("outbox: close: connections are still in use: %w", ctx.Err())
	}
}

func (s *Store) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("outbox: %s: %w", what, explain(err, s.cfg.Table))
}
