package taskqtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/codec"
)

// bus is the broker in memory as the application sees it: it notes what is sent, tells when nothing is left to do, and breaks when
// told to.
type bus struct {
	*mem.Broker
	faults *Faults
	accept codec.Set
	limits codec.Limits

	mu       sync.Mutex // guards the fields below
	sent     []Call
	consumed map[string]bool // queues that workers work on
	out      []*handed
	changed  chan struct{} // closed when something was settled; then there is a new one
}

// handed is a delivery that a worker has.
type handed struct {
	*broker.Delivery      // the broker's
	stale            bool // guarded by bus.mu
}

// Publish implements broker.Broker.
func (b *bus) Publish(ctx context.Context, to broker.Address, msg broker.Message) error {
	return b.PublishDelayed(ctx, to, msg, 0)
}

// PublishBatch implements broker.BatchPublisher.
func (b *bus) PublishBatch(ctx context.Context, batch []broker.Posting) []error {
	errs := make([]error, len(batch))
	failed := false
	for i, p := range batch {
		errs[i] = b.Publish(ctx, p.To, p.Message)
		failed = failed || errs[i] != nil
	}
	if !failed {
		return nil
	}
	return errs
}

// PublishDelayed implements broker.Delayer.
func (b *bus) PublishDelayed(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	copies, answer, err := b.faults.publishing(ctx, to.FailFast)
	if err != nil {
		return fmt.Errorf("taskqtest: publish: %w", err)
	}
	for range copies {
		if err := b.Broker.PublishDelayed(ctx, to, msg, delay); err != nil {
			return err
		}
	}
	b.note(to, msg, delay)
	return answer
}

// Probe implements broker.Prober.
func (b *bus) Probe() error {
	if b.faults.isDown() {
		return fmt.Errorf("taskqtest: %w", broker.ErrUnavailable)
	}
	return b.Broker.Probe()
}

// Consume implements broker.Broker.
func (b *bus) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	c, err := b.Broker.Consume(ctx, cfg)
	if err != nil || cfg.AutoAck {
		return c, err
	}
	b.watch(cfg.Queues)
	return &consumer{c, b}, nil
}

// watch notes queues that workers work on.
func (b *bus) watch(queues []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, queue := range queues {
		b.consumed[queue] = true
	}
}

// consumer passes on what the broker delivers, such that it can be taken back.
type consumer struct {
	broker.Consumer
	bus *bus
}

// Next implements broker.Consumer.
func (c *consumer) Next(ctx context.Context) (*broker.Delivery, error) {
	for {
		if err := c.bus.faults.up(ctx); err != nil {
			return nil, fmt.Errorf("taskqtest: next: %w", err)
		}
		d, err := c.Consumer.Next(ctx)
		if err != nil {
			return nil, err
		}
		if !c.bus.faults.isDown() {
			return c.bus.hand(d), nil
		}
		_ = d.Settle(ctx, broker.Requeue) // nobody has seen it
	}
}

// hand returns the delivery with a way to take it back.
func (b *bus) hand(d *broker.Delivery) *broker.Delivery {
	h := &handed{Delivery: d}
	b.mu.Lock()
	b.out = append(b.out, h)
	b.mu.Unlock()
	wrapped := broker.NewDelivery(d.Message, func(ctx context.Context, how broker.Disposition) error { return b.settleOne(ctx, h, how) })
	wrapped.Queue, wrapped.Exchange, wrapped.RoutingKey = d.Queue, d.Exchange, d.RoutingKey
	wrapped.Redelivered, wrapped.Count = d.Redelivered, d.Count
	wrapped.Recovered = d.Redelivered // the worker lives: nothing here is the fault of a task
	return wrapped.WithStale(func() bool { return b.isStale(h) })
}

func (b *bus) isStale(h *handed) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return h.stale
}

func (b *bus) settleOne(ctx context.Context, h *handed, how broker.Disposition) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.stale {
		return fmt.Errorf("taskqtest: %s: %w", how, broker.ErrStale)
	}
	b.out = slices.DeleteFunc(b.out, func(other *handed) bool { return other == h })
	err := h.Settle(ctx, how)
	close(b.changed)
	b.changed = make(chan struct{})
	return err
}

// takeBack makes all deliveries stale that workers have; the broker hands them out again.
func (b *bus) takeBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.out {
		h.stale = true
		_ = h.Settle(context.Background(), broker.Requeue) // in memory; a queue that is gone takes nothing back
	}
	b.out = nil
}

// outstanding is how many messages are left in the queues that workers work on.
func (b *bus) outstanding() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for queue := range b.consumed {
		n += b.Outstanding(queue)
	}
	return n
}

// settle waits until nothing is outstanding.
func (b *bus) settle(ctx context.Context) error {
	for {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		if b.outstanding() == 0 {
			return nil
		}
		timer := time.NewTimer(time.Minute) // messages may expire, too
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}
