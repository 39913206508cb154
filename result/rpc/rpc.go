// Package rpc sends outcomes back to the caller as messages, as Celery's rpc:// result backend does: the caller's reply_to names a
// queue of its own, and the correlation id is the task's id (celery/backends/rpc.py).
//
// Only the process that sent a task can read its outcome. One reply queue and one consumer serve any number of waiters.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/internal/waiters"
	"github.com/seed-399731e2/taskq/task"
)

// Config is what a Backend is made of.
type Config struct {
	Broker broker.Broker
	// Accept are the serializers of replies that are read; nil means JSON.
	Accept codec.Set
	Limits wire.Limits // of replies
	// Persistent replies survive a restart of the broker (Celery's result_persistent); others are lost with it.
	Persistent bool
	// KeepBytes bounds the outcomes that are kept in memory. The oldest make room, and who asks for one of these gets ErrDropped; to those
	// who wait already an outcome is given as it comes. 0 means 256 MiB, some 500,000 small ones.
	KeepBytes int
	Logger    *slog.Logger // nil: slog.Default
}

const (
	// queueExpires is how long a reply queue outlives its client: long enough for any reconnect. A client that ends deletes its queue.
	queueExpires = 10 * time.Minute
	prefetch     = 500
)

// Backend is the rpc result store. Make it with New.
type Backend struct {
	cfg     Config
	queue   string
	store   store
	waiters waiters.Set

	opening chan struct{} // one place, for who opens the consumer: the others wait no longer than their contexts last

	mu       sync.Mutex // guards the fields below
	consumer broker.Consumer
	closed   bool
	done     chan struct{} // closed by the receiving goroutine when it ends
}

var (
	_ result.Backend = (*Backend)(nil)
	_ result.Replier = (*Backend)(nil)
)

