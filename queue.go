package taskq

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// Queue is a queue of the application, with the exchange that leads to it (Celery's task_queues). Only Name is needed: the zero values
// are those of a queue that is not configured, but durable and direct, as in Celery. What several programs say of a queue, in Go or
// Python, must be equal.
type Queue struct {
	Name string
	// Exchange that leads to the queue. Its Name is the queue's unless it has one, its Kind broker.Direct. Calls to the queue are
	// published to it, unless it is direct: then they go straight to the queue, as in Celery.
	Exchange broker.Exchange
	// RoutingKey that the queue is bound to its exchange with, and that calls to it are published with unless they or their routes have
	// their own; "" is that of the first of Bindings, else the queue's name.
	RoutingKey string
	// Bindings are in place of the one to Exchange with RoutingKey.
	Bindings []Binding
	// Type is x-queue-type; "" is Config.QueueType.
	Type broker.QueueType
	// MaxPriority is x-max-priority, with which a queue has priorities from 0 up to it; 0 is Config.MaxPriority. Each costs memory: up to
	// 10 is plenty.
	MaxPriority uint8
	// DeadLetterExchange and DeadLetterRoutingKey are where RabbitMQ moves what is rejected or too old (x-dead-letter-exchange,
	// x-dead-letter-routing-key). A key alone is for the default exchange: the name of a queue, which is declared elsewhere.
	DeadLetterExchange, DeadLetterRoutingKey string
	// MessageTTL is how long a message may wait (x-message-ttl), Expires how long the queue may be unused until it is deleted
	// (x-expires), both in whole milliseconds; 0 means for ever.
	MessageTTL, Expires time.Duration
	// MaxLength is how many messages may wait (x-max-length); 0 means any number. RabbitMQ drops the oldest ones unless Arguments say
	// x-overflow.
	MaxLength int
	// Arguments are all others, as they go to the broker: string, bool, whole numbers, float64, and lists and tables of them.
	Arguments  broker.Table
	Transient  bool // gone after a restart of the broker; not for quorum queues
	AutoDelete bool // deleted when its last consumer goes; not for quorum queues
	// Broadcast makes it no queue but a name for all workers that listen to it: each has a queue of its own, bound to a fanout exchange of
	// this name, and each runs every task (kombu's Broadcast). Senders declare nothing. A call that no worker listens to is an error
	// that wraps broker.ErrUnroutable. Nothing but Name goes with it.
	Broadcast bool
}

// Binding makes an exchange pass messages on to a queue.
type Binding struct {
	// Exchange is the queue's own unless it has a name.
	Exchange   broker.Exchange
	RoutingKey string
	// Arguments of a headers exchange: the headers that a message must have, and x-match (all or any).
	Arguments broker.Table
}

// MissingQueues say what becomes of a queue that a call, a route or a worker names and Config.Queues do not have. The zero value declares
// it as Celery does.
type MissingQueues struct {
	// Refuse makes it an error that wraps broker.ErrInvalid (task_create_missing_queues = False). Queues of one worker, <node>.dq2,
	// are known nevertheless.
	Refuse bool
	// Type of the queue, "" is Config.QueueType; broker.Classic leaves the argument out, as Celery does (task_create_missing_queue_type).
	Type broker.QueueType
	// ExchangeType of its exchange; "" means broker.Direct (task_create_missing_queue_exchange_type).
	ExchangeType broker.ExchangeKind
}

// invalid is an error about the configuration.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{broker.ErrInvalid}, args...)...)
}

// check refuses what no broker could declare.
func (q Queue) check() error {
	switch {
	case q.Name == "":
		return invalid("it has no name")
	case len(q.Name) > 255:
		return invalid("the name has %d bytes, more than 255", len(q.Name))
	case q.Broadcast:
		return q.checkBroadcast()
	case q.MessageTTL < 0 || q.Expires < 0 || q.MaxLength < 0:
		return invalid("a limit is negative")
	case q.Type != "" && q.Type != broker.Classic && q.Type != broker.Quorum:
		return invalid("the type %q is neither classic nor quorum; give others in Arguments, as %s", q.Type, broker.ArgQueueType)
	case q.Type == broker.Quorum && q.MaxPriority > 0:
		return invalid("a quorum queue takes no %s; leave one of them out", broker.ArgMaxPriority)
	case q.Type == broker.Quorum && (q.Transient || q.AutoDelete):
		return invalid("a quorum queue is durable and not deleted by itself; leave that out, or the type")
	case len(q.RoutingKey) > 255:
		return invalid("the routing key has %d bytes, more than 255", len(q.RoutingKey))
	}
	if err := checkExchange(q.Exchange); err != nil {
		return err
	}
	for i, b := range q.Bindings {
		if err := checkExchange(b.Exchange); err != nil {
			return fmt.Errorf("binding %d: %w", i, err)
		}
	}
	return nil
}

