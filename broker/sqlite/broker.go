// Package sqlite is a broker in an SQLite file, for a first run without any server and for small machines.
//
// Several processes share the file. What is handed out carries the lease of a Broker: it is free again when the Broker closes, and
// when its process dies: at once where the kernel tells (a lock on a file beside the store), else when the lease has run out.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

// Config is what a Broker is made of.
type Config struct {
	// DB is the open file; the caller closes it, after the Broker.
	DB *sqlitedb.DB
	// Path names the file when DB is nil; the Broker opens and closes it.
	Path string
	// Lease is how long a process may be silent before its unsettled deliveries are given to others. Default 10 s, at least 100 ms.
	// It is renewed ten times as often, and every second at least.
	Lease time.Duration
	// Logger gets warnings; default: none.
	Logger *slog.Logger
}

// Broker is one user of the file, with a lease of its own once it consumes.
type Broker struct {
	db     *sqlitedb.DB
	opened bool // by Open: to be closed
	log    *slog.Logger
	lease  time.Duration
	peek   *sql.Stmt

	ctx    context.Context //nolint:containedctx // the keeper's life
	cancel context.CancelFunc
	wg     sync.WaitGroup
	kick   chan struct{} // the keeper has something to do

	joining sync.Mutex // held while the first session is made

	// Held for moments only, never while writing to the file.
	mu        sync.Mutex
	closed    bool
	session   *session // nil until something needs a lease
	consumers []*Consumer
	stranded  []receipt // could not be settled: to be given back
}

var (
	_ broker.Broker   = (*Broker)(nil)
	_ broker.Purger   = (*Broker)(nil)
	_ broker.Deleter  = (*Broker)(nil)
	_ broker.Measurer = (*Broker)(nil)
	_ broker.Delayer  = (*Broker)(nil)

	_ broker.BatchPublisher = (*Broker)(nil)
	_ broker.Prober         = (*Broker)(nil)
)

// Open opens the broker in the file and makes its tables as needed.
func Open(ctx context.Context, cfg Config) (*Broker, error) {
	if cfg.Lease == 0 {
		cfg.Lease = 10 * time.Second
	}
	if cfg.Lease < 100*time.Millisecond {
		return nil, fmt.Errorf("sqlite: lease of %v: %w", cfg.Lease, broker.ErrInvalid)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Broker{db: cfg.DB, log: cfg.Logger, lease: cfg.Lease, kick: make(chan struct{}, 1)}
	if b.db == nil {
		db, err := sqlitedb.Open(ctx, cfg.Path)
		if err != nil {
			return nil, fmt.Errorf("sqlite: %w: %w", broker.ErrUnavailable, err)
		}
		b.db, b.opened = db, true
	}
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := b.prepare(ctx); err != nil {
		b.cancel()
		return nil, errors.Join(fmt.Errorf("sqlite: open: %w", err), b.closeDB())
	}
	return b, nil
}

func (b *Broker) prepare(ctx context.Context) (err error) {
	if err := b.db.Migrate(ctx, "broker", schema()); err != nil {
		return err
	}
	b.peek, err = b.db.SQL().PrepareContext(ctx, "SELECT EXISTS (SELECT 1 FROM broker_messages WHERE lease = 0 AND queue = ?)")
	return err
}

// write runs do in a transaction, unless the Broker is closed.
func (b *Broker) write(ctx context.Context, doing string, do func(*sqlitedb.Tx) error) error {
	err := broker.ErrClosed
	if !b.isClosed() {
		err = b.db.Write(ctx, do)
	}
	if errors.Is(err, sqlitedb.ErrClosed) {
		err = broker.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("sqlite: %s: %w", doing, err)
	}
	return nil
}

func (b *Broker) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// Close implements broker.Broker.
func (b *Broker) Close(ctx context.Context) error {
	b.joining.Lock() // no session is made any more
	defer b.joining.Unlock()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	for _, c := range b.consumers {
		c.end(broker.ErrClosed)
		c.forget()
	}
	b.consumers = nil
	b.mu.Unlock()
	b.cancel()
	b.wg.Wait()
	err := errors.Join(b.leave(ctx), b.peek.Close(), b.closeDB())
	if err != nil {
		return fmt.Errorf("sqlite: close: %w", err)
	}
	return nil
}

func (b *Broker) closeDB() error {
	if !b.opened {
		return nil
	}
	return b.db.Close()
}

// nudge makes the keeper look.
func (b *Broker) nudge() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

func nowMillis() int64 { return time.Now().UnixMilli() }
