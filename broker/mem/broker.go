package mem

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/internal/local"
	"github.com/seed-399731e2/taskq/internal/record"
)

// Broker is one connection to a Server.
type Broker struct {
	server *Server
	// below: guarded by server.mu
	consumers map[*Consumer]struct{} // not closed
	closed    bool
}

var (
	_ broker.Broker   = (*Broker)(nil)
	_ broker.Purger   = (*Broker)(nil)
	_ broker.Deleter  = (*Broker)(nil)
	_ broker.Measurer = (*Broker)(nil)
	_ broker.Delayer  = (*Broker)(nil)

	_ broker.BatchPublisher = (*Broker)(nil)
	_ broker.Prober         = (*Broker)(nil)
)

// do runs f with the server locked, unless the connection is closed or ctx has ended.
func (b *Broker) do(ctx context.Context, doing string, f func(*Server) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mem: %s: %w", doing, err)
	}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	err := broker.ErrClosed
	if !b.closed {
		err = f(b.server)
	}
	if err != nil {
		return fmt.Errorf("mem: %s: %w", doing, err)
	}
	return nil
}

// onQueue is do on a queue that must exist.
func (b *Broker) onQueue(ctx context.Context, doing, name string, f func(*Server, *queue)) error {
	return b.do(ctx, doing+" queue "+name, func(s *Server) error {
		q := s.queues[name]
		if q == nil {
			return broker.ErrNoQueue
		}
		if q.owner != nil && q.owner != b {
			return local.Locked(name)
		}
		f(s, q)
		return nil
	})
}

// Declare implements broker.Broker.
func (b *Broker) Declare(ctx context.Context, topology broker.Topology) error {
	return b.do(ctx, "declare", func(s *Server) error { return s.declare(b, topology) })
}

// Publish implements broker.Broker.
func (b *Broker) Publish(ctx context.Context, to broker.Address, msg broker.Message) error {
	return b.PublishDelayed(ctx, to, msg, 0)
}

// PublishBatch implements broker.BatchPublisher.
func (b *Broker) PublishBatch(ctx context.Context, batch []broker.Posting) []error {
	return local.Each(batch, func(_ int, p broker.Posting) error { return b.Publish(ctx, p.To, p.Message) })
}

// Probe implements broker.Prober.
func (b *Broker) Probe() error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if b.closed {
		return fmt.Errorf("mem: %w", broker.ErrClosed)
	}
	return nil
}

// PublishDelayed implements broker.Delayer. The message is routed now and enters its queues later.
func (b *Broker) PublishDelayed(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	return b.do(ctx, "publish", func(s *Server) error {
		if err := record.Check(to, msg); err != nil {
			return err
		}
		return s.publish(to, msg, delay)
	})
}

// Consume implements broker.Broker.
func (b *Broker) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	var c *Consumer
	err := b.do(ctx, "consume", func(s *Server) (err error) {
		c, err = s.consume(b, cfg)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Purge implements broker.Purger.
func (b *Broker) Purge(ctx context.Context, name string) (n int, err error) {
	err = b.onQueue(ctx, "purge", name, func(_ *Server, q *queue) { n = q.purge() })
	return n, err
}

// Measure implements broker.Measurer.
func (b *Broker) Measure(ctx context.Context, name string) (stats broker.QueueStats, err error) {
	err = b.onQueue(ctx, "measure", name, func(_ *Server, q *queue) {
		stats = broker.QueueStats{Messages: len(q.ready), Consumers: len(q.consumers)}
	})
	return stats, err
}

// Outstanding returns how many messages of the queue are not done with: those that wait, those handed out and not settled, and those
// put off until later. It is 0 when the queue does not exist.
func (b *Broker) Outstanding(name string) int {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	q := b.server.queues[name]
	if q == nil {
		return 0
	}
	return len(q.ready) + q.unsettled + q.parked
}

// DeleteQueue implements broker.Deleter.
func (b *Broker) DeleteQueue(ctx context.Context, name string) error {
	return b.do(ctx, "delete queue "+name, func(s *Server) error {
		q := s.queues[name]
		if q == nil {
			return nil
		}
		if q.owner != nil && q.owner != b {
			return local.Locked(name)
		}
		s.deleteQueue(q)
		return nil
	})
}

// Close implements broker.Broker. The queues stay on the server, but for the exclusive ones.
func (b *Broker) Close(context.Context) error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	b.closed = true
	for c := range b.consumers {
		c.close()
	}
	for _, q := range b.server.queues {
		if q.owner == b {
			b.server.deleteQueue(q)
		}
	}
	return nil
}
