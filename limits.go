package taskq

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/limit"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	limitpostgres "github.com/seed-399731e2/taskq/limit/postgres"
	limitredis "github.com/seed-399731e2/taskq/limit/redis"
	limitsqlite "github.com/seed-399731e2/taskq/limit/sqlite"
	resultredis "github.com/seed-399731e2/taskq/result/redis"
)

// Limits returns the store that locks, unique tasks and limits of all workers together are kept in, opened on first use; nil when there
// is none. It is closed with the application.
func (a *App) Limits(ctx context.Context) (limit.Store, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.limits.open(ctx, c, a.cfg)
}

// checkLimits fills in what suits the broker and the results, and refuses what no room here speaks.
func checkLimits(cfg *Config) error {
	if cfg.LimitStore == "" {
		cfg.LimitStore = defaultLimits(cfg)
	}
	switch s := scheme(cfg.LimitStore); s {
	case schemeMemory, schemeSQLite, schemePostgres, schemeDisabled:
	case "postgresql":
		cfg.LimitStore = schemePostgres + cfg.LimitStore[len(s):]
	case schemeRedis, schemeRediss:
		if err := resultredis.CheckURL(cfg.LimitStore); err != nil {
			return fmt.Errorf("taskq: limit store: %w", err)
		}
	case "":
		return fmt.Errorf("taskq: limit store without a scheme: %w: use redis://host:6379/0 or postgres://user@host/name", broker.ErrInvalid)
	default:
		return fmt.Errorf("taskq: limit store with the scheme %q: %w: use redis://, postgres://, sqlite:///, memory:// or disabled://", s, broker.ErrInvalid)
	}
	return nil
}

// defaultLimits is where all who share the broker agree already: in its own store, or where their outcomes are.
func defaultLimits(cfg *Config) string {
	if s := scheme(cfg.BrokerURL); cfg.Broker == nil && (s == schemeSQLite || s == schemeMemory) {
		return s + ":" // the broker's own
	}
	switch scheme(cfg.ResultBackend) {
	case schemeRedis, schemeRediss, schemePostgres, schemeSQLite:
		if cfg.Results == nil {
			return cfg.ResultBackend
		}
	}
	return schemeDisabled + ":"
}

// limits is the store of an application, which many of them never need.
type limits struct {
	opening chan struct{} // one place, for who opens or closes it
	store   limit.Store   // nil until it is needed, or when there is none
	file    *sqlitedb.DB  // its own, when it is none of the others'
	closed  bool
}

// open returns the store, opened by the first who needs it.
func (l *limits) open(ctx context.Context, c *connection, cfg Config) (limit.Store, error) {
	select {
	case l.opening <- struct{}{}:
		defer func() { <-l.opening }()
	case <-ctx.Done():
		return nil, fmt.Errorf("taskq: limit store: %w: %w", limit.ErrUnavailable, ctx.Err())
	}
	if l.closed {
		return nil, fmt.Errorf("taskq: %w", ErrClosed)
	}
	if l.store != nil {
		return l.store, nil
	}
	store, err := l.openStore(ctx, c, cfg)
	if err != nil {
		return nil, fmt.Errorf("taskq: %w", err)
	}
	l.store = store
	return store, nil
}

func (l *limits) openStore(ctx context.Context, c *connection, cfg Config) (limit.Store, error) {
	switch scheme(cfg.LimitStore) {
	case schemeMemory:
		return limitmem.New(), nil
	case schemeRedis, schemeRediss:
		return opened(limitredis.Open(ctx, limitredis.Config{
			URL: cfg.LimitStore, KeyPrefix: resultredis.KeyPrefix(cfg.ResultKeyPrefix) + limitredis.DefaultPrefix, Lazy: cfg.WaitForBroker, Logger: cfg.Logger,
		}))
	case schemePostgres:
		return opened(limitpostgres.Open(ctx, limitpostgres.Config{URL: cfg.LimitStore, Logger: cfg.Logger}))
	case schemeSQLite:
		db, err := l.openFile(ctx, c, cfg)
		if err != nil {
			return nil, err
		}
		return opened(limitsqlite.Open(ctx, limitsqlite.Config{DB: db}))
	}
	return nil, nil
}

// opened makes no store of an error's nil pointer.
func opened[S limit.Store](store S, err error) (limit.Store, error) {
	if err != nil {
		return nil, err
	}
	return store, nil
}

// openFile returns the file that the URL names: the broker's, that of the results, or one more.
func (l *limits) openFile(ctx context.Context, c *connection, cfg Config) (*sqlitedb.DB, error) {
	if c.store != nil && (strings.TrimLeft(strings.TrimPrefix(cfg.LimitStore, schemeSQLite), ":/") == "" || cfg.LimitStore == cfg.BrokerURL) {
		return c.store, nil
	}
	if c.other != nil && cfg.LimitStore == cfg.ResultBackend {
		return c.other, nil
	}
	if l.file != nil {
		return l.file, nil // an earlier call came as far as this
	}
	var err error
	l.file, err = openStore(ctx, cfg.LimitStore, cfg.Logger)
	return l.file, err
}

// close closes what was opened, after whoever opens it now.
func (l *limits) close(ctx context.Context) error {
	select {
	case l.opening <- struct{}{}:
		defer func() { <-l.opening }()
	case <-ctx.Done():
		return fmt.Errorf("taskq: close the limit store: it is being opened: %w", ctx.Err())
	}
	l.closed = true
	var errs []error
	if l.store != nil {
		errs = append(errs, l.store.Close(ctx))
	}
	if l.file != nil {
		errs = append(errs, l.file.Close())
	}
	return errors.Join(errs...)
}
