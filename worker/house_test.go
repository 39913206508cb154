package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

const (
	queue = "celery"
	dead  = "celery.dead"
)

// house is a worker on a broker in memory, with all that a test wants to look at.
type house struct {
	t       *testing.T
	broker  broker.Broker
	results result.Backend
	worker  *worker.Worker
	cancel  context.CancelFunc
	ended   chan error
}

type plan struct {
	opts    worker.Options
	results result.Backend // nil: in memory
	tasks   []task.Definition
	before  func(*house)                                             // the worker starts; may be nil
	queues  []string                                                 // nil: the one
	server  *mem.Server                                              // nil: a new one
	wrap    func(*mem.Broker) broker.Broker                          // what the worker sees of the broker; may be nil
	send    func(context.Context, task.Signature, codec.Codec) error // of the worker's Config

	middleware []task.Middleware
	exceptions task.Exceptions
	broadcasts []string     // of the worker's Config
	limits     limit.Store  // of the worker's Config
	logger     *slog.Logger // nil: nobody reads it
}

// start runs a worker until the test ends. Messages that it rejects go to the queue dead, by its own doing or by the broker's.
func start(t *testing.T, p plan) *house {
	t.Helper()
	h := &house{t: t, results: p.results, ended: make(chan error, 1)}
	if p.server == nil {
		p.server = mem.NewServer()
	}
	opened := p.server.Open()
	h.broker = opened
	seen := h.broker
	if p.wrap != nil {
		seen = p.wrap(opened)
	}
	if h.results == nil {
		h.results = resultmem.New(resultmem.Config{})
	}
	var registry task.Registry
	if err := registry.Add(p.tasks...); err != nil {
		t.Fatal(err)
	}
	topology := taskQueue
	if p.opts.DeadLetters {
		topology = func(name string) broker.Queue { return broker.Queue{Name: name} }
	} else {
		h.declare(broker.Queue{Name: dead})
	}
	if p.opts.Queues = p.queues; p.queues == nil {
		p.opts.Queues = []string{queue}
	}
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	w, err := worker.New(worker.Config{
		Options: p.opts, Broker: seen, Send: p.send, Results: h.results, Registry: &registry, Logger: p.logger,
		Middleware: p.middleware, Exceptions: p.exceptions, Broadcasts: p.broadcasts, LimitStore: p.limits,
		Topology: func(name string) broker.Topology { return broker.TaskQueue(topology(name)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.worker = w
	h.declare(topology(queue))
	if p.before != nil {
		p.before(h)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h.cancel = cancel
	go func() { h.ended <- w.Run(ctx) }()
	t.Cleanup(h.close)
	return h
}

func taskQueue(name string) broker.Queue {
	return broker.Queue{Name: name, Arguments: broker.Table{
		broker.ArgDeadLetterExchange: "", broker.ArgDeadLetterRoutingKey: dead,
	}}
}

func (h *house) close() {
	h.cancel()
	h.worker.Terminate()
	<-h.ended
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := errors.Join(h.results.Close(ctx), h.broker.Close(ctx)); err != nil {
		h.t.Error(err)
	}
}

// stop shuts the worker down warm and returns Run's error.
func (h *house) stop() error {
	h.cancel()
	err := <-h.ended
	h.ended <- err // for close
	return err
}

func (h *house) declare(q broker.Queue) {
	h.t.Helper()
	if err := h.broker.Declare(h.t.Context(), broker.TaskQueue(q)); err != nil {
		h.t.Fatal(err)
	}
}

// send publishes a call and returns its id.
func (h *house) send(s task.Signature) string {
	h.t.Helper()
	if s.ID == "" {
		s.ID = uuid.NewString()
	}
	msg, err := wire.Encode(wire.Outgoing{Signature: s, Now: time.Now(), Origin: "test"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.publish(msg)
	return s.ID
}

func (h *house) publish(msg broker.Message) {
	h.t.Helper()
	if err := h.broker.Publish(h.t.Context(), broker.Address{RoutingKey: queue}, msg); err != nil {
		h.t.Fatal(err)
	}
}

// outcome waits for the final state of a task.
func (h *house) outcome(id string) task.Meta {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 3*time.Hour)
	defer cancel()
	meta, err := h.results.Wait(ctx, id)
	if err != nil {
		h.t.Fatalf("outcome of %s: %v", id, err)
	}
	return meta
}

// waiting returns how many messages wait in a queue.
func (h *house) waiting(name string) int {
	h.t.Helper()
	stats, err := h.broker.(broker.Measurer).Measure(h.t.Context(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	return stats.Messages
}

func (h *house) wantWaiting(name string, want int) {
	h.t.Helper()
	if got := h.waiting(name); got != want {
		h.t.Errorf("%d messages wait in %s, want %d", got, name, want)
	}
}

// wantFailure waits for the task's outcome and compares the exception.
func (h *house) wantFailure(id, class string) *task.RemoteError {
	h.t.Helper()
	meta := h.outcome(id)
	remote, _ := errors.AsType[*task.RemoteError](meta.Err())
	if meta.State != task.Failure || remote == nil || remote.Type != class {
		h.t.Fatalf("outcome = %s %v, want FAILURE %s", meta.State, meta.Err(), class)
	}
	return remote
}

func wantValue[R comparable](t *testing.T, meta task.Meta, want R) {
	t.Helper()
	var got R
	if err := meta.Value(&got); err != nil || got != want {
		t.Errorf("result = %v, %v; want %v", got, err, want)
	}
}
