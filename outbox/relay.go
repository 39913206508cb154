package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/pgdial"
)

// RelayConfig is what a Relay is made of.
type RelayConfig struct {
	Config
	Broker broker.Broker
	// Topology of a queue that messages go to, declared before the first one; nil means broker.TaskQueue. Nothing is asked for an empty
	// one.
	Topology func(queue string) broker.Topology
	// Poll is how often the table is looked into while nothing is due; 0 means 50 ms. A message waits that long at the most.
	Poll time.Duration
}

const (
	batchRows  = 500              // that are published together
	batchBytes = 16 << 20         // of their bodies
	againFirst = time.Second      // before a database or broker that failed is tried again
	againLast  = 10 * time.Second // the doubling of that ends here
	leadEvery  = time.Second      // how often a relay that does not lead asks whether it may
	stopGrace  = 5 * time.Second  // for what is on its way when the relay is stopped
)

// Relay publishes what is in an outbox. Any number of them may run, in any number of processes: one leads, the others take its place
// when its connection to the database ends. Make it with NewRelay.
type Relay struct {
	cfg      RelayConfig
	conn     *pgx.ConnConfig
	log      *slog.Logger
	declared map[string]bool // queues that were declared
	fault    faultLog        // that the relay waits for the end of
}

// NewRelay returns a relay. It connects to nothing.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	if cfg.Broker == nil {
		return nil, errors.New("outbox: a relay needs a Broker")
	}
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if cfg.Topology == nil {
		cfg.Topology = func(queue string) broker.Topology { return broker.TaskQueue(broker.Queue{Name: queue}) }
	}
	if cfg.Poll == 0 {
		cfg.Poll = 50 * time.Millisecond
	}
	conf, err := pgxpool.ParseConfig(cfg.URL) // the URL may say things about pools
	if err != nil {
		return nil, fmt.Errorf("outbox: database %s: %w: %w", pgdial.Redacted(cfg.URL), ErrAccess, pgdial.Reason(err))
	}
	prepare(conf.ConnConfig)
	return &Relay{cfg: cfg, conn: conf.ConnConfig, log: cfg.Logger, declared: map[string]bool{}}, nil
}

// Run publishes until ctx is done; what is on its way then is confirmed and deleted before it returns, for five seconds at the most.
// A database or broker that is away, and a table that is missing, are waited for. It returns an error only when the broker was closed.
func (r *Relay) Run(ctx context.Context) error {
	for wait := againFirst; ctx.Err() == nil; wait = min(2*wait, againLast) {
		err := r.session(ctx, func() {
			r.fault.note(ctx, r.log, nil)
			wait = againFirst
		})
		if errors.Is(err, broker.ErrClosed) {
			return fmt.Errorf("outbox: relay: %w", err)
		}
		if ctx.Err() == nil {
			r.fault.note(ctx, r.log, explain(err, r.cfg.Table))
			pause(ctx, wait)
		}
	}
	return nil
}

// session relays on one connection until that is lost or ctx is done; begun is called when the connection is of use.
func (r *Relay) session(ctx context.Context, begun func()) error {
	connecting, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	c, err := pgx.ConnectConfig(connecting, r.conn.Copy())
	if err != nil {
		return err
	}
	l := &lead{conn: c, table: r.cfg.Table, timeout: r.cfg.Timeout}
	defer l.hangUp(ctx)
	if err := l.take(ctx, begun); err != nil {
		return err
	}
	r.log.InfoContext(ctx, "outbox relay leads", "table", strings.ReplaceAll(r.cfg.Table.String(), `"`, ""))
	for ctx.Err() == nil {
		if err := r.turn(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// turn publishes what is due, or waits until there may be something.
func (r *Relay) turn(ctx context.Context, l *lead) error {
	rows, err := l.due(ctx)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return l.idle(ctx, r.cfg.Poll)
	}
	var done outcome
	lost := l.during(ctx, func(ctx context.Context) { done = r.publish(ctx, rows) })
	if lost != nil {
		return lost // what was confirmed is published again: nobody knows who leads now
	}
	if err := l.settle(ctx, done); err != nil {
		return err
	}
	for _, f := range done.refused {
		f.log(ctx, r.log)
	}
	if ctx.Err() == nil {
		r.fault.note(ctx, r.log, done.away)
	}
	switch {
	case done.away == nil:
		return nil
	case errors.Is(done.away, broker.ErrClosed):
		return done.away
	}
	return l.idle(ctx, againFirst)
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// faultLog tells of a fault when it begins and when it ends, not each time.
type faultLog struct{ there bool }

func (f *faultLog) note(ctx context.Context, log *slog.Logger, err error) {
	switch {
	case err != nil && !f.there:
		log.WarnContext(ctx, "outbox relay failed", "error", err)
	case err == nil && f.there:
		log.InfoContext(ctx, "outbox relay recovered")
	}
	f.there = err != nil
}
