// Package local holds what the brokers without a server have in common: the meaning of a queue's arguments, when two declarations
// clash, and which messages are refused.
package local

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
)

// Rules are what a queue's arguments mean.
type Rules struct {
	DeadLetters  bool // rejected and expired messages go to DeadExchange, else they vanish
	DeadExchange string
	DeadKey      string        // "": the message's own routing key
	TTL          time.Duration // how long a message may wait; negative: for ever
	Expires      time.Duration // how long the queue may be unused; 0: for ever
	MaxPriority  uint8
}

// ParseRules reads the arguments of the queue. The error wraps broker.ErrInvalid.
func ParseRules(q broker.Queue) (Rules, error) {
	if q.Name == "" || len(q.Name) > record.MaxShort {
		return Rules{}, fmt.Errorf("queue name of %d bytes: %w", len(q.Name), broker.ErrInvalid)
	}
	r := Rules{TTL: -1}
	for key, value := range q.WireArguments() {
		if err := r.set(key, value); err != nil {
			return Rules{}, fmt.Errorf("queue %s: argument %s: %w", q.Name, key, err)
		}
	}
	return r, nil
}

func (r *Rules) set(key string, value any) (err error) {
	switch key {
	case broker.ArgDeadLetterExchange:
		r.DeadLetters = true
		r.DeadExchange, err = text(value)
	case broker.ArgDeadLetterRoutingKey:
		r.DeadKey, err = text(value)
	case broker.ArgMessageTTL:
		r.TTL, err = milliseconds(value)
	case broker.ArgExpires:
		if r.Expires, err = milliseconds(value); err == nil && r.Expires == 0 {
			err = fmt.Errorf("0 milliseconds: %w", broker.ErrInvalid)
		}
	case broker.ArgMaxPriority:
		n, ok := integer(value)
		if !ok || n < 0 || n > math.MaxUint8 {
			return fmt.Errorf("%v is not between 0 and 255: %w", value, broker.ErrInvalid)
		}
		r.MaxPriority = uint8(n)
	default: // RabbitMQ's other arguments have no meaning here; they only must be the same each time
		return record.CheckValue(value)
	}
	return err
}

// Priority is the priority that a message gets in the queue.
func (r *Rules) Priority(msg broker.Message) uint8 { return min(msg.Priority, r.MaxPriority) }

// Deadline is when a message that enters the queue now expires; zero: never.
func (r *Rules) Deadline(msg broker.Message, now time.Time) time.Time {
	ttl := r.TTL
	if msg.Expiration > 0 && (ttl < 0 || msg.Expiration < ttl) {
		ttl = msg.Expiration
	}
	if ttl < 0 {
		return time.Time{}
	}
	return now.Add(ttl)
}

// DeadLetter is where a message goes that was published with the routing key and died in the queue.
func (r *Rules) DeadLetter(routingKey string) broker.Address {
	if r.DeadKey != "" {
		routingKey = r.DeadKey
	}
	return broker.Address{Exchange: r.DeadExchange, RoutingKey: routingKey, Optional: true}
}

// QueueClash returns a *broker.DeclareError when the two declarations of a queue differ, else nil. waiting counts the messages in the
// existing queue; it is asked only then.
func QueueClash(asked, existing broker.Queue, waiting func() int) error {
	var d difference
	switch {
	case asked.Transient != existing.Transient:
		d = differs("durable", !asked.Transient, !existing.Transient)
	case asked.AutoDelete != existing.AutoDelete:
		d = differs("auto_delete", asked.AutoDelete, existing.AutoDelete)
	case asked.Exclusive != existing.Exclusive:
		d = differs("exclusive", asked.Exclusive, existing.Exclusive)
	default:
		d = argumentsDiffer(asked.WireArguments(), existing.WireArguments())
	}
	if d == (difference{}) {
		return nil
	}
	return d.clash("queue", asked.Name, waiting())
}

