package mem

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/internal/local"
)

// Consumer implements broker.Consumer.
type Consumer struct {
	broker *Broker
	cfg    broker.ConsumeConfig
	// below: guarded by the server's mutex
	prefetch  int
	queues    []*queue // the one whose turn it is comes first
	unsettled map[*item]*queue
	waiters   []chan outcome // calls of Next, each with room for its one outcome
	ended     error          // what Next returns once the consumer is over
}

var _ broker.Consumer = (*Consumer)(nil)

// outcome is what Next returns.
type outcome struct {
	delivery *broker.Delivery
	err      error
}

func (s *Server) consume(b *Broker, cfg broker.ConsumeConfig) (*Consumer, error) {
	if err := local.CheckConsume(cfg); err != nil {
		return nil, err
	}
	c := &Consumer{broker: b, cfg: cfg, prefetch: cfg.Prefetch, unsettled: map[*item]*queue{}}
	for _, name := range cfg.Queues {
		q := s.queues[name]
		switch {
		case q == nil:
			return nil, fmt.Errorf("queue %q: %w", name, broker.ErrNoQueue)
		case q.owner != nil && q.owner != b:
			return nil, fmt.Errorf("queue %q is exclusive to another connection: %w", name, broker.ErrAccess)
		case len(q.consumers) > 0 && (cfg.Exclusive || q.consumers[0].cfg.Exclusive):
			return nil, fmt.Errorf("queue %q has a consumer, and one of the two is exclusive: %w", name, broker.ErrAccess)
		}
		if !slices.Contains(c.queues, q) {
			c.queues = append(c.queues, q)
		}
	}
	for _, q := range c.queues {
		q.attach(c)
	}
	b.consumers[c] = struct{}{}
	return c, nil
}

// Next implements broker.Consumer.
func (c *Consumer) Next(ctx context.Context) (*broker.Delivery, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("mem: next: %w", err)
	}
	delivery, wait, err := c.takeOrWait()
	if err != nil {
		return nil, fmt.Errorf("mem: next: %w", err)
	}
	if delivery != nil {
		return delivery, nil
	}
	select {
	case got := <-wait:
		return got.result()
	case <-ctx.Done():
	}
	mu := &c.broker.server.mu
	mu.Lock()
	defer mu.Unlock()
	c.waiters = slices.DeleteFunc(c.waiters, func(w chan outcome) bool { return w == wait })
	select {
	case got := <-wait: // handed over just now: it must not get lost
		return got.result()
	default:
		return nil, fmt.Errorf("mem: next: %w", ctx.Err())
	}
}

func (o outcome) result() (*broker.Delivery, error) {
	if o.err != nil {
		return nil, fmt.Errorf("mem: next: %w", o.err)
	}
	return o.delivery, nil
}

// takeOrWait returns a delivery, or the channel that will get the outcome.
func (c *Consumer) takeOrWait() (*broker.Delivery, chan outcome, error) {
	c.broker.server.mu.Lock()
	defer c.broker.server.mu.Unlock()
	if c.ended != nil {
		return nil, nil, c.ended
	}
	if len(c.unsettled) < c.prefetch {
		for i, q := range c.queues {
			if it := q.take(); it != nil {
				c.queues = append(slices.Delete(c.queues, i, i+1), q)
				return c.handOut(q, it), nil, nil
			}
		}
	}
	wait := make(chan outcome, 1)
	c.waiters = append(c.waiters, wait)
	return nil, wait, nil
}

// wants reports whether a message can be handed to a waiting Next.
func (c *Consumer) wants() bool { return len(c.waiters) > 0 && len(c.unsettled) < c.prefetch }

func (c *Consumer) wake(o outcome) {
	c.waiters[0] <- o
	c.waiters = c.waiters[1:]
}

func (c *Consumer) handOut(q *queue, it *item) *broker.Delivery {
	settle := func(_ context.Context, how broker.Disposition) error { return c.settle(it, how) }
	if c.cfg.AutoAck {
		settle = nil
	} else {
		c.unsettled[it] = q
		q.unsettled++
	}
	msg := it.msg
	msg.Headers = local.CloneTable(msg.Headers) // it may be handed out again
	d := broker.NewDelivery(msg, settle)
	d.Queue, d.Exchange, d.RoutingKey = q.Name, it.exchange, it.key
	d.Count, d.Redelivered = it.handedOut, it.handedOut > 0
	it.handedOut++
	return d
}

func (c *Consumer) settle(it *item, how broker.Disposition) error {
	s := c.broker.server
	s.mu.Lock()
	defer s.mu.Unlock()
	q := c.unsettled[it]
	if q == nil {
		return fmt.Errorf("mem: %s: %w", how, broker.ErrStale)
	}
	delete(c.unsettled, it)
	q.unsettled--
	switch how {
	case broker.Ack, broker.AckNow:
	case broker.Requeue:
		s.put(q, it)
	case broker.Reject:
		s.die(q, it)
	}
	c.offer()
	return nil
}

// offer hands what is ready to this consumer, which has got room.
func (c *Consumer) offer() {
	for _, q := range slices.Clone(c.queues) {
		q.dispatch()
	}
}

// SetPrefetch implements broker.Consumer.
func (c *Consumer) SetPrefetch(_ context.Context, n int) error {
	if n < 1 {
		return fmt.Errorf("mem: prefetch of %d: %w", n, broker.ErrInvalid)
	}
	c.broker.server.mu.Lock()
	defer c.broker.server.mu.Unlock()
	c.prefetch = n
	c.offer()
	return nil
}

// Cancel implements broker.Consumer.
func (c *Consumer) Cancel(context.Context) error {
	c.broker.server.mu.Lock()
	defer c.broker.server.mu.Unlock()
	c.end(broker.ErrClosed)
	return nil
}

// Close implements broker.Consumer.
func (c *Consumer) Close(context.Context) error {
	c.broker.server.mu.Lock()
	defer c.broker.server.mu.Unlock()
	c.close()
	return nil
}

// end takes the consumer off its queues and wakes Next. The caller holds the server's mutex, here and below.
func (c *Consumer) end(err error) {
	if c.ended == nil {
		c.ended = err
	}
	for len(c.waiters) > 0 {
		c.wake(outcome{err: c.ended})
	}
	queues := c.queues
	c.queues = nil
	for _, q := range queues {
		q.detach(c.broker.server, c)
	}
}

func (c *Consumer) close() {
	c.end(broker.ErrClosed)
	unsettled := c.unsettled
	c.unsettled = map[*item]*queue{}
	for it, q := range unsettled {
		q.unsettled--
		c.broker.server.put(q, it)
	}
	delete(c.broker.consumers, c)
}

// lose tells the consumer that a queue was deleted.
func (c *Consumer) lose(q *queue) {
	c.queues = slices.DeleteFunc(c.queues, func(other *queue) bool { return other == q })
	if len(c.queues) == 0 {
		c.end(fmt.Errorf("queue %q was deleted: %w", q.Name, broker.ErrNoQueue))
	}
}