// New returns a Backend on the broker, which stays the caller's to close. Nothing is declared until Expect is called.
func New(cfg Config) *Backend {
	if cfg.KeepBytes <= 0 {
		cfg.KeepBytes = 256 << 20
	}
	if cfg.Accept == nil {
		cfg.Accept = codec.NewSet(codec.JSON{})
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Backend{
		cfg: cfg, queue: uuid.NewString(), opening: make(chan struct{}, 1),
		store: newStore(cfg.KeepBytes),
	}
}

// Expect implements result.Replier: it opens the reply queue on first use.
func (b *Backend) Expect(ctx context.Context, _ string) (string, error) {
	if open, err := b.isOpen(); open || err != nil {
		return b.queue, err
	}
	select {
	case b.opening <- struct{}{}:
		defer func() { <-b.opening }()
	case <-ctx.Done():
		return "", fmt.Errorf("rpc: open the reply queue: %w: %w", broker.ErrUnavailable, ctx.Err())
	}
	if open, err := b.isOpen(); open || err != nil {
		return b.queue, err
	}
	consumer, err := b.consume(ctx)
	if err != nil {
		return "", fmt.Errorf("rpc: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return "", errors.Join(result.ErrClosed, consumer.Close(context.WithoutCancel(ctx))) // the broker bounds it
	}
	b.consumer, b.done = consumer, make(chan struct{})
	go b.receive(context.WithoutCancel(ctx), consumer, b.done) // ended by Close, which waits for it
	return b.queue, nil
}

func (b *Backend) isOpen() (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false, result.ErrClosed
	}
	return b.consumer != nil, nil
}

// consume declares the reply queue and consumes from it.
//
// What is declared decides which replies are lost. Celery deletes its queue with its last consumer (auto_delete), and so with each lost
// connection, together with the replies that were in it. This queue stays: it is gone queueExpires after its last use. It is durable,
// as Celery's is since 5.7, because RabbitMQ 4.3 refuses transient queues that are not exclusive, and an exclusive one is bound to a
// connection. Workers only publish to it, whatever its form, as this one does to those of Python's clients.
func (b *Backend) consume(ctx context.Context) (broker.Consumer, error) {
	topology := broker.Topology{Queues: []broker.Queue{{
		Name: b.queue, Arguments: broker.Table{broker.ArgExpires: int32(queueExpires.Milliseconds())},
	}}}
	if err := b.cfg.Broker.Declare(ctx, topology); err != nil {
		return nil, err
	}
	return b.cfg.Broker.Consume(ctx, broker.ConsumeConfig{Queues: []string{b.queue}, Prefetch: prefetch})
}

// receive files the replies until the consumer is closed.
func (b *Backend) receive(ctx context.Context, consumer broker.Consumer, done chan<- struct{}) {
	defer close(done)
	for {
		d, err := consumer.Next(ctx)
		if err != nil {
			if !errors.Is(err, broker.ErrClosed) {
				b.cfg.Logger.ErrorContext(ctx, "reply consumer ended", "error", err)
			}
			b.waiters.Close(fmt.Errorf("rpc: %w", result.ErrClosed))
			return
		}
		b.file(ctx, d)
	}
}

// file keeps a reply and hands it on. What comes after a final state says nothing new: a hard time limit of Celery sends its FAILURE
// twice, and a RETRY may come late.
func (b *Backend) file(ctx context.Context, d *broker.Delivery) {
	meta, err := wire.DecodeReply(d, b.cfg.Accept, b.cfg.Limits)
	switch {
	case err != nil:
		b.refuse(ctx, d.CorrelationID, err)
	case b.store.put(meta):
		b.waiters.Deliver(meta)
	}
	if err := d.Settle(ctx, broker.Ack); err != nil { // it comes again; outcomes are idempotent
		b.cfg.Logger.DebugContext(ctx, "reply was not acknowledged", "id", d.CorrelationID, "error", err)
	}
}

// refuse ends the waits for a reply that cannot be read: there will be no other one.
func (b *Backend) refuse(ctx context.Context, id string, err error) {
	if errors.Is(err, codec.ErrRefused) {
		err = fmt.Errorf("%w (a worker's setting is result_serializer)", err)
	}
	b.cfg.Logger.WarnContext(ctx, "reply was not understood", "id", id, "error", err)
	if b.store.fail(id, err) {
		b.waiters.Fail(id, fmt.Errorf("rpc: result of %s: %w", id, err))
	}
}

// Store implements result.Backend: it sends the outcome to the caller, if there is one. A caller that is gone is no error.
func (b *Backend) Store(ctx context.Context, meta task.Meta) error {
	if meta.ReplyTo == "" {
		return nil
	}
	msg, err := wire.EncodeReply(meta, b.cfg.Persistent)
	if err != nil {
		return fmt.Errorf("rpc: %w: %w", result.ErrInvalid, err)
	}
	err = b.cfg.Broker.Publish(ctx, broker.Address{RoutingKey: meta.ReplyTo, Optional: true}, msg)
	if errors.Is(err, broker.ErrInvalid) {
		err = fmt.Errorf("%w: %w", result.ErrInvalid, err)
	}
	if err != nil {
		return fmt.Errorf("rpc: reply to %s: %w", msg.CorrelationID, err)
	}
	return nil
}

// Get implements task.Results: what has arrived so far.
func (b *Backend) Get(_ context.Context, id string) (task.Meta, error) {
	if err := b.waiters.Err(); err != nil {
		return task.Meta{}, err
	}
	return b.store.get(id)
}

// Wait implements task.Results.
func (b *Backend) Wait(ctx context.Context, id string) (task.Meta, error) {
	return b.waiters.Wait(ctx, id, func() (task.Meta, error) { return b.store.get(id) })
}

// Watch implements task.Results.
func (b *Backend) Watch(ctx context.Context, id string, yield func(task.Meta) bool) error {
	return b.waiters.Watch(ctx, id, func() (task.Meta, error) { return b.store.get(id) }, yield)
}

// Forget implements task.Results.
func (b *Backend) Forget(_ context.Context, id string) error {
	b.store.forget(id)
	return b.waiters.Err()
}

// Close implements result.Backend: it deletes the reply queue.
func (b *Backend) Close(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	b.waiters.Close(fmt.Errorf("rpc: %w", result.ErrClosed))
	if b.consumer == nil {
		return nil
	}
	err := b.consumer.Close(ctx)
	if errors.Is(err, broker.ErrClosed) {
		return nil
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
	if deleter, ok := b.cfg.Broker.(broker.Deleter); ok {
		err = errors.Join(err, deleter.DeleteQueue(ctx, b.queue))
	}
	return err
}