// ExchangeClash is QueueClash for exchanges.
func ExchangeClash(asked, existing broker.Exchange) error {
	var d difference
	switch {
	case asked.Kind != existing.Kind:
		d = differs("type", asked.Kind, existing.Kind)
	case asked.Transient != existing.Transient:
		d = differs("durable", !asked.Transient, !existing.Transient)
	case asked.AutoDelete != existing.AutoDelete:
		d = differs("auto_delete", asked.AutoDelete, existing.AutoDelete)
	default:
		d = argumentsDiffer(asked.Arguments, existing.Arguments)
	}
	if d == (difference{}) {
		return nil
	}
	return d.clash("exchange", asked.Name, -1)
}

// Locked is the error about an exclusive queue of another connection.
func Locked(queue string) error {
	return &broker.DeclareError{Object: "queue", Name: queue, Vhost: vhost, Locked: true, Messages: -1}
}

// vhost is the only one there is.
const vhost = "/"

// difference is a property with its two values.
type difference struct{ argument, asked, existing string }

func differs(argument string, asked, existing any) difference {
	return difference{argument, fmt.Sprint(asked), fmt.Sprint(existing)}
}

func (d difference) clash(object, name string, messages int) error {
	return &broker.DeclareError{
		Object: object, Name: name, Vhost: vhost, Argument: d.argument, Asked: d.asked, Existing: d.existing, Messages: messages,
	}
}

// argumentsDiffer returns the first argument, by name, that differs.
func argumentsDiffer(asked, existing broker.Table) difference {
	names := slices.AppendSeq(slices.Collect(maps.Keys(asked)), maps.Keys(existing))
	slices.Sort(names)
	for _, name := range names {
		a, isAsked := asked[name]
		b, exists := existing[name]
		switch {
		case !exists:
			return differs(name, a, broker.NotSet)
		case !isAsked:
			return differs(name, broker.NotSet, b)
		case !same(a, b):
			return differs(name, a, b)
		}
	}
	return difference{}
}

// same compares values of arguments; the width of a number does not matter.
func same(a, b any) bool {
	if m, ok := integer(a); ok {
		n, ok := integer(b)
		return ok && m == n
	}
	return reflect.DeepEqual(a, b)
}

func text(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%v is not a string: %w", v, broker.ErrInvalid)
	}
	return s, nil
}

func milliseconds(v any) (time.Duration, error) {
	n, ok := integer(v)
	if !ok || n < 0 || n > int64(math.MaxInt64/time.Millisecond) {
		return 0, fmt.Errorf("%v is not a number of milliseconds: %w", v, broker.ErrInvalid)
	}
	return time.Duration(n) * time.Millisecond, nil
}

func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// CheckExchange refuses exchanges that no broker here routes by. The error wraps broker.ErrInvalid.
func CheckExchange(x broker.Exchange) error {
	if x.Name == "" || len(x.Name) > record.MaxShort {
		return fmt.Errorf("exchange name of %d bytes: %w", len(x.Name), broker.ErrInvalid)
	}
	switch x.Kind {
	case broker.Direct, broker.Fanout, broker.Topic, broker.Headers:
		return record.CheckTable(x.Arguments)
	}
	return fmt.Errorf("exchange %s of kind %q: %w", x.Name, x.Kind, broker.ErrInvalid)
}

// CheckTopology refuses what only RabbitMQ can route by. The error wraps broker.ErrInvalid.
func CheckTopology(t broker.Topology) error {
	for _, l := range t.Links {
		return fmt.Errorf("link of exchange %s to exchange %s: only RabbitMQ binds exchanges to exchanges: %w", l.Source, l.Destination, broker.ErrInvalid)
	}
	for _, b := range t.Bindings {
		if err := record.CheckTable(b.Arguments); err != nil {
			return fmt.Errorf("binding of queue %s: %w", b.Queue, err)
		}
	}
	return nil
}

// CheckConsume refuses consumers without a queue or without a bound. The error wraps broker.ErrInvalid.
func CheckConsume(cfg broker.ConsumeConfig) error {
	if len(cfg.Queues) == 0 {
		return fmt.Errorf("no queues: %w", broker.ErrInvalid)
	}
	if cfg.Prefetch < 1 {
		return fmt.Errorf("prefetch of %d: %w", cfg.Prefetch, broker.ErrInvalid)
	}
	return nil
}