func (q Queue) checkBroadcast() error {
	if rest := (Queue{Name: q.Name, Broadcast: true}); !reflect.DeepEqual(q, rest) {
		return invalid("a broadcast has a fanout exchange of its name and a queue for each worker, and nothing else to configure")
	}
	return nil
}

func checkExchange(x broker.Exchange) error {
	switch x.Kind {
	case "", broker.Direct, broker.Topic, broker.Fanout, broker.Headers:
		return nil
	}
	if strings.HasPrefix(string(x.Kind), "x-") {
		return nil // of a plugin
	}
	return invalid("the exchange type %q is none of direct, topic, fanout, headers", x.Kind)
}

// topology is what is declared for the queue: as it says, with what it leaves open as cfg has it.
func (q Queue) topology(cfg *Config) (broker.Topology, error) {
	if q.Broadcast {
		return broker.Topology{}, nil
	}
	declared, err := q.declared(cfg)
	if err != nil {
		return broker.Topology{}, err
	}
	t := broker.Topology{Queues: []broker.Queue{declared}}
	bindings := q.Bindings
	if len(bindings) == 0 {
		bindings = []Binding{{RoutingKey: q.key()}}
	}
	for i, b := range bindings {
		x := q.exchange()
		if b.Exchange.Name != "" {
			x = b.Exchange
			x.Kind = cmp.Or(x.Kind, broker.Direct)
		}
		args, err := wireTable(b.Arguments)
		if err == nil {
			x.Arguments, err = wireTable(x.Arguments)
		}
		if err != nil {
			return t, fmt.Errorf("binding %d: %w", i, err)
		}
		t.Exchanges = withExchange(t.Exchanges, x)
		t.Bindings = append(t.Bindings, broker.Binding{Exchange: x.Name, Queue: q.Name, Key: b.RoutingKey, Arguments: args})
	}
	return t, nil
}

// exchange is the queue's own, with its defaults.
func (q Queue) exchange() broker.Exchange {
	x := q.Exchange
	x.Name, x.Kind = cmp.Or(x.Name, q.Name), cmp.Or(x.Kind, broker.Direct)
	return x
}

// key is what calls to the queue are published with.
func (q Queue) key() string {
	if len(q.Bindings) > 0 {
		return cmp.Or(q.RoutingKey, q.Bindings[0].RoutingKey)
	}
	return cmp.Or(q.RoutingKey, q.Name)
}

func withExchange(all []broker.Exchange, x broker.Exchange) []broker.Exchange {
	for _, other := range all {
		if other.Name == x.Name {
			return all
		}
	}
	return append(all, x)
}

// declared is the queue as the broker gets it.
func (q Queue) declared(cfg *Config) (broker.Queue, error) {
	args, err := wireTable(q.Arguments)
	if err != nil {
		return broker.Queue{}, err
	}
	if args == nil {
		args = broker.Table{}
	}
	twice := func(name string) bool { _, ok := args[name]; return ok }
	for _, a := range []struct {
		name  string
		given bool
		value any
	}{
		{broker.ArgDeadLetterExchange, q.DeadLetterExchange != "" || q.DeadLetterRoutingKey != "" && !twice(broker.ArgDeadLetterExchange), q.DeadLetterExchange},
		{broker.ArgDeadLetterRoutingKey, q.DeadLetterRoutingKey != "", q.DeadLetterRoutingKey},
		{broker.ArgMessageTTL, q.MessageTTL > 0, wireInt(q.MessageTTL.Milliseconds())},
		{broker.ArgExpires, q.Expires > 0, wireInt(q.Expires.Milliseconds())},
		{argMaxLength, q.MaxLength > 0, wireInt(int64(q.MaxLength))},
		{broker.ArgMaxPriority, q.MaxPriority > 0, nil},
		{broker.ArgQueueType, q.Type != "", nil},
	} {
		switch {
		case a.given && twice(a.name):
			return broker.Queue{}, invalid("%s is given twice, by its own name and in Arguments", a.name)
		case a.given && a.value != nil:
			args[a.name] = a.value
		}
	}
	d := broker.Queue{Name: q.Name, Type: q.Type, MaxPriority: q.MaxPriority, Transient: q.Transient, AutoDelete: q.AutoDelete}
	if !twice(broker.ArgQueueType) {
		d.Type = cmp.Or(d.Type, cfg.QueueType)
	}
	if d.MaxPriority == 0 && !twice(broker.ArgMaxPriority) {
		d.MaxPriority = cfg.maxPriority(d)
	}
	if len(args) > 0 {
		d.Arguments = args
	}
	return d, nil
}

// maxPriority is that of queues that have none of their own. RabbitMQ refuses it for others than classic ones.
func (cfg *Config) maxPriority(q broker.Queue) uint8 {
	if kind, ok := q.WireArguments()[broker.ArgQueueType]; ok && kind != string(broker.Classic) {
		return 0
	}
	return cfg.MaxPriority
}

const argMaxLength = "x-max-length"
