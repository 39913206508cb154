// Package mem keeps outcomes in this process, for tests and for applications of one process.
package mem

import (
	"context"
	"fmt"
	"maps"
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

// defaultExpires is Celery's result_expires.
const defaultExpires = 24 * time.Hour

// Backend is the result store in memory. Make it with New.
type Backend struct {
	expires time.Duration
	waiters waiters.Set

	mu     sync.Mutex // guards the fields below
	metas  map[string]kept[task.Meta]
	groups map[string]kept[task.Ref]
	chords map[string]kept[*joining]
	claims map[string]kept[string]
	swept  time.Time
}

// kept is something that was stored at a time.
type kept[T any] struct {
	value T
	at    time.Time
}

var (
	_ result.Backend    = (*Backend)(nil)
	_ result.GroupStore = (*Backend)(nil)
	_ result.Joiner     = (*Backend)(nil)
	_ result.Cleaner    = (*Backend)(nil)
)

// New returns an empty store.
func New(cfg Config) *Backend {
	if cfg.Expires == 0 {
		cfg.Expires = defaultExpires
	}
	return &Backend{
		expires: cfg.Expires, swept: time.Now(),
		metas: map[string]kept[task.Meta]{}, groups: map[string]kept[task.Ref]{}, chords: map[string]kept[*joining]{}, claims: map[string]kept[string]{},
	}
}

// Store implements result.Backend.
func (b *Backend) Store(_ context.Context, meta task.Meta) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	meta.ReplyTo, meta.CorrelationID = "", ""
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.sweep(now)
	if old, ok := b.metas[meta.ID]; ok && old.value.State == task.Success && b.fresh(old.at, now) {
		return nil
	}
	b.metas[meta.ID] = kept[task.Meta]{meta, now}
	b.waiters.Deliver(meta) // within the lock, so that states are seen in the order in which they are kept
	return nil
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
	if k, ok := b.metas[id]; ok && b.fresh(k.at, time.Now()) {
		return k.value
	}
	return task.Meta{ID: id, State: task.Pending}
}

// SaveGroup implements result.GroupStore.
func (b *Backend) SaveGroup(_ context.Context, group task.Ref) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.sweep(now)
	b.groups[group.ID] = kept[task.Ref]{group, now}
	return b.waiters.Err()
}

// Group implements result.GroupStore.
func (b *Backend) Group(_ context.Context, id string) (task.Ref, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k, ok := b.groups[id]; ok && b.fresh(k.at, time.Now()) {
		return k.value, true, b.waiters.Err()
	}
	return task.Ref{}, false, b.waiters.Err()
}

// ForgetGroup implements result.GroupStore.
func (b *Backend) ForgetGroup(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.groups, id)
	return b.waiters.Err()
}

func (b *Backend) fresh(at, now time.Time) bool {
	return b.expires < 0 || now.Sub(at) < b.expires
}

// Cleanup implements result.Cleaner.
func (b *Backend) Cleanup(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(time.Now())
	return b.waiters.Err()
}

// sweep drops what has expired, now and then; the caller holds mu.
func (b *Backend) sweep(now time.Time) {
	every := b.expires / 10
	if b.expires < 0 {
		every = defaultExpires / 10 // claims
	}
	if now.Sub(b.swept) >= every {
		b.drop(now)
	}
}

// drop drops what has expired; the caller holds mu.
func (b *Backend) drop(now time.Time) {
	b.swept = now
	stale(b.metas, now, b.fresh)
	stale(b.groups, now, b.fresh)
	stale(b.chords, now, b.fresh)
	stale(b.claims, now, b.claimed)
}

func stale[T any](m map[string]kept[T], now time.Time, fresh func(at, now time.Time) bool) {
	maps.DeleteFunc(m, func(_ string, k kept[T]) bool { return !fresh(k.at, now) })
}
