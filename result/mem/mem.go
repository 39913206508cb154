// Package mem keeps outcomes in this process, for tests and for applications of one process.
package mem

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/internal/waiters"
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
	waiters waiters.Set

	mu    sync.Mutex // guards the fields below
	metas map[string]entry
	swept time.Time
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
	return &Backend{expires: cfg.Expires, metas: map[string]entry{}, swept: time.Now()}
}

// Store implements result.Backend.
func (b *Backend) Store(_ context.Context, meta task.Meta) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	meta.ReplyTo, meta.CorrelationID = "", ""
	if b.put(meta, time.Now()) {
		b.waiters.Deliver(meta)
	}
	return nil
}

// put keeps the outcome; it reports false when a SUCCESS is there already.
func (b *Backend) put(meta task.Meta, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweep(now)
	if old, ok := b.metas[meta.ID]; ok && old.meta.State == task.Success && b.fresh(old, now) {
		return false
	}
	b.metas[meta.ID] = entry{meta, now}
	return true
}

// Get implements task.Results.
func (b *Backend) Get(_ context.Context, id string) (task.Meta, error) {
	if err := b.waiters.Err(); err != nil {
		return task.Meta{}, err
	}
	return b.get(id), nil
}

// Wait implements task.Results.
func (b *Backend) Wait(ctx context.Context, id string) (task.Meta, error) {
	return b.waiters.Wait(ctx, id, func() (task.Meta, error) { return b.get(id), nil })
}

// Watch implements task.Results.
func (b *Backend) Watch(ctx context.Context, id string, yield func(task.Meta) bool) error {
	return b.waiters.Watch(ctx, id, func() (task.Meta, error) { return b.get(id), nil }, yield)
}

// Forget implements task.Results.
func (b *Backend) Forget(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.metas, id)
	return b.waiters.Err()
}

// Close implements result.Backend.
func (b *Backend) Close(context.Context) error {
	b.waiters.Close(fmt.Errorf("mem: %w", result.ErrClosed))
	return nil
}

func (b *Backend) get(id string) task.Meta {
	b.mu.Lock()
	defer b.mu.Unlock()
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
