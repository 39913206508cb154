// Package postgres keeps places and turns in PostgreSQL, in two tables and a function of its own. What is decided is decided by the
// function, on rows that it has locked and by the server's clock: from here come only durations, and a process that stops in the middle
// of a call holds up nobody.
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

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/limit/internal/measure"
)

// Config is what a Store is made of.
type Config struct {
	// URL of the database, postgres://user:password@host/name, with the parameters of libpq and pgx: sslmode, search_path and the like.
	URL string
	// Timeout bounds each statement; 0 means 10 s.
	Timeout time.Duration
	// Sweep is how often what nobody uses any more is deleted, while the store is used; 0 means a minute.
	Sweep  time.Duration
	Logger *slog.Logger // nil: slog.Default
}

const (
	maxConns       = 2 // unless the URL says otherwise: one writes at a time
	connectTimeout = 5 * time.Second
)

// Store is the store in PostgreSQL. Make it with Open.
type Store struct {
	cfg    Config
	pool   *pgxpool.Pool
	ready  atomic.Bool // the tables are known to be there
	queue  chan *call
	life   context.Context //nolint:containedctx // done once the store is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

var _ limit.Store = (*Store)(nil)

// Open returns the store. It connects to nothing: a server that is away shows when it is used. A URL that cannot be read is an error that
// wraps limit.ErrAccess. Close must be called.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Sweep == 0 {
		cfg.Sweep = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	conf, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: limit store %s: %w: %w", pgdial.Redacted(cfg.URL), limit.ErrAccess, pgdial.Reason(err))
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
		return nil, fmt.Errorf("postgres: limit store %s: %w", pgdial.Redacted(cfg.URL), pgdial.Plain(err))
	}
	s := &Store{cfg: cfg, pool: pool, queue: make(chan *call)}
	s.life, s.cancel = context.WithCancel(ctx)
	s.wg.Go(s.write)
	return s, nil
}

// Acquire implements limit.Store. It tries once.
func (s *Store) Acquire(ctx context.Context, claim limit.Claim) (limit.Grant, error) {
	claim, err := measure.Claim(claim)
	if err != nil {
		return limit.Grant{}, fmt.Errorf("postgres: acquire a place: %w", err)
	}
	a, err := s.call(ctx, &call{op: opAcquire, key: claim.Key, owner: claim.Owner, places: int64(claim.Places), span: measure.Micros(claim.TTL)})
	if err != nil {
		return limit.Grant{}, s.failed(fmt.Sprintf("acquire a place of %q", claim.Key), err)
	}
	return limit.Grant{Held: a.held, Fresh: a.fresh, Holder: string(a.holder)}, nil
}

// Extend implements limit.Store. It tries once.
func (s *Store) Extend(ctx context.Context, key, owner string, ttl time.Duration) error {
	ttl, err := measure.Place(key, owner, ttl)
	if err != nil {
		return fmt.Errorf("postgres: extend a place: %w", err)
	}
	a, err := s.call(ctx, &call{op: opExtend, key: key, owner: owner, span: measure.Micros(ttl)})
	if err == nil && !a.held {
		err = limit.ErrLost
	}
	return s.failed(fmt.Sprintf("extend the place of %q", key), err)
}

// Release implements limit.Store. It tries once.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	if _, err := measure.Place(key, owner, 1); err != nil {
		return fmt.Errorf("postgres: release a place: %w", err)
	}
	_, err := s.call(ctx, &call{op: opRelease, key: key, owner: owner})
	return s.failed(fmt.Sprintf("release the place of %q", key), err)
}

// Reserve implements limit.Store. It tries once.
func (s *Store) Reserve(ctx context.Context, key string, rate limit.Rate, horizon time.Duration) (time.Duration, error) {
	t, err := measure.NewTurn(key, rate, horizon)
	if err != nil {
		return 0, fmt.Errorf("postgres: reserve a turn: %w", err)
	}
	a, err := s.call(ctx, &call{
		op: opReserve, key: key, span: measure.Micros(t.Every), slack: measure.Micros(t.Slack), horizon: measure.Micros(t.Horizon),
	})
	var wait time.Duration
	if err == nil {
		wait, err = t.Answer(time.Duration(a.wait)*time.Microsecond, horizon)
	}
	if err != nil {
		return 0, s.failed(fmt.Sprintf("reserve a turn of %q", key), err)
	}
	return wait, nil
}

// Close implements limit.Store. A server that does not answer does not hold it up longer than ctx lasts.
func (s *Store) Close(ctx context.Context) error {
	s.cancel()
	s.wg.Wait()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.pool.Close() // it says goodbye to the server
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("postgres: close the limit store: connections are still in use: %w", ctx.Err())
	}
}
