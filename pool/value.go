package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// cell is the place of one resource in one slot. The mutex is never held during a round trip.
type cell[T any] struct {
	cut func(T) // Resource.Interrupt

	mu     sync.Mutex
	held   *holding[T] // nil when closed
	inside uint64      // the visit that uses it, 0 for none
	visits uint64
}

// holding is one opened value. Its fields are guarded by the cell's mutex while a job may reach it; value is not: that is lent.
type holding[T any] struct {
	value     T
	openedFor uint64 // the job, 0 for none
	expires   time.Time
	idleSince time.Time
	uses      int    // jobs that used it
	lastJob   uint64 // epoch of the last job that used it
	failure   error  // reported, not yet looked into
}

func (c *cell[T]) peek() *holding[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

func (c *cell[T]) openedFor() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return 0
	}
	return c.held.openedFor
}

func (c *cell[T]) put(h *holding[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = h
}

func (c *cell[T]) take() { c.put(nil) }

// reclaim returns the value, unless a goroutine is inside: then the value is cut off and left to that one.
func (c *cell[T]) reclaim() (h *holding[T], straggler bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside == 0 {
		return c.held, false
	}
	c.interruptLocked()
	c.inside, c.held = 0, nil
	return nil, true
}

// interrupt implements interrupter.
func (c *cell[T]) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interruptLocked()
}

func (c *cell[T]) interruptLocked() {
	if c.held != nil && c.cut != nil {
		c.cut(c.held.value)
	}
}

// enter begins a visit; its number is 0 when somebody is inside. Looking at the slot again under the mutex makes sure that whoever
// ends the job either finds this visitor or has turned him away.
func (c *cell[T]) enter(s *Slot) (v visit[T], foreign bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.valid() {
		return v, true
	}
	if c.inside != 0 {
		return v, false
	}
	c.visits++
	c.inside = c.visits
	if c.held != nil {
		c.held.lastJob = s.epoch
	}
	return visit[T]{slot: s, cell: c, number: c.visits, held: c.held}, false
}

// hold exchanges the value during a visit, unless the slot went on without this visitor.
func (c *cell[T]) hold(visit uint64, h *holding[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside == visit {
		c.held = h
	}
}

// leave ends a visit. It reports false when the slot went on without this visitor, who then has to close what he holds.
func (c *cell[T]) leave(visit uint64, failure error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside != visit {
		return false
	}
	c.inside = 0
	if c.held != nil && failure != nil {
		c.held.failure = failure
	}
	return true
}

// failure returns what was reported for h.
func (c *cell[T]) failure(h *holding[T]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return h.failure
}

func (c *cell[T]) forgive(h *holding[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.failure = nil
}

// occasion is when a value is looked at, and so how closely.
type occasion int

const (
	afterFailure occasion = iota // only a reported failure is looked into
	afterIdling                  // also age, peek and ping
)

// fault finds out what is wrong with a value before it is used; nil: nothing.
func (r *Resource[T]) fault(ctx context.Context, c *cell[T], h *holding[T], o occasion) error {
	if c.failure(h) != nil {
		if err := r.ping(ctx, h); err != nil {
			return err
		}
		c.forgive(h)
		return nil
	}
	if o == afterFailure {
		return nil
	}
	idle := time.Since(h.idleSince)
	switch {
	case r.expired(h):
		return errors.New("too old")
	case r.Peek != nil && idle >= r.PeekAfter && !r.Peek(h.value):
		return errors.New("dead")
	case r.PingAfter > 0 && idle >= r.PingAfter:
		return r.ping(ctx, h)
	}
	return nil
}

func (r *Resource[T]) expired(h *holding[T]) bool {
	return r.MaxAge > 0 && !time.Now().Before(h.expires)
}

func (r *Resource[T]) ping(ctx context.Context, h *holding[T]) error {
	if r.Ping == nil {
		return errors.New("failed, and there is no Ping")
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(r.PingTimeout, defaultPingTimeout))
	defer cancel()
	err := r.Ping(ctx, h.value)
	if err == nil {
		h.idleSince = time.Now()
	}
	return err
}

func (r *Resource[T]) open(ctx context.Context, s *Slot) (*holding[T], error) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(r.OpenTimeout, defaultOpenTimeout))
	defer cancel()
	value, err := r.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("pool: open resource %q: %w", r.Name, err)
	}
	now := time.Now()
	h := &holding[T]{value: value, openedFor: s.Job(), idleSince: now}
	if r.MaxAge > 0 {
		h.expires = now.Add(r.MaxAge - rand.N(r.MaxAge/10+1))
	}
	s.seat.log.Debug("slot opened a resource", slog.String("resource", r.Name))
	return h, nil
}

// close ends a value that nobody uses any more.
func (r *Resource[T]) close(ctx context.Context, s *Slot, h *holding[T], why string) {
	log := s.seat.log.With(slog.String("resource", r.Name), slog.String("reason", why))
	if r.Close == nil {
		log.Debug("slot dropped a resource")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := r.Close(ctx, h.value); err != nil {
		log.Debug("slot closed a resource", slog.String("error", err.Error())) // it is thrown away; there is nobody to tell
		return
	}
	log.Debug("slot closed a resource")
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
