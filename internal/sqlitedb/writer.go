package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// groupSize bounds how many writes share a transaction, and so how long others wait for the file.
	groupSize = 128
	// lockTries is how many times the writer waits for the file, 10 s each, before it gives up.
	lockTries = 6
	// openWait bounds how long opening waits for others who open the same new file, looking every openPause.
	openWait  = 10 * time.Second
	openPause = 5 * time.Millisecond
)

var errNoLock = errors.New("sqlitedb: begin to write")

// writer owns the one connection that writes. It commits in groups: what arrived while one transaction was being committed goes
// into the next one, so that a lone write does not wait and many at once cost little more than one.
type writer struct {
	db    *DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	queue chan *write
	poll  poll
}

// write is one call of DB.Write on its way.
type write struct {
	do     func(*Tx) error
	state  atomic.Int32
	err    error
	done   chan struct{} // closed by the writer
	topics []string
}

// The states of a write: whoever gets it out of waiting decides.
const (
	waiting int32 = iota
	taken
	abandoned
)

func newWriter(ctx context.Context, db *DB) (*writer, error) {
	conn, err := connect(ctx, db.pool)
	if err != nil {
		return nil, err
	}
	w := &writer{db: db, conn: conn, stmts: map[string]*sql.Stmt{}, queue: make(chan *write, groupSize)}
	w.poll.begin()
	return w, nil
}

// connect opens the first connection, which makes a new file one in WAL mode. SQLite does not wait for its lock there: when several
// processes open a new file at once, all but one of them are told that it is busy.
func connect(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	deadline := time.Now().Add(openWait)
	for {
		conn, err := pool.Conn(ctx)
		if !busy(err) || time.Now().After(deadline) {
			return conn, err
		}
		select {
		case <-time.After(openPause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// Write runs do in a transaction and returns once it is committed, or do's error when it is rolled back. do runs on another
// goroutine and may run twice: when another write of its group fails, each is tried alone. ctx bounds the wait for do's turn, and for
// others who have locked the file; once do runs, Write waits for it.
func (db *DB) Write(ctx context.Context, do func(*Tx) error) error {
	w := &write{do: do, done: make(chan struct{})}
	select {
	case db.writer.queue <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-db.ctx.Done():
		return ErrClosed
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		if w.state.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
	case <-db.ctx.Done():
		if w.state.CompareAndSwap(waiting, abandoned) {
			return ErrClosed
		}
	}
	<-w.done
	return w.err
}

// run writes, and looks for the writes of other processes while someone watches.
func (w *writer) run() {
	defer w.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if wait, ok := w.poll.wait(w.db.watched()); ok {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case first := <-w.queue:
			w.writeGroup(first)
		case <-timer.C:
			w.look()
		case <-w.db.watching():
			w.look()
		case <-w.db.ctx.Done():
			return
		}
	}
}

func (w *writer) close() {
	for _, stmt := range w.stmts {
		_ = stmt.Close() // the connection goes with them
	}
	_ = w.conn.Close()
}

// writeGroup writes the first and what else waits.
func (w *writer) writeGroup(first *write) {
	group := make([]*write, 0, groupSize)
	group = append(group, first)
	for len(group) < groupSize {
		select {
		case next := <-w.queue:
			group = append(group, next)
			continue
		default:
		}
		break
	}
	group = slices.DeleteFunc(group, func(one *write) bool { return one.state.Load() == abandoned })
	w.writeAll(group)
	for _, one := range group {
		if one.state.Load() != taken {
			continue // it was given up while the file was locked
		}
		if one.err == nil {
			w.db.wake(one.topics)
		}
		close(one.done)
	}
}

// writeAll sets the outcome of each write. One that fails must not take others with it, so after a failure each is tried alone.
func (w *writer) writeAll(group []*write) {
	if len(group) == 0 {
		return
	}
	err := w.commit(group)
	alone := err != nil && len(group) > 1 && !errors.Is(err, errNoLock)
	for i, one := range group {
		if !one.take() {
			continue
		}
		one.err = err
		if alone {
			one.err = w.commit(group[i : i+1])
		}
	}
}

// take reports whether the write is the writer's: from then on its caller waits for it.
func (w *write) take() bool {
	return w.state.CompareAndSwap(waiting, taken) || w.state.Load() == taken
}

// commit runs the group in one transaction. The context is the connection's: a caller who leaves must not spoil the group.
func (w *writer) commit(group []*write) (err error) {
	tx := &Tx{writer: w, ctx: context.WithoutCancel(w.db.ctx)}
	if err := w.begin(tx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, rollback := tx.Exec("ROLLBACK")
			if rollback != nil && !notInTransaction(rollback) {
				err = errors.Join(err, rollback)
			}
		}
	}()
	for _, one := range group {
		if !one.take() {
			continue
		}
		one.topics = one.topics[:0]
		tx.current = one
		if err := one.do(tx); err != nil {
			return err
		}
	}
	if _, err := tx.Exec("COMMIT"); err != nil {
		return fmt.Errorf("sqlitedb: commit: %w", err)
	}
	return nil
}

func (w *writer) begin(tx *Tx) error {
	for tries := 1; ; tries++ {
		_, err := tx.Exec("BEGIN IMMEDIATE")
		if err == nil {
			return nil
		}
		if !busy(err) || tries == lockTries || w.db.ctx.Err() != nil {
			return fmt.Errorf("%w: %w", errNoLock, err)
		}
	}
}

func busy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// notInTransaction recognises a rollback after SQLite has rolled back by itself (a full disk, say).
func notInTransaction(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_ERROR
}

// Tx is what a write may use. Its statements are prepared once.
type Tx struct {
	writer  *writer
	ctx     context.Context //nolint:containedctx // of the transaction, not of a caller
	current *write
}

func (tx *Tx) stmt(query string) (*sql.Stmt, error) {
	if s := tx.writer.stmts[query]; s != nil {
		return s, nil
	}
	s, err := tx.writer.conn.PrepareContext(tx.ctx, query)
	if err == nil {
		tx.writer.stmts[query] = s
	}
	return s, err
}

// Exec runs the statement, of which there must be few different ones, and returns how many rows it changed.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	s, err := tx.stmt(query) //nolint:sqlclosecheck // kept for the next time
	if err != nil {
		return 0, err
	}
	done, err := s.ExecContext(tx.ctx, args...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// Query runs the query and calls scan for each row.
func (tx *Tx) Query(scan func(*sql.Rows) error, query string, args ...any) error {
	s, err := tx.stmt(query) //nolint:sqlclosecheck // kept for the next time
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(tx.ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// QueryRow runs a query of at most one row and scans that into dst. It returns sql.ErrNoRows when there is none.
func (tx *Tx) QueryRow(query string, args []any, dst ...any) error {
	s, err := tx.stmt(query) //nolint:sqlclosecheck // kept for the next time
	if err != nil {
		return err
	}
	return s.QueryRowContext(tx.ctx, args...).Scan(dst...)
}

// Announce wakes those who watch the topic in this process, once the write is committed. Other processes notice every write.
func (tx *Tx) Announce(topic string) { tx.current.topics = append(tx.current.topics, topic) }
