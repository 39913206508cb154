package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/internal/local"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

// Consumer implements broker.Consumer.
type Consumer struct {
	broker *Broker
	cfg    broker.ConsumeConfig

	// below: guarded by broker.mu
	prefetch    int
	queues      []subscription // the one whose turn it is comes first
	buffer      []claimed      // claimed and not handed out
	outstanding map[receipt]struct{}
	waiters     []chan outcome // calls of Next, each with room for its one outcome
	ended       error          // what Next returns once the consumer is over
}

var _ broker.Consumer = (*Consumer)(nil)

// subscription is a consumer's row for one queue.
type subscription struct {
	id    int64
	queue int64
	name  string
}

// outcome is what a waiting Next gets.
type outcome struct {
	claimed
	err error
}

// Consume implements broker.Broker.
func (b *Broker) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	if err := local.CheckConsume(cfg); err != nil {
		return nil, fmt.Errorf("sqlite: consume: %w", err)
	}
	if err := b.join(ctx); err != nil {
		return nil, fmt.Errorf("sqlite: consume: %w", err)
	}
	c := &Consumer{broker: b, cfg: cfg, prefetch: cfg.Prefetch, outstanding: map[receipt]struct{}{}}
	session := b.ownerID()
	err := b.write(ctx, "consume", func(tx *sqlitedb.Tx) (err error) {
		c.queues, err = b.subscribe(tx, session, cfg)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, fmt.Errorf("sqlite: consume: %w", broker.ErrClosed)
	}
	b.consumers = append(b.consumers, c)
	b.nudge()
	return c, nil
}

// subscribe writes down the consumer of the queues.
func (b *Broker) subscribe(tx *sqlitedb.Tx, session int64, cfg broker.ConsumeConfig) ([]subscription, error) {
	if err := holds(tx, session); err != nil {
		return nil, err
	}
	var queues []subscription
	names := slices.Clone(cfg.Queues)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		queue, err := b.freeQueue(tx, name, cfg.Exclusive)
		if err != nil {
			return nil, err
		}
		s := subscription{queue: queue, name: name}
		err = tx.QueryRow("INSERT INTO broker_consumers (owner, queue, exclusive) VALUES (?, ?, ?) RETURNING id",
			[]any{session, queue, cfg.Exclusive}, &s.id)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec("UPDATE broker_queues SET idle_since = 0 WHERE id = ?", queue); err != nil {
			return nil, err
		}
		queues = append(queues, s)
	}
	return queues, nil
}

// freeQueue returns the id of a queue that this connection may consume.
func (b *Broker) freeQueue(tx *sqlitedb.Tx, name string, exclusive bool) (int64, error) {
	var spec []byte
	queue, err := b.findQueue(tx, name, &spec)
	if _, locked := errors.AsType[*broker.DeclareError](err); locked {
		return 0, fmt.Errorf("queue %q is exclusive to another connection: %w", name, broker.ErrAccess)
	}
	if err != nil {
		return 0, err
	}
	var consumers int
	var taken sql.NullBool
	err = tx.QueryRow("SELECT count(*), max(exclusive) FROM broker_consumers WHERE queue = ?", []any{queue}, &consumers, &taken)
	if err == nil && consumers > 0 && (exclusive || taken.Bool) {
		return 0, fmt.Errorf("queue %q has a consumer, and one of the two is exclusive: %w", name, broker.ErrAccess)
	}
	return queue, err
}

// Next implements broker.Consumer.
func (c *Consumer) Next(ctx context.Context) (*broker.Delivery, error) {
	for {
		m, err := c.next(ctx)
		if err != nil {
			return nil, fmt.Errorf("sqlite: next: %w", err)
		}
		d, err := c.delivery(m)
		if err != nil { // it stays with this session, where it does no harm
			c.broker.log.ErrorContext(ctx, "message was unreadable", "queue", m.queue, "id", m.id, "error", err)
			continue
		}
		if !c.cfg.AutoAck {
			return d, nil
		}
		err = c.broker.settle(ctx, c, m.receipt, broker.Ack)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, broker.ErrStale) {
			return nil, err
		}
	}
}

