package taskq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/outbox"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

const (
	// expectWait bounds how long SendTx holds up the caller's transaction for a broker that is away.
	expectWait = 2 * time.Second
	// farAway is the delay beyond which a call is kept in the outbox: the longest of RabbitMQ's delay queues.
	farAway = 14 * 24 * time.Hour
)

// SendTx puts a call into the outbox, in the caller's transaction of PostgreSQL: it is sent once that is committed, and never when it is
// rolled back. A relay sends it (Config.Outbox, or `taskq outbox relay`), once its countdown or ETA is over. Everything else is done here, as
// Send does it, so that a call that cannot be sent is an error that wraps broker.ErrInvalid and leaves the transaction as it is. Any other
// error has failed the transaction; one that wraps outbox.ErrNoTable says how the table is made.
//
// The broker need not be there. Only with rpc:// as result backend is it asked for the queue to answer to: when it is away, nobody will
// know the outcome of the call, and the result says so. That a call is a duplicate of one of a task that is task.Unique is found out by the
// worker alone: a key that was taken here could not be given back when the transaction is rolled back. tx is a pgx.Tx, or what outbox.SQL
// makes of a transaction of database/sql.
//
// Of a workflow, all messages that it starts with are in the transaction. Its chords are noted in the result store at once, which must be
// there; the note of one that is rolled back expires by itself.
func (a *App) SendTx(ctx context.Context, tx outbox.Tx, s task.Signature) (*task.Result[any], error) {
	results, err := a.SendBatchTx(ctx, tx, []task.Signature{s})
	if err == nil {
		return results[0], nil
	}
	if batch, ok := errors.AsType[*task.BatchError](err); ok {
		err = batch.Errors[0]
	}
	return nil, err
}

// SendBatchTx is SendTx for several calls, which are put into the outbox by one statement, in their order: all of them or, when one
// cannot be sent, none. Then the error is a *task.BatchError that says which and why.
func (a *App) SendBatchTx(ctx context.Context, tx outbox.Tx, batch []task.Signature) ([]*task.Result[any], error) {
	bounded, cancel := context.WithTimeout(ctx, expectWait)
	defer cancel()
	s := newSending(a, len(batch))
	s.bounded = bounded
	s.take(ctx, batch)
	entries := make([]outbox.Entry, len(s.batch))
	for i, one := range s.batch {
		if s.errs[i] == nil {
			entries[i], s.results[i], s.errs[i] = a.enter(ctx, bounded, one)
		}
	}
	for _, w := range s.workflows {
		w.withhold(s.errs)
		w.judge(s.errs)
	}
	if _, err := s.outcome(); err != nil {
		return nil, err
	}
	if err := s.insert(ctx, tx, entries); err != nil {
		return nil, fmt.Errorf("taskq: send in a transaction: %w", err)
	}
	s.noteChildren(ctx)
	for _, w := range s.workflows {
		w.end(ctx, s)
	}
	return s.outcome()
}

// insert puts the messages into the outbox, and notes the chords before: that is safe, as nobody minds the note of a chord that does not
// come.
func (s *sending) insert(ctx context.Context, tx outbox.Tx, entries []outbox.Entry) error {
	err := s.noteChords(ctx)
	if err == nil {
		err = outbox.Insert(ctx, tx, s.app.cfg.Outbox.Table, entries...)
	}
	for _, w := range s.workflows {
		if err != nil {
			w.forget(ctx, w.plan.Chords[:w.noted])
		}
	}
	return err
}

