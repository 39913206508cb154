package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// Options are what the operator of a worker chooses. The zero value is ready to use.
type Options struct {
	Pool pool.Kind // "": Goroutines
	// Concurrency is the number of slots; 0 means 1 for the solo pool and for the others the number of CPUs that
	// the process may use (GOMAXPROCS, which a container's limit sets).
	Concurrency int
	// Queues to consume; none means the application's default queue.
	Queues []string
	// QueueOrder says which of them the next task is taken from when several have some; "": Fair. All orders are those of the deliveries
	// at hand: a message that comes while the slots are busy is looked at when one is free.
	QueueOrder QueueOrder
	// Weights of queues, from 1 to MaxWeight: how many tasks are taken from each while all have some. A queue that has none here has 1;
	// with no weights at all, nobody counts.
	Weights map[string]int
	// ConsumerPriority is RabbitMQ's x-priority: while workers with a higher one take messages, this one gets none. 0 is the default.
	ConsumerPriority int
	// Direct consumes the worker's own queue, too, see DirectQueue: what is sent there runs on this worker, or waits for it
	// (worker_direct in Celery).
	Direct bool
	// PrefetchMultiplier times the slots is how many deliveries the worker may hold; 0 means 2: one runs, one is at hand.
	PrefetchMultiplier int
	// Hostname is the node name; "" means celery@<host>.
	Hostname string
	// Limits of tasks that bring none of their own; 0 means none.
	TimeLimit, SoftTimeLimit time.Duration
	// MaxStuck is how many slots may be given up to tasks that outlast their time limit and ignore their context; beyond it such a slot
	// is not replaced until the task returns. 0 means as many as there are slots.
	MaxStuck int
	// ShutdownTimeout is how long a warm shutdown waits for the running tasks, counted from its beginning; 0 means until they are
	// done. Those that still run then are cancelled and have 5 s to return.
	ShutdownTimeout time.Duration
	// DeadLetters declares a queue <name>.dead for each queue and keeps there what is rejected, with the reason in its headers.
	// Without it, a rejected message goes where the broker's own policy says, or nowhere.
	DeadLetters bool
	// DeliveryLimit is how many workers a message may kill before it is a dead letter; 0 means 3, and at least 2 are needed. It holds
	// with DeadLetters only.
	DeliveryLimit int
	// Tasks changes limits of tasks without their code, by their names (Celery's task_annotations); "*" is for all that have no entry of
	// their own.
	Tasks map[string]TaskOptions
	// DisableRateLimits lets tasks start as often as they come, whatever their rate limits say (Celery's worker_disable_rate_limits).
	DisableRateLimits bool
	// TrackStarted stores the state STARTED when a task begins (Celery's task_track_started), and task.TrackStarted does for one
	// task. It costs a write to the result store for each.
	TrackStarted bool
	// ResultExtended stores along with the outcome what was called, where and how often (Celery's result_extended); see task.Extended.
	ResultExtended bool
	// NoRemoteControl switches remote control off: the worker hears no commands, such as those to revoke tasks
	// (worker_enable_remote_control in Celery).
	NoRemoteControl bool
	// NoMingle starts without asking the other workers what was revoked (--without-mingle).
	NoMingle bool
	// RevokesMax is how many revoked tasks are remembered, the latest ones; 0 means 50000. RevokeExpires is for how long; 0 means 3 h.
	RevokesMax    int
	RevokeExpires time.Duration
	// StateDB is the file that keeps across restarts what was revoked (worker_state_db), none of Python's shelves. In an application ""
	// means <store>.revoked beside the embedded store, <node>.revoked in $STATE_DIRECTORY when that is set, and else none; "off" means
	// none. In a worker without an application "" is none.
	StateDB string
	// Batches say how the calls of tasks are collected, by the tasks' names, in place of what the tasks say (task.BatchSize, BatchWait).
	// The tasks must be registered and made with task.NewBatch.
	Batches map[string]task.BatchPolicy
}

// Config is what a worker is made of.
type Config struct {
	Options
	// Broadcasts are the names of fanout exchanges that the worker listens to besides Queues. For each it has a queue of its own, which
	// goes with its connection: what is published while it is away is not for it (kombu/common.py, Broadcast). Nothing is kept in dead
	// letters of these.
	Broadcasts []string
	Broker     broker.Broker
	Results    result.Backend // nil: outcomes are not stored
	Registry   *task.Registry
	Middleware []task.Middleware // around every task, the first one outermost
	Accept     codec.Set         // nil: JSON
	LimitStore limit.Store       // what the limits of tasks count in over several workers; nil: none may
	Limits     wire.Limits
	// Exceptions say which exceptions the errors of tasks become; see task.Exceptions.
	Exceptions task.Exceptions
	// Send publishes the calls that follow a task, as the program sends its own; ctx carries that task's request. It returns an error
	// that wraps broker.ErrInvalid for a call that can never be sent. What is encoded of the arguments (codec.Raw) is encoded by args.
	// nil sends to the call's queue, or to the first one of the worker, and knows no exchanges.
	Send func(ctx context.Context, s task.Signature, args codec.Codec) error
	// Topology of a queue that is to be consumed, declared before; nil means broker.TaskQueue. Nothing is asked for an empty one.
	Topology func(queue string) broker.Topology
	// Declare says whether the exchange of the commands may be declared. The queue that this worker hears them from is its own, and is
	// declared in every mode.
	Declare broker.DeclareMode
	Clock   *control.Clock // of the program; nil: the worker's own
	// Beside run beside the tasks, from when the queues are declared until the worker stops: their contexts are done then, and Run waits
	// for them.
	Beside []func(context.Context) error
	Logger *slog.Logger // nil: slog.Default
}