func (c *Consumer) next(ctx context.Context) (claimed, error) {
	if err := ctx.Err(); err != nil {
		return claimed{}, err
	}
	c.broker.mu.Lock()
	if c.ended != nil {
		defer c.broker.mu.Unlock()
		return claimed{}, c.ended
	}
	wait := make(chan outcome, 1)
	c.waiters = append(c.waiters, wait)
	c.offer()
	wants := c.demand() > 0
	c.broker.mu.Unlock()
	if wants {
		c.broker.nudge()
	}
	select {
	case got := <-wait:
		return got.claimed, got.err
	case <-ctx.Done():
	}
	c.broker.mu.Lock()
	defer c.broker.mu.Unlock()
	c.waiters = slices.DeleteFunc(c.waiters, func(w chan outcome) bool { return w == wait })
	select {
	case got := <-wait: // handed over just now: it must not get lost
		return got.claimed, got.err
	default:
		return claimed{}, ctx.Err()
	}
}

func (c *Consumer) settler(r receipt) func(context.Context, broker.Disposition) error {
	if c.cfg.AutoAck {
		return nil
	}
	return func(ctx context.Context, how broker.Disposition) error { return c.broker.settle(ctx, c, r, how) }
}

// demand is how many more messages to claim: not one by one as long as some are in the buffer. The caller holds mu, here and below.
func (c *Consumer) demand() int {
	n := c.prefetch - len(c.outstanding) - len(c.buffer)
	if c.ended != nil || len(c.queues) == 0 || len(c.buffer) > 0 && 2*n < c.prefetch {
		return 0
	}
	return max(0, n)
}

// offer hands what is in the buffer to those who wait.
func (c *Consumer) offer() {
	for len(c.waiters) > 0 && len(c.buffer) > 0 && len(c.outstanding) < c.prefetch && c.broker.fresh() {
		m := c.buffer[0]
		c.buffer[0] = claimed{}
		c.buffer = c.buffer[1:]
		c.outstanding[m.receipt] = struct{}{}
		c.wake(outcome{claimed: m})
	}
}

func (c *Consumer) wake(o outcome) {
	c.waiters[0] <- o
	c.waiters = c.waiters[1:]
}

// end wakes Next for the last time.
func (c *Consumer) end(err error) {
	if c.ended == nil {
		c.ended = err
	}
	for len(c.waiters) > 0 {
		c.wake(outcome{err: c.ended})
	}
}

// forget makes stale what the consumer holds.
func (c *Consumer) forget() {
	c.buffer = nil
	clear(c.outstanding)
}

// SetPrefetch implements broker.Consumer.
func (c *Consumer) SetPrefetch(ctx context.Context, n int) error {
	if n < 1 {
		return fmt.Errorf("sqlite: prefetch of %d: %w", n, broker.ErrInvalid)
	}
	c.broker.mu.Lock()
	c.prefetch = n
	surplus := c.takeBuffer(max(0, n-len(c.outstanding)))
	c.offer()
	c.broker.mu.Unlock()
	c.broker.nudge()
	return c.broker.giveBack(ctx, surplus, uncounted)
}

// takeBuffer empties the buffer but for the first ones.
func (c *Consumer) takeBuffer(keep int) []receipt {
	var taken []receipt
	for _, m := range c.buffer[min(keep, len(c.buffer)):] {
		taken = append(taken, m.receipt)
	}
	c.buffer = c.buffer[:min(keep, len(c.buffer))]
	return taken
}

// Cancel implements broker.Consumer.
func (c *Consumer) Cancel(ctx context.Context) error {
	c.broker.mu.Lock()
	c.end(broker.ErrClosed)
	unreturned := c.takeBuffer(0)
	queues := c.queues
	c.queues = nil
	closed := c.broker.closed
	c.broker.mu.Unlock()
	if closed || len(unreturned)+len(queues) == 0 {
		return nil
	}
	return c.broker.write(ctx, "cancel", func(tx *sqlitedb.Tx) error {
		if err := giveBack(tx, unreturned, uncounted); err != nil {
			return err
		}
		return unsubscribe(tx, queues)
	})
}

func unsubscribe(tx *sqlitedb.Tx, queues []subscription) error {
	for _, s := range queues {
		gone, err := tx.Exec("DELETE FROM broker_consumers WHERE id = ?", s.id)
		if err != nil {
			return err
		}
		if gone == 0 {
			continue
		}
		if err := consumersLeft(tx, s.queue); err != nil {
			return err
		}
	}
	return nil
}

// Close implements broker.Consumer.
func (c *Consumer) Close(ctx context.Context) error {
	b := c.broker
	b.mu.Lock()
	unsettled := slices.Collect(maps.Keys(c.outstanding))
	clear(c.outstanding)
	b.consumers = slices.DeleteFunc(b.consumers, func(other *Consumer) bool { return other == c })
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return nil
	}
	return errors.Join(b.giveBack(ctx, unsettled, counted), c.Cancel(ctx))
}
