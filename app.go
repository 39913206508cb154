package taskq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/outbox"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// App is one application: its tasks, its broker, its result store. It is safe for concurrent use once the tasks are registered.
type App struct {
	cfg        Config
	log        *slog.Logger
	registry   task.Registry
	middleware []task.Middleware
	origin     string // who sends, as Celery writes it
	oid        string // where to answer when nobody waits, as in Celery: a queue that need not exist
	formats    *formats
	queues     *queues
	router     router
	clock      control.Clock // of commands and their answers

	opening chan struct{} // one place, for who opens conn: the others wait no longer than their contexts last

	mu       sync.Mutex // guards the fields below
	conn     *connection
	outbox   *outbox.Store   // nil: not opened
	declared map[string]bool // queues that were declared on conn
	closed   bool
}

var _ task.Sender = (*App)(nil)

// ErrClosed is returned by an App after Close.
var ErrClosed = errors.New("application is closed")

// New returns an application. It checks the configuration and connects to nothing.
func New(cfg Config) (*App, error) {
	cfg.DefaultQueue, cfg.Logger = cmp.Or(cfg.DefaultQueue, "celery"), cmp.Or(cfg.Logger, slog.Default())
	if err := check(&cfg); err != nil {
		return nil, err
	}
	formats, err := newFormats(cfg)
	if err != nil {
		return nil, err
	}
	formats.warn(cfg.Logger)
	app := &App{
		cfg: cfg, log: cfg.Logger, formats: formats, opening: make(chan struct{}, 1), declared: map[string]bool{}, oid: uuid.NewString(),
	}
	if err := app.arrange(); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	app.origin = fmt.Sprintf("gen%d@%s", os.Getpid(), host)
	return app, nil
}

// check refuses a configuration that makes no sense.
func check(cfg *Config) error {
	for _, part := range []func(*Config) error{checkURLs, checkLimits, checkOutbox} {
		if err := part(cfg); err != nil {
			return err
		}
	}
	if err := cfg.Exceptions.Validate(); err != nil {
		return fmt.Errorf("taskq: %w", err)
	}
	switch cfg.Declare {
	case "", broker.DeclareAuto, broker.DeclarePassive, broker.DeclareNever:
	default:
		return fmt.Errorf("taskq: declare mode %q: %w: use auto, passive or never", cfg.Declare, broker.ErrInvalid)
	}
	if err := cfg.Call.Validate(); err != nil {
		return fmt.Errorf("taskq: defaults of calls: %w", err)
	}
	return nil
}

// arrange reads the queues and the routes of the configuration.
func (a *App) arrange() (err error) {
	if a.queues, err = newQueues(&a.cfg); err != nil {
		return err
	}
	for _, name := range a.cfg.Worker.Queues {
		if err := a.queues.known(name); err != nil {
			return fmt.Errorf("taskq: worker: %w", err)
		}
	}
	a.router, err = newRouter(a.cfg.Routes, a.queues)
	return err
}

// Config returns the configuration with its defaults filled in.
func (a *App) Config() Config { return a.cfg }

// Accept returns the codecs of the messages that are read.
func (a *App) Accept() codec.Set { return maps.Clone(a.formats.accept) }

// Register adds tasks. It returns task.ErrDuplicate for a name that is taken.
func (a *App) Register(tasks ...task.Definition) error { return a.registry.Add(tasks...) }

// Registry holds the registered tasks.
func (a *App) Registry() *task.Registry { return &a.registry }

// Use wraps every task that a worker of this application runs in middleware, the first one outermost.
func (a *App) Use(middleware ...task.Middleware) {
	a.middleware = append(slices.Clone(a.middleware), middleware...)
}

// Broker returns the application's broker, connected on first use.
func (a *App) Broker(ctx context.Context) (broker.Broker, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.broker, nil
}

// Results returns the application's result store, nil when results are disabled.
func (a *App) Results(ctx context.Context) (result.Backend, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.results, nil
}

// NewWorker returns a worker for the registered tasks, connected to the broker.
func (a *App) NewWorker(ctx context.Context) (*worker.Worker, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.checkResults(ctx, c.results); err != nil {
		return nil, err
	}
	limits, err := a.limitsFor(ctx)
	if err != nil {
		return nil, err
	}
	opts := a.cfg.Worker
	if len(opts.Queues) == 0 {
		opts.Queues = a.queues.consumed()
	}
	var broadcasts []string
	opts.Queues, broadcasts = a.queues.split(opts.Queues)
	opts.StateDB = c.stateDB(opts)
	beside, err := a.beside(c)
	if err != nil {
		return nil, err
	}
	return worker.New(worker.Config{
		Options: opts, Broadcasts: broadcasts, Broker: c.broker, Results: c.results, LimitStore: limits, Registry: &a.registry, Middleware: a.middleware,
		Accept: a.formats.accept, Limits: a.cfg.Limits, Exceptions: a.cfg.Exceptions, Topology: a.topology, Send: a.followUp(c.broker),
		Declare: a.cfg.Declare, Clock: &a.clock, Beside: beside, Logger: a.log,
	})
}

// checkResults returns an error when a worker would run tasks whose outcomes cannot be stored, for a reason that time does not mend.
func (a *App) checkResults(ctx context.Context, results result.Backend) error {
	checker, ok := results.(result.Checker)
	if !ok {
		return nil
	}
	err := checker.Check(ctx)
	if errors.Is(err, result.ErrAccess) {
		return fmt.Errorf("taskq: result store: %w", err)
	}
	if err != nil {
		a.log.WarnContext(ctx, "result store is away: outcomes, and with them acknowledgements, wait for it", "error", err)
	}
	return nil
}

// Run runs a worker until ctx is done; see worker.Worker.Run.
func (a *App) Run(ctx context.Context) error {
	w, err := a.NewWorker(ctx)
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// Close closes what was opened. The application cannot be used again.
func (a *App) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	conn, store := a.conn, a.outbox
	a.mu.Unlock()
	var errs []error
	if store != nil {
		errs = append(errs, store.Close(ctx))
	}
	if conn != nil { // else whoever opens one now closes it
		errs = append(errs, conn.close(ctx))
	}
	return errors.Join(errs...)
}

// Topology is what is declared for a queue where Config.Declare allows it: as the configuration says, or as for any queue that it does
// not have. It is empty for a broadcast.
func (a *App) Topology(queue string) broker.Topology { return a.queues.topology(queue) }

func (a *App) topology(queue string) broker.Topology {
	return a.queues.topology(queue).In(a.cfg.Declare)
}

// connect returns the application's connection, opened by the first who needs it.
func (a *App) connect(ctx context.Context) (*connection, error) {
	if conn, err := a.connected(); conn != nil || err != nil {
		return conn, err
	}
	select {
	case a.opening <- struct{}{}:
		defer func() { <-a.opening }()
	case <-ctx.Done():
		return nil, fmt.Errorf("taskq: %w: %w", broker.ErrUnavailable, ctx.Err())
	}
	if conn, err := a.connected(); conn != nil || err != nil {
		return conn, err
	}
	conn, err := open(ctx, a.cfg, a.formats.acceptedResults())
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, errors.Join(fmt.Errorf("taskq: %w", ErrClosed), conn.close(context.WithoutCancel(ctx))) // each store bounds its closing
	}
	a.conn = conn
	return conn, nil
}

// connected returns the connection, nil while there is none.
func (a *App) connected() (*connection, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, fmt.Errorf("taskq: %w", ErrClosed)
	}
	return a.conn, nil
}
