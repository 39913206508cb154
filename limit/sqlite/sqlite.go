// Package sqlite keeps places and turns in the embedded store, for every process that shares the file. They are on one machine, and so is
// their clock; it is looked at once the file is locked, so that no two calls see it in another order than that in which they write.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/limit/internal/measure"
)

// Config is what a Store is made of.
type Config struct {
	// DB is the open file; it stays the caller's to close.
	DB *sqlitedb.DB
	// Sweep is how often what nobody uses any more is deleted, while the store is used; 0 means a minute.
	Sweep time.Duration
}

const (
	room = "limit" // of the schema
	// sweepRows of each table are deleted by one call at the most, and by the next one again until none are left.
	sweepRows = 500
)

// Store is the store in an SQLite file. Make it with Open.
type Store struct {
	db     *sqlitedb.DB
	sweep  time.Duration
	swept  atomic.Int64 // ns since 1970
	closed atomic.Bool
}

var _ limit.Store = (*Store)(nil)

// schema are the steps of the tables. Times are ns since 1970; over is when a turn has no meaning any more.
func schema() []string {
	return []string{`
CREATE TABLE limit_places (key BLOB NOT NULL, owner BLOB NOT NULL, ends INTEGER NOT NULL, PRIMARY KEY (key, owner)) WITHOUT ROWID;
CREATE INDEX limit_places_ends ON limit_places (ends);
CREATE TABLE limit_turns (key BLOB NOT NULL PRIMARY KEY, last INTEGER NOT NULL, over INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX limit_turns_over ON limit_turns (over);
`}
}

// Open prepares the tables and returns the store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Sweep == 0 {
		cfg.Sweep = time.Minute
	}
	if err := cfg.DB.Migrate(ctx, room, schema()); err != nil {
		return nil, fmt.Errorf("sqlite: limits: %w", err)
	}
	s := &Store{db: cfg.DB, sweep: cfg.Sweep}
	s.swept.Store(time.Now().UnixNano())
	return s, nil
}

// Acquire implements limit.Store.
func (s *Store) Acquire(ctx context.Context, claim limit.Claim) (limit.Grant, error) {
	claim, err := measure.Claim(claim)
	if err != nil {
		return limit.Grant{}, fmt.Errorf("sqlite: acquire a place: %w", err)
	}
	var grant limit.Grant
	err = s.write(ctx, func(tx *sqlitedb.Tx, now int64) (err error) {
		grant, err = acquire(tx, now, claim)
		return err
	})
	if err != nil {
		return limit.Grant{}, fmt.Errorf("sqlite: acquire a place of %q: %w", claim.Key, err)
	}
	return grant, nil
}

func acquire(tx *sqlitedb.Tx, now int64, claim limit.Claim) (g limit.Grant, err error) {
	key, owner, ends := []byte(claim.Key), []byte(claim.Owner), now+int64(claim.TTL)
	again, err := tx.Exec("UPDATE limit_places SET ends = max(ends, ?) WHERE key = ? AND owner = ? AND ends > ?", ends, key, owner, now)
	if err != nil || again > 0 {
		return limit.Grant{Held: again > 0}, err
	}
	var held int
	var holder []byte // of the place that is free first: bare columns are those of the row with the minimum
	err = tx.QueryRow("SELECT count(*), owner, min(ends) FROM limit_places WHERE key = ? AND ends > ?", []any{key, now}, &held, &holder, new(sql.NullInt64))
	if err != nil || held >= claim.Places {
		return limit.Grant{Holder: string(holder)}, err
	}
	_, err = tx.Exec("INSERT INTO limit_places VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET ends = excluded.ends", key, owner, ends)
	return limit.Grant{Held: true, Fresh: true}, err
}

