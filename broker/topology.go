package broker

import (
	"maps"
	"reflect"
	"strings"
)

// Topology is what Declare makes sure of: exchanges first, then queues, then bindings.
type Topology struct {
	Exchanges []Exchange
	Queues    []Queue
	Bindings  []Binding
	// Links pass messages on from one exchange to another. Only RabbitMQ has them; the other brokers refuse them with ErrInvalid.
	Links []Link
	// Passive only checks that the exchanges and queues exist, whatever their properties, and creates nothing.
	Passive bool
}

// DeclareMode says how much of a topology a program may make.
type DeclareMode string

// The modes. The zero value is DeclareAuto.
const (
	DeclareAuto    DeclareMode = "auto"    // create what is missing; what exists must have the same properties
	DeclarePassive DeclareMode = "passive" // create nothing: the queues must exist and are used as they are
	DeclareNever   DeclareMode = "never"   // ask for nothing: what is missing shows when it is used
)

// Creates reports whether the mode lets queues and exchanges be created.
func (m DeclareMode) Creates() bool { return m == "" || m == DeclareAuto }

// In returns what is left of the topology in the mode. Only queues are looked for in the passive one: most messages are published to
// queues, through the default exchange, so that nothing else need exist. An exchange that is missing shows when it is published to.
func (t Topology) In(mode DeclareMode) Topology {
	switch mode {
	case DeclareNever:
		return Topology{}
	case DeclarePassive:
		return Topology{Queues: t.Queues, Passive: true}
	}
	return t
}

// IsEmpty reports whether there is nothing to declare.
func (t Topology) IsEmpty() bool {
	return len(t.Exchanges)+len(t.Queues)+len(t.Bindings)+len(t.Links) == 0
}

// ExchangeKind is AMQP's exchange type.
type ExchangeKind string

// The kinds of exchange that every broker here routes by.
const (
	Direct ExchangeKind = "direct"
	Fanout ExchangeKind = "fanout"
	Topic  ExchangeKind = "topic"
	// Headers routes by the message's headers and the binding's arguments (HeadersMatch), whatever the routing key.
	Headers ExchangeKind = "headers"
)

// Exchange routes messages to queues. The zero values are Celery's: durable, kept.
type Exchange struct {
	Name       string
	Kind       ExchangeKind
	Transient  bool // gone after a restart of the broker
	AutoDelete bool
	Arguments  Table
}

// QueueType is RabbitMQ's x-queue-type; "" leaves the argument out, as Celery does for classic queues.
type QueueType string

// The queue types of RabbitMQ.
const (
	Classic QueueType = "classic"
	Quorum  QueueType = "quorum"
)

// Queue holds messages. The zero values are Celery's: durable, shared, kept.
type Queue struct {
	Name       string
	Type       QueueType
	Transient  bool // gone after a restart of the broker
	AutoDelete bool // deleted when its last consumer goes
	Exclusive  bool // for the declaring connection only
	// MaxPriority is x-max-priority; 0 leaves the argument out.
	MaxPriority uint8
	// Arguments go to the broker as they are. Arguments of two declarations of one queue must be equal.
	Arguments Table
}

// Binding makes Exchange route messages with Key to Queue.
type Binding struct {
	Exchange, Queue, Key string
	Arguments            Table
}

// Link makes the exchange Source route messages with Key to the exchange Destination (RabbitMQ's exchange-to-exchange binding).
type Link struct {
	Source, Destination, Key string
	Arguments                Table
}

// Arguments of a queue that every broker here understands (RabbitMQ's names).
const (
	ArgDeadLetterExchange   = "x-dead-letter-exchange"
	ArgDeadLetterRoutingKey = "x-dead-letter-routing-key"
	ArgMessageTTL           = "x-message-ttl" // milliseconds, int32 or int64
	ArgExpires              = "x-expires"     // milliseconds without use until the queue is deleted
	ArgMaxPriority          = "x-max-priority"
	ArgQueueType            = "x-queue-type"
	ArgDeliveryLimit        = "x-delivery-limit" // of quorum queues
)

// WireArguments returns the arguments as they go to the broker: Arguments with Type and MaxPriority added.
func (q Queue) WireArguments() Table {
	args := make(Table, len(q.Arguments)+2)
	maps.Copy(args, q.Arguments)
	if q.Type != "" {
		args[ArgQueueType] = string(q.Type)
	}
	if q.MaxPriority > 0 {
		args[ArgMaxPriority] = int32(q.MaxPriority)
	}
	return args
}

// TaskQueue returns what Celery declares for a task queue: a durable direct exchange of the queue's name, and the queue bound to
// it by its own name (celery/app/amqp.py, task_create_missing_queues). The queue of one worker, "<node>.dq2", is bound to the exchange
// of all of these by the node's name (celery/utils/nodenames.py, worker_direct).
func TaskQueue(q Queue) Topology {
	exchange, key := q.Name, q.Name
	if node, direct := strings.CutSuffix(q.Name, ".dq2"); direct {
		exchange, key = "C.dq2", node
	}
	return Topology{
		Exchanges: []Exchange{{Name: exchange, Kind: Direct}},
		Queues:    []Queue{q},
		Bindings:  []Binding{{Exchange: exchange, Queue: q.Name, Key: key}},
	}
}

// Takes reports whether an exchange of this kind routes a message to the binding's queue.
func (k ExchangeKind) Takes(b Binding, routingKey string, headers Table) bool {
	if k == Headers {
		return HeadersMatch(b.Arguments, headers)
	}
	return k.Matches(b.Key, routingKey)
}

// Matches reports whether a binding with key takes a message with routingKey on an exchange of this kind, other than Headers. In a
// topic key, * stands for one word and # for any number of words, also none.
func (k ExchangeKind) Matches(key, routingKey string) bool {
	switch k {
	case Fanout:
		return true
	case Topic:
		return topicMatches(strings.Split(key, "."), strings.Split(routingKey, "."))
	case Direct:
		return key == routingKey
	}
	return false
}

func topicMatches(key, words []string) bool {
	for i, k := range key {
		switch {
		case k == "#":
			for rest := range len(words) - i + 1 {
				if topicMatches(key[i+1:], words[i+rest:]) {
					return true
				}
			}
			return false
		case i >= len(words), k != "*" && k != words[i]:
			return false
		}
	}
	return len(key) == len(words)
}

// HeadersMatch reports whether a binding with the arguments takes a message with the headers on an exchange of kind Headers. The
// argument x-match says whether all of the others must be there (the default) or any; those that start with x- count only for
// all-with-x and any-with-x. An argument of nil asks for the header only, whatever its value.
func HeadersMatch(arguments, headers Table) bool {
	mode, _ := arguments["x-match"].(string)
	mode, withX := strings.CutSuffix(mode, "-with-x")
	for name, want := range arguments {
		if name == "x-match" || strings.HasPrefix(name, "x-") && !withX {
			continue
		}
		got, there := headers[name]
		if matches := there && (want == nil || sameValue(want, got)); matches != (mode != "any") {
			return mode == "any" // one that matches is enough for any, one that does not is too much for all
		}
	}
	return mode != "any"
}

// sameValue compares values of headers; the width of a number does not matter.
func sameValue(a, b any) bool {
	wide := func(v any) any {
		if n, ok := v.(int32); ok {
			return int64(n)
		}
		return v
	}
	return reflect.DeepEqual(wide(a), wide(b))
}
