// Package sqlite keeps outcomes in the embedded store, where every process that shares the file finds them.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/internal/waiters"
	"github.com/seed-399731e2/taskq/task"
)

// Config is what a Backend is made of.
type Config struct {
	// DB is the open file; it stays the caller's to close.
	DB *sqlitedb.DB
	// Expires is how long an outcome is kept; 0 means a day, Celery's result_expires; negative means for ever.
	Expires time.Duration
	// Accept are the codecs of results that may be kept beside JSON.
	Accept codec.Set
	Logger *slog.Logger // nil: slog.Default
}

const (
	room  = "result" // of the schema
	topic = "result" // of the watch

	defaultExpires = 24 * time.Hour // Celery's result_expires
)

// Backend is the result store in an SQLite file. Make it with Open.
type Backend struct {
	db      *sqlitedb.DB
	expires time.Duration
	accept  codec.Set
	log     *slog.Logger
	waiters waiters.Set
	lookup  *sql.Stmt
	sweepAt atomic.Int64 // µs since 1970

	mu       sync.Mutex         // guards watching
	watching int                // calls of Wait under way
	cancel   context.CancelFunc // ends the watching goroutine; nil while there is none
	wg       sync.WaitGroup
}

var (
	_ result.Backend    = (*Backend)(nil)
	_ result.GroupStore = (*Backend)(nil)
	_ result.Joiner     = (*Backend)(nil)
	_ result.Cleaner    = (*Backend)(nil)
)

// Open prepares the tables and returns the store.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	if cfg.Expires == 0 {
		cfg.Expires = defaultExpires
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := cfg.DB.Migrate(ctx, room, schema()); err != nil {
		return nil, fmt.Errorf("sqlite: results: %w", err)
	}
	lookup, err := cfg.DB.SQL().PrepareContext(ctx, "SELECT "+columns+" FROM results WHERE id = ? AND (expires_at = 0 OR expires_at > ?)")
	if err != nil {
		return nil, fmt.Errorf("sqlite: results: %w", err)
	}
	return &Backend{db: cfg.DB, expires: cfg.Expires, accept: cfg.Accept, log: cfg.Logger, lookup: lookup}, nil
}

// Store implements result.Backend. Those who wait hear of it as those in other processes do: from the file.
func (b *Backend) Store(ctx context.Context, meta task.Meta) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	row, err := b.encode(meta)
	if err != nil {
		return fmt.Errorf("sqlite: store the outcome of %s: %w: %w", meta.ID, result.ErrInvalid, err)
	}
	now := time.Now()
	err = b.db.Write(ctx, func(tx *sqlitedb.Tx) error {
		stored, err := row.write(tx, now, b.expiry(now))
		if err != nil || stored == 0 {
			return err
		}
		tx.Announce(topic)
		return b.sweep(tx, now)
	})
	if err != nil {
		return fmt.Errorf("sqlite: store the outcome of %s: %w", meta.ID, err)
	}
	return nil
}

// expiry is when what is stored now expires, in µs since 1970; 0 is never.
func (b *Backend) expiry(now time.Time) int64 {
	if b.expires < 0 {
		return 0
	}
	return now.Add(b.expires).UnixMicro()
}

// Get implements task.Results.
func (b *Backend) Get(ctx context.Context, id string) (task.Meta, error) {
	if err := b.waiters.Err(); err != nil {
		return task.Meta{}, err
	}
	meta, err := b.scan(b.lookup.QueryRowContext(ctx, id, time.Now().UnixMicro()).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return task.Meta{ID: id, State: task.Pending}, nil
	}
	if err != nil {
		if closed := b.waiters.Err(); closed != nil {
			return task.Meta{}, closed
		}
		return task.Meta{}, fmt.Errorf("sqlite: look up %s: %w", id, err)
	}
	return meta, nil
}

// Forget implements task.Results.
func (b *Backend) Forget(ctx context.Context, id string) error {
	return b.delete(ctx, "DELETE FROM results WHERE id = ?", id)
}

func (b *Backend) delete(ctx context.Context, query, id string) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	err := b.db.Write(ctx, func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec(query, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlite: forget %s: %w", id, err)
	}
	return nil
}

// Close implements result.Backend.
func (b *Backend) Close(context.Context) error {
	b.refuse()
	b.wg.Wait()
	if err := b.lookup.Close(); err != nil {
		return fmt.Errorf("sqlite: close results: %w", err)
	}
	return nil
}

// refuse ends the waits. It holds mu, so that no watch starts afterwards.
func (b *Backend) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiters.Close(fmt.Errorf("sqlite: %w", result.ErrClosed))
}
