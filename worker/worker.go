package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/limit"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// Worker runs tasks. Make it with New, use it for one Run.
type Worker struct {
	cfg      Config
	log      *slog.Logger
	instance string // what tells it from others of its name
	handlers map[*task.Spec]task.Handler
	outcomes codec.Codec           // of results and states
	builtin  map[string]*task.Spec // tasks that are not the program's
	blind    sync.Once             // it was said that chords cannot be looked after here
	consumed []consumed

	collectors map[*task.Spec]*collector // of the tasks that run in batches

	own       limit.Store // what counts in this worker alone
	away      storeAway
	overrides overrides

	running   running
	revoked   revokedTasks
	counts    counts
	marking   chan struct{} // one for each command whose tasks are being marked as revoked
	parking   chan struct{} // one for each delivery on its way back into the broker until its time
	aside     chan struct{} // one for each goroutine that settles executions beside the slots
	unsettled chan settling // what these take; unbuffered
	idle      chan struct{} // sent to by those that have nothing to do; unbuffered
	delayed   atomic.Int32  // executions whose settling is being tried again

	loops    sync.WaitGroup // the quarantine, what parks, and what runs beside
	lived    survivors
	turn     chan struct{} // full while somebody has the right to start tasks
	poked    chan struct{} // this worker has sent a suspect to a quarantine; buffered
	examined chan struct{} // closed when the suspects that waited at the start have been run, or there is no quarantine

	terminate  context.Context // done: a cold shutdown was asked for
	terminated context.CancelFunc
	phases

	mu     sync.Mutex // guards what Run sets against Stats and Resize
	pool   pool.Pool
	intake *intake
}

// Stats is the state of a worker.
type Stats struct {
	Pool     pool.Stats
	Received uint64 // deliveries taken from the broker
	Settled  uint64
	Lost     uint64 // deliveries that were gone when they were to be settled: the broker hands them out again
	Running  int    // executions that are not settled yet
}

type counts struct {
	received, settled, lost atomic.Uint64
	cut                     atomic.Int64 // tasks that ended because the shutdown cancelled them
}

// ErrAbandoned is wrapped by Run's error when tasks still ran at the end of the shutdown; their deliveries went back to the broker.
var ErrAbandoned = errors.New("tasks were abandoned")

// New returns a worker; it starts with Run. It refuses a configuration that makes no sense.
func New(cfg Config) (*Worker, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	w := &Worker{
		cfg: cfg, log: cfg.Logger, instance: uuid.NewString(), own: limitmem.New(), consumed: cfg.consumed(),
		handlers: map[*task.Spec]task.Handler{}, outcomes: codec.Remembering(codec.JSON{}),
		parking: make(chan struct{}, parkWindow), marking: make(chan struct{}, markAtOnce),
		aside: make(chan struct{}, asideMost), unsettled: make(chan settling), idle: make(chan struct{}),
		turn: make(chan struct{}, 1), poked: make(chan struct{}, 1), examined: make(chan struct{}),
	}
	if w.cfg.Send == nil {
		w.cfg.Send = w.send
	}
	for _, spec := range cfg.Registry.All() {
		if spec.Handler != nil {
			w.handlers[spec] = task.Wrap(spec.Handler, cfg.Middleware)
		}
	}
	w.cfg.Accept = prepared(w.cfg.Accept, w.cfg.Limits.Depth)
	w.addBuiltins()
	if err := w.makeCollectors(); err != nil {
		return nil, err
	}
	if err := w.revoked.load(&w.cfg); err != nil {
		return nil, err
	}
	w.overrideAll()
	w.terminate, w.terminated = context.WithCancel(context.Background()) // ended by Terminate alone
	return w, nil
}

// prepared are the codecs as the worker uses them, made once and not for each message.
func prepared(accept codec.Set, depth int) codec.Set {
	set := make(codec.Set, len(accept))
	for contentType, c := range accept {
		set[contentType] = codec.Remembering(codec.WithMaxDepth(c, depth))
	}
	return set
}

// Options returns the options with all defaults filled in.
func (w *Worker) Options() Options { return w.cfg.Options }

// Stats returns the state of the worker.
func (w *Worker) Stats() Stats {
	s := Stats{
		Received: w.counts.received.Load(),
		Settled:  w.counts.settled.Load(),
		Lost:     w.counts.lost.Load(),
		Running:  w.running.len(),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pool != nil {
		s.Pool = w.pool.Stats()
	}
	return s
}

// Resize changes the number of slots at run time, and with it how many deliveries are held. Fewer slots end once their jobs do.
func (w *Worker) Resize(ctx context.Context, slots int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.intake == nil {
		return errors.New("worker: resize: the worker does not run")
	}
	if err := w.pool.Resize(slots); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if err := w.intake.resize(ctx, w.prefetch(slots)); err != nil {
		return fmt.Errorf("worker: resize: %w", err)
	}
	return nil
}
