package amqp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// lockTries is how often an exclusive queue is asked for that the broker still keeps for the connection before.
const lockTries = 10

// memory is what was declared through this broker. Some of it vanishes with a connection (exclusive queues), with a restart of
// the broker (transient ones) or with its consumers (auto-delete), and is declared again when a connection is rebuilt.
type memory struct {
	mu        sync.Mutex
	exchanges map[string]broker.Exchange
	queues    map[string]broker.Queue
	bindings  map[string]broker.Binding
}

func (m *memory) remember(topology broker.Topology) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queues == nil {
		m.exchanges, m.queues, m.bindings = map[string]broker.Exchange{}, map[string]broker.Queue{}, map[string]broker.Binding{}
	}
	for _, x := range topology.Exchanges {
		x.Arguments = maps.Clone(x.Arguments)
		m.exchanges[x.Name] = x
	}
	for _, q := range topology.Queues {
		q.Arguments = maps.Clone(q.Arguments)
		m.queues[q.Name] = q
	}
	for _, bind := range topology.Bindings {
		bind.Arguments = maps.Clone(bind.Arguments)
		m.bindings[fmt.Sprintf("%q %q %q %v", bind.Exchange, bind.Queue, bind.Key, bind.Arguments)] = bind
	}
}

// queue returns what was declared under the name; the zero Queue when nothing was.
func (m *memory) queue(name string) broker.Queue {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queues[name]
}

// exchange returns what was declared under the name; the zero Exchange when nothing was.
func (m *memory) exchange(name string) broker.Exchange {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.exchanges[name]
}

// forget drops a queue that is meant to be gone, with its bindings.
func (m *memory) forget(queue string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.queues, queue)
	maps.DeleteFunc(m.bindings, func(_ string, bind broker.Binding) bool { return bind.Queue == queue })
}

// around is the queue with its bindings and their exchanges, as far as they were declared here.
func (m *memory) around(queue string) broker.Topology {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.collect(func(q broker.Queue) bool { return q.Name == queue }, func(broker.Exchange) bool { return false })
}

// fragile are the exchanges and queues that may have vanished with a connection or a restart, with their bindings.
func (m *memory) fragile(link string) broker.Topology {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.collect(
		func(q broker.Queue) bool {
			if q.Exclusive {
				return link == linkConsume
			}
			return q.Transient || q.AutoDelete
		},
		func(x broker.Exchange) bool { return x.Transient || x.AutoDelete },
	)
}

// collect returns the chosen queues and exchanges, the bindings that touch them, and the exchanges of these bindings. The caller
// holds mu.
func (m *memory) collect(queue func(broker.Queue) bool, exchange func(broker.Exchange) bool) broker.Topology {
	var t broker.Topology
	exchanges := map[string]bool{}
	for name, x := range m.exchanges {
		exchanges[name] = exchange(x)
	}
	for _, bind := range m.bindings {
		if q, ok := m.queues[bind.Queue]; ok && queue(q) || exchanges[bind.Exchange] {
			t.Bindings = append(t.Bindings, bind)
		}
	}
	for _, bind := range t.Bindings {
		exchanges[bind.Exchange] = true
	}
	for name, x := range m.exchanges {
		if exchanges[name] {
			t.Exchanges = append(t.Exchanges, x)
		}
	}
	for _, q := range m.queues {
		if queue(q) {
			t.Queues = append(t.Queues, q)
		}
	}
	slices.SortFunc(t.Queues, func(a, b broker.Queue) int { return strings.Compare(a.Name, b.Name) })
	return t
}

func (b *Broker) restoreForConsuming(ctx context.Context, s *session) { b.restore(ctx, s, linkConsume) }

func (b *Broker) restoreForPublishing(ctx context.Context, s *session) {
	b.restore(ctx, s, linkPublish)
}

// restore declares again what may have vanished with the last session. One that fails is logged and does not hold up the rest:
// consumers of a queue that is missing keep asking for it.
func (b *Broker) restore(ctx context.Context, s *session, link string) {
	whole := b.topology.fragile(link)
	parts := []broker.Topology{{Exchanges: whole.Exchanges}}
	for _, q := range whole.Queues {
		parts = append(parts, broker.Topology{Queues: []broker.Queue{q}})
	}
	for _, bind := range whole.Bindings {
		parts = append(parts, broker.Topology{Bindings: []broker.Binding{bind}})
	}
	for _, part := range parts {
		err := b.declareAgain(ctx, s, part)
		if errors.Is(err, errLost) || ctx.Err() != nil {
			return // the next session starts over
		}
		if err != nil {
			b.cfg.Logger.Error("Could not declare again after reconnecting", "error", err)
		}
	}
}

// declareAgain declares what the last session had. An exclusive queue is locked until the broker has noticed that session's end.
func (b *Broker) declareAgain(ctx context.Context, s *session, topology broker.Topology) error {
	exclusive := slices.ContainsFunc(topology.Queues, func(q broker.Queue) bool { return q.Exclusive })
	for failures := 0; ; failures++ {
		err := s.withChannel(ctx, func(ch *amqp091.Channel) error { return declareOn(ch, topology, s.endpoint.vhost) })
		var clash *broker.DeclareError
		if !exclusive || !errors.As(err, &clash) || failures == lockTries || !wait(ctx, b.backoff(failures)) {
			return err
		}
	}
}
