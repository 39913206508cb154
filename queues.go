package taskq

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/task"
)

// queues are those of the configuration, and the rules for all others.
type queues struct {
	cfg        *Config
	names      []string // of those that are configured, in their order
	configured map[string]Queue
	topologies map[string]broker.Topology // of those that are configured
}

func newQueues(cfg *Config) (*queues, error) {
	s := &queues{cfg: cfg, configured: map[string]Queue{}, topologies: map[string]broker.Topology{}}
	for i, q := range cfg.Queues {
		if err := s.add(q); err != nil {
			return nil, fmt.Errorf("taskq: queue %q (Queues[%d]): %w", q.Name, i, err)
		}
	}
	if err := checkExchange(broker.Exchange{Kind: cfg.MissingQueues.ExchangeType}); err != nil {
		return nil, fmt.Errorf("taskq: missing queues: %w", err)
	}
	if t := cfg.MissingQueues.Type; t != "" && t != broker.Classic && t != broker.Quorum {
		return nil, fmt.Errorf("taskq: missing queues: %w", invalid("the type %q is neither classic nor quorum", t))
	}
	return s, nil
}

func (s *queues) add(q Queue) error {
	if err := q.check(); err != nil {
		return err
	}
	if _, again := s.configured[q.Name]; again {
		return invalid("there are two of the name")
	}
	t, err := q.topology(s.cfg)
	if err != nil {
		return err
	}
	for name, other := range s.topologies {
		for _, x := range other.Exchanges {
			same := func(y broker.Exchange) bool { return x.Name == y.Name && !reflect.DeepEqual(x, y) }
			if slices.ContainsFunc(t.Exchanges, same) {
				return invalid("the queue %q has an exchange %q with other properties", name, x.Name)
			}
		}
	}
	s.names, s.configured[q.Name], s.topologies[q.Name] = append(s.names, q.Name), q, t
	return nil
}

// consumed are the queues of a worker that names none: those of the configuration, else the default one (celery/app/amqp.py,
// Queues.consume_from).
func (s *queues) consumed() []string {
	if len(s.names) == 0 {
		return []string{s.cfg.DefaultQueue}
	}
	return slices.Clone(s.names)
}

// isBroadcast reports whether the name stands for all workers that listen.
func (s *queues) isBroadcast(name string) bool { return s.configured[name].Broadcast }

// split parts the names of queues from those of broadcasts.
func (s *queues) split(names []string) (queues, broadcasts []string) {
	for _, name := range names {
		if s.isBroadcast(name) {
			broadcasts = append(broadcasts, name)
		} else {
			queues = append(queues, name)
		}
	}
	return queues, broadcasts
}

// isDefault reports whether it is the default queue, declared as such: without queues in the configuration.
func (s *queues) isDefault(name string) bool { return len(s.names) == 0 && name == s.cfg.DefaultQueue }

// known returns an error for a queue that nobody may use.
func (s *queues) known(name string) error {
	switch _, configured := s.configured[name]; {
	case configured, !s.cfg.MissingQueues.Refuse, isWorkersOwn(name), s.isDefault(name):
		return nil
	}
	if _, dead := s.workQueue(name); dead {
		return nil
	}
	return invalid("there is no queue %q: those of the configuration are %s, and others are refused", name, strings.Join(s.consumed(), ", "))
}

// isWorkersOwn reports whether it is the queue of one worker (celery/utils/nodenames.py, worker_direct).
func isWorkersOwn(name string) bool { return strings.HasSuffix(name, ".dq2") }

// workQueue returns the configured queue for whose dead letters or suspects the named one is.
func (s *queues) workQueue(name string) (broker.Queue, bool) {
	for work, t := range s.topologies {
		if (name == deadletter.Queue(work) || name == deadletter.Quarantine(work)) && !t.IsEmpty() {
			return t.Queues[0], true
		}
	}
	return broker.Queue{}, false
}

// topology is what is declared for a queue: as configured, else as Celery declares one that it does not know.
func (s *queues) topology(name string) broker.Topology {
	if t, ok := s.topologies[name]; ok {
		return t
	}
	if work, ok := s.workQueue(name); ok { // it is of the same type; limits, priorities and dead letters of its own it has none
		kind, _ := work.WireArguments()[broker.ArgQueueType].(string)
		return broker.TaskQueue(broker.Queue{Name: name, Type: broker.QueueType(kind)})
	}
	q := broker.Queue{Name: name, Type: s.cfg.QueueType}
	switch missing := s.cfg.MissingQueues.Type; {
	case s.isDefault(name) || missing == "":
	case missing == broker.Classic:
		q.Type = ""
	default:
		q.Type = missing
	}
	q.MaxPriority = s.cfg.maxPriority(q)
	t := broker.TaskQueue(q)
	t.Exchanges[0].Kind = s.exchange(name).Kind
	return t
}

// exchange is that of the queue.
func (s *queues) exchange(name string) broker.Exchange {
	if q, ok := s.configured[name]; ok {
		return q.exchange()
	}
	kind := broker.Direct
	if !isWorkersOwn(name) && !s.isDefault(name) {
		kind = cmp.Or(s.cfg.MissingQueues.ExchangeType, kind)
	}
	return broker.Exchange{Name: name, Kind: kind}
}

// address is where calls to the queue are published: through the default exchange when the queue's own is direct, else to that, with the
// key of the call or the queue's (celery/app/amqp.py, send_task_message).
func (s *queues) address(name, key string) broker.Address {
	q := s.configured[name]
	if q.Broadcast {
		return broker.Address{Exchange: name, RoutingKey: key}
	}
	x := s.exchange(name)
	if x.Kind == broker.Direct {
		return broker.Address{RoutingKey: name}
	}
	return broker.Address{Exchange: x.Name, RoutingKey: cmp.Or(key, q.key(), name)}
}

// published are the exchange and the key that a call with a queue is published with. That it names an exchange, too, comes from Python:
// as there, it counts unless the queue is direct and a key is missing.
func (s *queues) published(c task.Signature) (exchange, key string) {
	to := s.address(c.Queue, c.RoutingKey)
	switch {
	case c.Exchange != "" && (c.RoutingKey != "" || to.Exchange != ""):
		return c.Exchange, c.RoutingKey
	case to.Exchange == "":
		return "", ""
	}
	return to.Exchange, to.RoutingKey
}
