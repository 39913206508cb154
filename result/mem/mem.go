// Package mem keeps outcomes in this process, for tests and for applications of one process.
package mem

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// Config is what a Backend is made of.
type Config struct {
	// Expires is how long an outcome is kept; 0 means a day, Celery's result_expires; negative means for ever.
	Expires time.Duration
}

// Backend is the result store in memory. Make it with New.
type Backend struct {
	expires time.Duration

	mu      sync.Mutex // guards the fields below
	metas   map[string]entry
	swept   time.Time
	waiters map[string]*waiter // by id
	closed  chan struct{}      // closed by Close
}

// waiter is shared by all who wait for one id.
type waiter struct {
	ready chan struct{} // closed when the final outcome is stored
	count int
}

type entry struct {
	meta task.Meta
	at   time.Time
}

var _ result.Backend = (*Backend)(nil)

// New returns an empty store.
func New(cfg Config) *Backend {
	if cfg.Expires == 0 {
		cfg.Expires = 24 * time.Hour
	}
	return &Backend{
		expires: cfg.Expires, metas: map[string]entry{}, swept: time.Now(),
		waiters: map[string]*waiter{}, closed: make(chan struct{}),
	}
}

// Store implements result.Backend.
func (b *Backend) Store(_ context.Context, meta task.Meta) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed() {
		return fmt.Errorf("mem: store the outcome of %s: %w", meta.ID, result.ErrClosed)
	}
	now := time.Now()
	b.sweep(now)
	if old, ok := b.metas[meta.ID]; ok && old.meta.State == task.Success && b.fresh(old, now) {
		return nil
	}
	meta.ReplyTo, meta.CorrelationID = "", ""
	b.metas[meta.ID] = entry{meta, now}
	if w := b.waiters[meta.ID]; w != nil && meta.State.Ready() {
		close(w.ready)
		delete(b.waiters, meta.ID)
	}
	return nil
}

// Get implements task.Results.
func (b *Backend) Get(_ context.Context, id string) (task.Meta, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed() {
		return task.Meta{}, fmt.Errorf("mem: look up %s: %w", id, result.ErrClosed)
	}
	return b.get(id), nil
}

// Wait implements task.Results.
func (b *Backend) Wait(ctx context.Context, id string) (task.Meta, error) {
	for {
		meta, w, err := b.join(id)
		if w == nil {
			return meta, err
		}
		select {
		case <-w.ready:
		case <-b.closed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		b.leave(id, w)
		if err != nil {
			return task.Meta{}, err
		}
	}
}

// Forget implements task.Results.
func (b *Backend) Forget(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed() {
		return fmt.Errorf("mem: forget %s: %w", id, result.ErrClosed)
	}
	delete(b.metas, id)
	return nil
}

// Close implements result.Backend.
func (b *Backend) Close(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isClosed() {
		close(b.closed)
	}
	return nil
}

// join returns the final outcome, or the waiter for it.
func (b *Backend) join(id string) (task.Meta, *waiter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed() {
		return task.Meta{}, nil, fmt.Errorf("mem: wait for %s: %w", id, result.ErrClosed)
	}
	if meta := b.get(id); meta.State.Ready() {
		return meta, nil, nil
	}
	w := b.waiters[id]
	if w == nil {
		w = &waiter{ready: make(chan struct{})}
		b.waiters[id] = w
	}
	w.count++
	return task.Meta{}, w, nil
}

func (b *Backend) leave(id string, w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.count--; w.count == 0 && b.waiters[id] == w {
		delete(b.waiters, id)
	}
}

// get returns the outcome; the caller holds mu.
func (b *Backend) get(id string) task.Meta {
	if e, ok := b.metas[id]; ok && b.fresh(e, time.Now()) {
		return e.meta
	}
	return task.Meta{ID: id, State: task.Pending}
}

func (b *Backend) fresh(e entry, now time.Time) bool {
	return b.expires < 0 || now.Sub(e.at) < b.expires
}

// sweep drops what has expired, now and then; the caller holds mu.
func (b *Backend) sweep(now time.Time) {
	if b.expires < 0 || now.Sub(b.swept) < b.expires/10 {
		return
	}
	b.swept = now
	for id, e := range b.metas {
		if !b.fresh(e, now) {
			delete(b.metas, id)
		}
	}
}

func (b *Backend) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}
