// Package sqlitedb opens the embedded store: one SQLite file that several processes share as broker, result store and record store.
//
// It knows how to open, write, read and watch the file, and nothing of what is kept in it. Handles of the same file in one process
// work, but they should share one DB: its writer puts what several goroutines write at once into one transaction.
package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("embedded store is closed")

// poolSize bounds the connections of DB.SQL. Readers do not block one another in WAL mode.
const poolSize = 4

// DB is an open file. It is safe for concurrent use.
type DB struct {
	path   string
	pool   *sql.DB
	writer *writer

	mu       sync.Mutex
	watchers map[*Watch]struct{}

	ctx    context.Context //nolint:containedctx // the life of the DB, which the writer works in
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Open opens the file, creating it (mode 0600) and its directories (0700) as needed. Not for network file systems: the processes
// that share the file share memory.
func Open(ctx context.Context, path string) (*DB, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlitedb: open %s: %w", path, err)
	}
	return db, nil
}

func open(ctx context.Context, path string) (_ *DB, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(poolSize + 1) // one is the writer's
	pool.SetMaxIdleConns(poolSize + 1)
	db := &DB{path: path, pool: pool, watchers: map[*Watch]struct{}{}}
	db.ctx, db.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if db.writer, err = newWriter(ctx, db); err != nil {
		db.cancel()
		return nil, errors.Join(err, pool.Close())
	}
	db.wg.Go(db.writer.run)
	return db, nil
}

// create makes the file, so that it never exists with wider permissions; SQLite gives its side files the same ones.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the user's choice
	if err != nil {
		return err
	}
	return f.Close()
}

func dsn(path string) string {
	query := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)",
	}}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	return u.String()
}

// Path is the absolute path of the file.
func (db *DB) Path() string { return db.path }

// SQL returns the connections for reading, and for writing what needs no company. Transactions begin immediately, and wait up to
// 10 s for other writers.
func (db *DB) SQL() *sql.DB { return db.pool }

// Close waits for what is being written and closes the file. Whoever holds a Watch is not told.
func (db *DB) Close() error {
	db.cancel()
	db.wg.Wait()
	if err := db.pool.Close(); err != nil {
		return fmt.Errorf("sqlitedb: close %s: %w", db.path, err)
	}
	return nil
}
