package amqp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/seed-399731e2/taskq/broker"
)

var _ broker.Consumer = (*consumer)(nil)

// consumer implements broker.Consumer over one subscription per queue. Each queue has a channel of its own, so that what closes one
// (a task that outlives the broker's delivery timeout) leaves the others alone. The broker sends each of them up to the prefetch,
// and the gate hands out that many in all: at most queues × prefetch messages wait here, and no queue starves another.
type consumer struct {
	b     *Broker
	cfg   broker.ConsumeConfig
	gate  *gate
	subs  []*subscription
	inbox *inbox

	life    context.Context // ends with Cancel, and with the broker's
	cancel  context.CancelFunc
	closed  chan struct{} // closed by Close
	close   sync.Once
	running sync.WaitGroup // the subscriptions
}

// Consume implements broker.Broker.
func (b *Broker) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	c, err := b.newConsumer(cfg)
	if err != nil {
		return nil, err
	}
	for _, sub := range c.subs {
		select {
		case err = <-sub.first:
		case <-ctx.Done():
			err = b.consuming.late(ctx)
		}
		if err != nil {
			_ = c.Close(context.WithoutCancel(ctx)) // bounded by the session's guards
			return nil, fmt.Errorf("amqp: consume queue %q: %w", sub.queue, err)
		}
	}
	return c, nil
}

// newConsumer checks the configuration and starts the subscriptions.
func (b *Broker) newConsumer(cfg broker.ConsumeConfig) (*consumer, error) {
	if len(cfg.Queues) == 0 {
		return nil, invalid("consume", "it names no queue")
	}
	if err := checkPrefetch(cfg.Prefetch); err != nil {
		return nil, err
	}
	if cfg.Priority < math.MinInt32 || cfg.Priority > math.MaxInt32 {
		return nil, invalid("consumer priority", fmt.Sprintf("it is %d, it must fit 32 bits", cfg.Priority))
	}
	c := &consumer{
		b: b, cfg: cfg,
		gate:   newGate(cfg.Prefetch),
		inbox:  newInbox(),
		closed: make(chan struct{}),
	}
	for i, queue := range cfg.Queues {
		if err := checkName("queue name", queue); err != nil {
			return nil, err
		}
		if !slices.Contains(cfg.Queues[:i], queue) {
			c.subs = append(c.subs, newSubscription(c, queue))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return nil, fmt.Errorf("amqp: consume: %w", broker.ErrClosed)
	}
	c.life, c.cancel = context.WithCancel(b.life)
	b.consumers[c] = struct{}{}
	for _, sub := range c.subs {
		c.running.Add(1)
		b.crew.start(func() { // the crew is there until Close has closed this consumer
			defer c.running.Done()
			sub.run(c.life)
		})
	}
	return c, nil
}

func checkPrefetch(n int) error {
	if n < 1 || n > 1<<16-1 {
		return invalid("prefetch", fmt.Sprintf("it is %d, it must be between 1 and 65535", n))
	}
	return nil
}

// Next implements broker.Consumer.
func (c *consumer) Next(ctx context.Context) (*broker.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("amqp: next: %w", err)
		}
		ok, err := c.gate.pass(ctx, c.life.Done())
		if err != nil {
			return nil, fmt.Errorf("amqp: next: %w", err)
		}
		if !ok {
			return nil, fmt.Errorf("amqp: next: %w", broker.ErrClosed)
		}
		a, err := c.inbox.take(ctx, c.life.Done())
		if a != nil {
			if d := a.deliver(c.cfg.AutoAck); d != nil {
				return d, nil
			}
		}
		c.gate.leave()
		switch {
		case err != nil:
			return nil, fmt.Errorf("amqp: next: %w", err)
		case a == nil:
			return nil, fmt.Errorf("amqp: next: %w", broker.ErrClosed)
		} // else its stream ended just now; the broker delivers it again
	}
}

// SetPrefetch implements broker.Consumer. What is handed out is bounded by n at once; what the broker sends follows.
func (c *consumer) SetPrefetch(_ context.Context, n int) error {
	if err := checkPrefetch(n); err != nil {
		return err
	}
	if c.gate.resize(n) != n {
		c.retune()
	}
	return nil
}

// retune lets the broker send as much as the gate takes.
func (c *consumer) retune() {
	for _, sub := range c.subs {
		sub.retuneSoon()
	}
}

// Cancel implements broker.Consumer.
func (c *consumer) Cancel(ctx context.Context) error {
	c.cancel()
	for _, sub := range c.subs {
		select {
		case <-sub.givenBack:
		case <-ctx.Done():
			return fmt.Errorf("amqp: cancel consumer of queue %q: %w", sub.queue, ctx.Err())
		}
	}
	return nil
}

// Close implements broker.Consumer.
func (c *consumer) Close(ctx context.Context) error {
	err := c.Cancel(ctx)
	c.close.Do(func() { close(c.closed) })
	ended := make(chan struct{})
	c.b.crew.start(func() {
		c.running.Wait()
		close(ended)
	})
	select {
	case <-ended:
	case <-c.b.life.Done(): // the broker waits for them itself
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("amqp: close consumer: %w", ctx.Err()))
	}
	c.b.mu.Lock()
	delete(c.b.consumers, c)
	c.b.mu.Unlock()
	for _, sub := range c.subs {
		if c.b.topology.queue(sub.queue).AutoDelete {
			c.b.topology.forget(sub.queue) // it goes with its last consumer and must not come back
		}
	}
	return err
}
