// Package mem is a broker in memory, for tests and for programs of one process.
//
// A Server holds the exchanges and queues; Open returns connections to it. Timers come from package time and nothing runs in the
// background, so that in a bubble of testing/synctest expiry and delays cost no real time.
package mem

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/internal/local"
)

// Server holds exchanges, queues and messages for as long as the process lives.
type Server struct {
	mu        sync.Mutex
	exchanges map[string]*exchange
	queues    map[string]*queue
	sequence  uint64 // of the last message published
	parked    parkedHeap
}

type exchange struct {
	broker.Exchange
	bindings []broker.Binding
}

// NewServer returns a server without queues.
func NewServer() *Server {
	return &Server{exchanges: map[string]*exchange{}, queues: map[string]*queue{}}
}

// Open returns a new connection.
func (s *Server) Open() *Broker { return &Broker{server: s, consumers: map[*Consumer]struct{}{}} }

// declare is called with s.mu held, as everything below.
func (s *Server) declare(b *Broker, t broker.Topology) error {
	if err := local.CheckTopology(t); err != nil {
		return err
	}
	for _, x := range t.Exchanges {
		if err := s.declareExchange(x, t.Passive); err != nil {
			return err
		}
	}
	for _, q := range t.Queues {
		if err := s.declareQueue(b, q, t.Passive); err != nil {
			return err
		}
	}
	if t.Passive {
		return nil
	}
	for _, binding := range t.Bindings {
		if err := s.bind(binding); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) declareExchange(x broker.Exchange, passive bool) error {
	if existing := s.exchanges[x.Name]; existing != nil {
		if passive {
			return nil
		}
		return local.ExchangeClash(x, existing.Exchange)
	}
	if passive {
		return fmt.Errorf("exchange %q does not exist: %w", x.Name, broker.ErrUnroutable)
	}
	if err := local.CheckExchange(x); err != nil {
		return err
	}
	x.Arguments = local.CloneTable(x.Arguments)
	s.exchanges[x.Name] = &exchange{Exchange: x}
	return nil
}

func (s *Server) declareQueue(b *Broker, q broker.Queue, passive bool) error {
	existing := s.queues[q.Name]
	switch {
	case existing == nil && passive:
		return fmt.Errorf("queue %q: %w", q.Name, broker.ErrNoQueue)
	case existing != nil && existing.owner != nil && existing.owner != b:
		return local.Locked(q.Name)
	case existing != nil && passive:
		return nil
	case existing != nil:
		existing.used(s)
		return local.QueueClash(q, existing.Queue, existing.ready.Len)
	}
	rules, err := local.ParseRules(q)
	if err != nil {
		return err
	}
	q.Arguments = local.CloneTable(q.Arguments)
	created := &queue{Queue: q, rules: rules}
	if q.Exclusive {
		created.owner = b
	}
	s.queues[q.Name] = created
	created.used(s)
	return nil
}

func (s *Server) bind(binding broker.Binding) error {
	x := s.exchanges[binding.Exchange]
	if x == nil {
		return fmt.Errorf("bind queue %q: exchange %q does not exist: %w", binding.Queue, binding.Exchange, broker.ErrUnroutable)
	}
	if s.queues[binding.Queue] == nil {
		return fmt.Errorf("bind queue %q: %w", binding.Queue, broker.ErrNoQueue)
	}
	binding.Arguments = local.CloneTable(binding.Arguments)
	same := func(b broker.Binding) bool {
		return b.Queue == binding.Queue && b.Key == binding.Key && reflect.DeepEqual(b.Arguments, binding.Arguments)
	}
	if !slices.ContainsFunc(x.bindings, same) {
		x.bindings = append(x.bindings, binding)
	}
	return nil
}

// route returns the queues that take a message, each once.
func (s *Server) route(to broker.Address, headers broker.Table) []*queue {
	if to.Exchange == "" {
		if q := s.queues[to.RoutingKey]; q != nil {
			return []*queue{q}
		}
		return nil
	}
	x := s.exchanges[to.Exchange]
	if x == nil {
		return nil
	}
	var queues []*queue
	for _, b := range x.bindings {
		if q := s.queues[b.Queue]; x.Kind.Takes(b, to.RoutingKey, headers) && !slices.Contains(queues, q) {
			queues = append(queues, q)
		}
	}
	return queues
}

// publish puts the message into every queue that takes it, after the delay.
func (s *Server) publish(to broker.Address, msg broker.Message, delay time.Duration) error {
	if to.Exchange != "" && s.exchanges[to.Exchange] == nil {
		return fmt.Errorf("exchange %q does not exist: %w", to.Exchange, broker.ErrUnroutable)
	}
	queues := s.route(to, msg.Headers)
	if len(queues) == 0 && !to.Optional {
		return fmt.Errorf("exchange %q, routing key %q: %w", to.Exchange, to.RoutingKey, broker.ErrUnroutable)
	}
	for _, q := range queues {
		it := &item{msg: local.Arrived(msg), exchange: to.Exchange, key: to.RoutingKey, index: gone}
		if delay <= 0 {
			s.enter(q, it)
			continue
		}
		s.park(q, it, delay)
	}
	return nil
}

// enter adds a new message to the queue.
func (s *Server) enter(q *queue, it *item) {
	s.sequence++
	it.sequence = s.sequence
	it.priority = q.rules.Priority(it.msg)
	it.deadline = q.rules.Deadline(it.msg, time.Now())
	s.put(q, it)
}

// die takes the message to the dead letters of the queue that it is no longer in, if there are any.
func (s *Server) die(q *queue, it *item) {
	if !q.rules.DeadLetters {
		return
	}
	msg := it.msg
	msg.Expiration = 0 // as RabbitMQ: it would die of it again
	// a dead letter that no queue takes vanishes; there is nobody to tell
	_ = s.publish(q.rules.DeadLetter(it.key), msg, 0)
}

func (s *Server) deleteQueue(q *queue) {
	if s.queues[q.Name] != q {
		return
	}
	delete(s.queues, q.Name)
	q.delete()
	s.unpark(func(p *parked) bool { return p.queue == q })
	for name, x := range s.exchanges {
		had := len(x.bindings)
		x.bindings = slices.DeleteFunc(x.bindings, func(b broker.Binding) bool { return b.Queue == q.Name })
		if x.AutoDelete && had > 0 && len(x.bindings) == 0 {
			delete(s.exchanges, name)
		}
	}
}