// publishAtOnce is how many of the calls that follow a task may be on their way at a time.
const publishAtOnce = 16

// Times that nobody needed to choose yet.
const (
	killGrace   = 5 * time.Second  // for tasks to return after their context is cancelled
	closeWait   = 5 * time.Second  // for the broker to take back what is left
	settleWait  = 10 * time.Second // for outcomes to be stored while the worker stops
	askWait     = 2 * time.Second  // for the limit store to answer
	updateWait  = 5 * time.Second  // for a state to be stored before the outcome
	reopenFirst = time.Second      // before a consumer that could not be opened is tried again
	reopenMax   = 30 * time.Second // the doubling of that ends here
	retryFirst  = 50 * time.Millisecond
	retryMax    = 10 * time.Second // between attempts at a result store or broker that is away
)

func (c *Config) complete() error {
	if c.Broker == nil || c.Registry == nil {
		return errors.New("worker: Config needs a Broker and a Registry")
	}
	c.Pool = cmp.Or(c.Pool, pool.Goroutines)
	if c.Concurrency == 0 {
		c.Concurrency = runtime.GOMAXPROCS(0)
		if c.Pool == pool.Solo {
			c.Concurrency = 1
		}
	}
	c.PrefetchMultiplier = cmp.Or(c.PrefetchMultiplier, 2)
	c.DeliveryLimit = cmp.Or(c.DeliveryLimit, 3)
	c.RevokesMax = cmp.Or(c.RevokesMax, 50_000)
	c.RevokeExpires = cmp.Or(c.RevokeExpires, 3*time.Hour)
	if err := c.Validate(); err != nil {
		return err
	}
	c.MaxStuck = cmp.Or(c.MaxStuck, c.Concurrency)
	c.Hostname = cmp.Or(c.Hostname, NodeName("celery@%h"))
	c.Clock = cmp.Or(c.Clock, &control.Clock{})
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Accept == nil {
		c.Accept = codec.NewSet(codec.JSON{})
	}
	if c.Topology == nil {
		c.Topology = func(queue string) broker.Topology { return broker.TaskQueue(broker.Queue{Name: queue}) }
	}
	return errors.Join(c.completeQueues(), c.checkLimits())
}

// Validate refuses options that make no sense, alone or together; New calls it.
func (o Options) Validate() error {
	switch {
	case o.Concurrency < 0:
		return fmt.Errorf("worker: concurrency %d: at least one slot is needed", o.Concurrency)
	case o.Pool == pool.Solo && o.Concurrency > 1:
		return fmt.Errorf("worker: the solo pool has one slot, concurrency %d asks for more: use -P threads or -P goroutines", o.Concurrency)
	case o.PrefetchMultiplier < 0:
		return fmt.Errorf("worker: prefetch multiplier %d is negative", o.PrefetchMultiplier)
	case o.TimeLimit < 0 || o.SoftTimeLimit < 0 || o.ShutdownTimeout < 0:
		return errors.New("worker: a time limit is negative")
	case o.DeliveryLimit < 0 || o.DeliveryLimit == 1:
		return fmt.Errorf("worker: delivery limit %d: at least 2 deliveries are needed to tell which task kills its worker", o.DeliveryLimit)
	case o.RevokesMax < 0 || o.RevokeExpires < 0:
		return errors.New("worker: the bound of what is remembered as revoked is negative")
	case o.TimeLimit > 0 && o.SoftTimeLimit > o.TimeLimit:
		return fmt.Errorf("worker: the soft time limit %s is above the hard one, %s", o.SoftTimeLimit, o.TimeLimit)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Tasks)) {
		if err := o.Tasks[name].validate(); err != nil {
			return fmt.Errorf("worker: tasks: %s: %w", name, err)
		}
	}
	return o.validateQueues()
}

// NodeName expands a node name as Celery does: %h is the host's full name, %n its first part, %d the rest; a name without @ gets the
// host behind it.
func NodeName(name string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	short, domain, _ := strings.Cut(host, ".")
	if !strings.Contains(name, "@") {
		name += "@%h"
	}
	return strings.NewReplacer("%h", host, "%n", short, "%d", domain, "%%", "%").Replace(name)
}