// noteChords tells the store of the chords in the batch, when there are any.
func (s *sending) noteChords(ctx context.Context) error {
	for _, w := range s.workflows {
		if len(w.plan.Chords) == 0 {
			continue
		}
		store, err := s.app.Results(ctx)
		if err == nil {
			err = w.note(ctx, store)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enter makes the row of a call that is complete, and the handle of its result. The broker is waited for until bounded is over.
func (a *App) enter(ctx, bounded context.Context, s task.Signature) (outbox.Entry, *task.Result[any], error) {
	c, err := a.prepareTx(ctx, bounded, s)
	if err != nil {
		return outbox.Entry{}, nil, err
	}
	e := entryOf(c.Outgoing, c.msg)
	if err := e.Check(); err != nil {
		return e, nil, c.failed(&unsendable{err})
	}
	return e, a.result(c), nil
}

// Tx returns a sender that puts its calls into the outbox, in the caller's transaction; see SendTx.
//
//	result, err := Add.Send(ctx, app.Tx(tx), Pair{2, 3})
func (a *App) Tx(tx outbox.Tx) task.Sender { return txSender{a, tx} }

type txSender struct {
	app *App
	tx  outbox.Tx
}

// Send implements task.Sender.
func (s txSender) Send(ctx context.Context, call task.Signature) (*task.Result[any], error) {
	return s.app.SendTx(ctx, s.tx, call)
}

// prepareTx makes the message of a call that is complete, without a broker where that can be.
func (a *App) prepareTx(ctx, bounded context.Context, s task.Signature) (*call, error) {
	if s.IgnoreResult || s.ReplyTo != "" || !a.answered() {
		c, err := a.prepare(ctx, &connection{}, s)
		if err == nil && !s.IgnoreResult && !a.answered() && a.keepsResults() {
			c.results = lookup{app: a}
		}
		return c, err
	}
	var c *call
	conn, err := a.connect(bounded)
	if err == nil {
		c, err = a.prepare(bounded, &connection{results: conn.results}, s)
	}
	if !errors.Is(err, broker.ErrUnavailable) || ctx.Err() != nil {
		return c, err
	}
	mute := wasAway(err)
	if c, err = a.prepare(ctx, &connection{}, s); err == nil {
		c.mute = mute
	}
	return c, err
}

func wasAway(err error) error {
	return fmt.Errorf("the broker was away when the call was put into the outbox, and with it the queue to answer to: %w", err)
}

// answered reports whether outcomes are messages to a queue of this process.
func (a *App) answered() bool {
	if a.cfg.Results != nil {
		_, replies := a.cfg.Results.(result.Replier)
		return replies
	}
	return scheme(a.cfg.ResultBackend) == schemeRPC
}

// entryOf is a call in the outbox. Its expiration is counted anew when it is published: it is the worker that tells by the header when it is
// too late.
func entryOf(out wire.Outgoing, msg broker.Message) outbox.Entry {
	return outbox.Entry{
		Posting: broker.Posting{To: out.Address(), Message: msg}, TaskID: out.ID, Task: out.Task, Queue: out.Queue,
		Delay: max(0, out.ETA.Sub(out.Now)),
	}
}

// keeps reports whether a call waits for its time in the outbox rather than in the broker.
func (a *App) keeps(out wire.Outgoing) bool {
	delay := out.ETA.Sub(out.Now)
	return a.cfg.Outbox.URL != "" && !out.ETA.IsZero() && delay > 0 && delay > max(0, a.cfg.DelayStoreAfter)
}

// keep puts a call into the outbox, in a transaction of its own.
func (a *App) keep(ctx context.Context, out wire.Outgoing, msg broker.Message) error {
	store, err := a.Outbox(ctx)
	if err != nil {
		return err
	}
	return store.Insert(ctx, entryOf(out, msg))
}

// Outbox returns the application's outbox, to look into it and to take delayed calls back; nil when Config.Outbox has no URL.
func (a *App) Outbox(ctx context.Context) (*outbox.Store, error) {
	if a.cfg.Outbox.URL == "" {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, fmt.Errorf("taskq: %w", ErrClosed)
	}
	if a.outbox == nil {
		store, err := outbox.Open(ctx, a.cfg.Outbox)
		if err != nil {
			return nil, fmt.Errorf("taskq: %w", err)
		}
		a.outbox = store
	}
	return a.outbox, nil
}

// NewRelay returns what sends the calls of the outbox, connected to the broker, for a program that runs no worker: workers do it by
// themselves. Any number of relays may run; one of them works.
func (a *App) NewRelay(ctx context.Context) (*outbox.Relay, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	return a.relay(c)
}

func (a *App) relay(c *connection) (*outbox.Relay, error) {
	if a.cfg.Outbox.URL == "" {
		return nil, fmt.Errorf("taskq: %w: no outbox is configured; set Config.Outbox.URL, or outbox_url", broker.ErrInvalid)
	}
	relay, err := outbox.NewRelay(outbox.RelayConfig{Config: a.cfg.Outbox, Broker: c.broker, Topology: a.topology})
	if err != nil {
		return nil, fmt.Errorf("taskq: %w", err)
	}
	return relay, nil
}

// beside is what a worker runs beside its tasks.
func (a *App) beside(c *connection) ([]func(context.Context) error, error) {
	if a.cfg.Outbox.URL == "" || a.cfg.RelayElsewhere {
		return nil, nil
	}
	relay, err := a.relay(c)
	if err != nil {
		return nil, err
	}
	return []func(context.Context) error{relay.Run}, nil
}

// checkOutbox fills in the defaults and refuses what names no database.
func checkOutbox(cfg *Config) error {
	if cfg.DelayStoreAfter == 0 {
		cfg.DelayStoreAfter = farAway
	}
	if cfg.Outbox.Logger == nil {
		cfg.Outbox.Logger = cfg.Logger
	}
	switch s := scheme(cfg.Outbox.URL); {
	case cfg.Outbox.URL == "", s == schemePostgres, s == "postgresql":
	default:
		return fmt.Errorf("taskq: outbox URL: %w: use postgres://user:password@host/name", broker.ErrInvalid)
	}
	if err := cfg.Outbox.Table.Validate(); err != nil {
		return fmt.Errorf("taskq: %w", err)
	}
	return nil
}