// Extend implements limit.Store.
func (s *Store) Extend(ctx context.Context, key, owner string, ttl time.Duration) error {
	ttl, err := measure.Place(key, owner, ttl)
	if err != nil {
		return fmt.Errorf("sqlite: extend a place: %w", err)
	}
	var held int64
	err = s.write(ctx, func(tx *sqlitedb.Tx, now int64) (err error) {
		held, err = tx.Exec("UPDATE limit_places SET ends = ? WHERE key = ? AND owner = ? AND ends > ?", now+int64(ttl), []byte(key), []byte(owner), now)
		return err
	})
	if err == nil && held == 0 {
		err = limit.ErrLost
	}
	if err != nil {
		return fmt.Errorf("sqlite: extend the place of %q: %w", key, err)
	}
	return nil
}

// Release implements limit.Store.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	if _, err := measure.Place(key, owner, 1); err != nil {
		return fmt.Errorf("sqlite: release a place: %w", err)
	}
	err := s.write(ctx, func(tx *sqlitedb.Tx, _ int64) error {
		_, err := tx.Exec("DELETE FROM limit_places WHERE key = ? AND owner = ?", []byte(key), []byte(owner))
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlite: release the place of %q: %w", key, err)
	}
	return nil
}

// Reserve implements limit.Store.
func (s *Store) Reserve(ctx context.Context, key string, rate limit.Rate, horizon time.Duration) (time.Duration, error) {
	t, err := measure.NewTurn(key, rate, horizon)
	if err != nil {
		return 0, fmt.Errorf("sqlite: reserve a turn: %w", err)
	}
	var wait time.Duration
	err = s.write(ctx, func(tx *sqlitedb.Tx, now int64) (err error) {
		wait, err = reserve(tx, now, key, t)
		return err
	})
	if err == nil {
		wait, err = t.Answer(wait, horizon)
	}
	if err != nil {
		return 0, fmt.Errorf("sqlite: reserve a turn of %q: %w", key, err)
	}
	return wait, nil
}

func reserve(tx *sqlitedb.Tx, now int64, key string, t measure.Turn) (time.Duration, error) {
	last := int64(measure.Never)
	err := tx.QueryRow("SELECT last FROM limit_turns WHERE key = ?", []any{[]byte(key)}, &last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	wait, at := t.Take(time.Duration(now), time.Duration(last))
	if wait > t.Horizon {
		return wait, nil
	}
	_, err = tx.Exec("INSERT INTO limit_turns VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last, over = excluded.over",
		[]byte(key), int64(at), int64(at+t.Every))
	return wait, err
}

// Close implements limit.Store. The file stays open.
func (s *Store) Close(context.Context) error {
	s.closed.Store(true)
	return nil
}

// write runs do on the locked file, maybe twice.
func (s *Store) write(ctx context.Context, do func(tx *sqlitedb.Tx, now int64) error) error {
	if s.closed.Load() {
		return limit.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.db.Write(ctx, func(tx *sqlitedb.Tx) error {
		now := time.Now().UnixNano()
		if err := s.prune(tx, now); err != nil {
			return err
		}
		return do(tx, now)
	})
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, sqlitedb.ErrClosed):
		return limit.ErrClosed
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: no turn to write to %s: %w", limit.ErrUnavailable, s.db.Path(), err)
	}
	return fmt.Errorf("%w: %w", limit.ErrUnavailable, err)
}

// prune deletes some of what nobody uses any more, when it is time to.
func (s *Store) prune(tx *sqlitedb.Tx, now int64) error {
	if now-s.swept.Load() < int64(s.sweep) {
		return nil
	}
	places, err := tx.Exec("DELETE FROM limit_places WHERE (key, owner) IN (SELECT key, owner FROM limit_places WHERE ends <= ? LIMIT ?)", now, sweepRows)
	if err != nil {
		return err
	}
	turns, err := tx.Exec("DELETE FROM limit_turns WHERE key IN (SELECT key FROM limit_turns WHERE over <= ? LIMIT ?)", now, sweepRows)
	if err == nil && places < sweepRows && turns < sweepRows {
		s.swept.Store(now)
	}
	return err
}
