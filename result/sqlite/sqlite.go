// Package sqlite keeps outcomes in the embedded store, where every process that shares the file finds them.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/internal/wire"
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
	Logger  *slog.Logger // nil: slog.Default
}

const (
	room      = "result" // of the schema
	topic     = "result" // of the watch
	sweepRows = 500      // expired rows that one Store deletes at the most
)

// Backend is the result store in an SQLite file. Make it with Open.
type Backend struct {
	db      *sqlitedb.DB
	expires time.Duration
	log     *slog.Logger
	waiters waiters.Set

	mu       sync.Mutex         // guards watching
	watching int                // calls of Wait under way
	cancel   context.CancelFunc // ends the watching goroutine; nil while there is none
	wg       sync.WaitGroup
}

var _ result.Backend = (*Backend)(nil)

func schema() []string {
	return []string{`
CREATE TABLE results (
	id         TEXT PRIMARY KEY,
	state      TEXT NOT NULL,
	ready      INTEGER NOT NULL,
	result     BLOB,
	traceback  TEXT NOT NULL,
	children   BLOB,
	done_at    INTEGER NOT NULL, -- µs since 1970, 0: not yet
	group_id   TEXT NOT NULL,
	parent_id  TEXT NOT NULL,
	expires_at INTEGER NOT NULL  -- µs since 1970, 0: never
) WITHOUT ROWID;
CREATE INDEX results_expiry ON results (expires_at) WHERE expires_at > 0`}
}

const columns = "id, state, result, traceback, children, done_at, group_id, parent_id"

// Open prepares the tables and returns the store.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	if cfg.Expires == 0 {
		cfg.Expires = 24 * time.Hour
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := cfg.DB.Migrate(ctx, room, schema()); err != nil {
		return nil, fmt.Errorf("sqlite: results: %w", err)
	}
	return &Backend{db: cfg.DB, expires: cfg.Expires, log: cfg.Logger}, nil
}

// Store implements result.Backend.
func (b *Backend) Store(ctx context.Context, meta task.Meta) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	if meta.Codec != nil && meta.Codec.ContentType() != (codec.JSON{}).ContentType() {
		return fmt.Errorf("sqlite: store the outcome of %s: %w: results are kept as JSON, not as %s", meta.ID, errors.ErrUnsupported, meta.Codec.ContentType())
	}
	now := time.Now()
	stored := int64(0)
	err := b.db.Write(ctx, func(tx *sqlitedb.Tx) (err error) {
		if stored, err = b.upsert(tx, meta, now); err == nil && stored > 0 {
			tx.Announce(topic)
			_, err = tx.Exec("DELETE FROM results WHERE id IN (SELECT id FROM results WHERE expires_at > 0 AND expires_at <= ? LIMIT ?)", now.UnixMicro(), sweepRows)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlite: store the outcome of %s: %w", meta.ID, err)
	}
	if stored > 0 {
		meta.ReplyTo, meta.CorrelationID = "", ""
		b.waiters.Deliver(meta)
	}
	return nil
}

// upsert writes the outcome unless a SUCCESS is there that has not expired.
func (b *Backend) upsert(tx *sqlitedb.Tx, m task.Meta, now time.Time) (int64, error) {
	var done, expires int64
	if !m.DoneAt.IsZero() {
		done = m.DoneAt.UnixMicro()
	}
	if b.expires > 0 {
		expires = now.Add(b.expires).UnixMicro()
	}
	children, err := wire.EncodeRefs(m.Children)
	if err != nil {
		return 0, err
	}
	ready := 0
	if m.State.Ready() {
		ready = 1
	}
	return tx.Exec(`
INSERT INTO results (id, state, ready, result, traceback, children, done_at, group_id, parent_id, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, ready = excluded.ready, result = excluded.result,
	traceback = excluded.traceback, children = excluded.children, done_at = excluded.done_at, group_id = excluded.group_id,
	parent_id = excluded.parent_id, expires_at = excluded.expires_at
WHERE state <> 'SUCCESS' OR expires_at > 0 AND expires_at <= ?`,
		m.ID, string(m.State), ready, []byte(m.Result), m.Traceback, []byte(children), done, m.GroupID, m.ParentID, expires, now.UnixMicro())
}

// Get implements task.Results.
func (b *Backend) Get(ctx context.Context, id string) (task.Meta, error) {
	if err := b.waiters.Err(); err != nil {
		return task.Meta{}, err
	}
	row := b.db.SQL().QueryRowContext(ctx, "SELECT "+columns+" FROM results WHERE id = ? AND (expires_at = 0 OR expires_at > ?)", id, time.Now().UnixMicro())
	meta, err := scan(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return task.Meta{ID: id, State: task.Pending}, nil
	}
	if err != nil {
		return task.Meta{}, fmt.Errorf("sqlite: look up %s: %w", id, err)
	}
	return meta, nil
}

func scan(columns func(...any) error) (task.Meta, error) {
	var m task.Meta
	var value, children []byte
	var done int64
	if err := columns(&m.ID, &m.State, &value, &m.Traceback, &children, &done, &m.GroupID, &m.ParentID); err != nil {
		return task.Meta{}, err
	}
	m.Result = value
	var err error
	if m.Children, err = wire.DecodeRefs(children); err != nil {
		return task.Meta{}, err
	}
	if done > 0 {
		m.DoneAt = time.UnixMicro(done).UTC()
	}
	return m, nil
}

// Forget implements task.Results.
func (b *Backend) Forget(ctx context.Context, id string) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	err := b.db.Write(ctx, func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec("DELETE FROM results WHERE id = ?", id)
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
	return nil
}

// refuse ends the waits. It holds mu, so that no watch starts afterwards.
func (b *Backend) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiters.Close(fmt.Errorf("sqlite: %w", result.ErrClosed))
}
