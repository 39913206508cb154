// Package mem keeps places and turns in this process, for tests and for applications of one process. It has no goroutines and no clock
// but package time's, so that it works under testing/synctest.
package mem

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/limit/internal/measure"
)

// sweepEvery is how many calls there are at the least between two looks for what has expired.
const sweepEvery = 64

// Store is the store in memory. Make it with New.
type Store struct {
	start time.Time // all times below count from it, on the monotonic clock

	mu     sync.Mutex // guards the fields below
	places map[string]places
	turns  map[string]turn
	calls  int // since the last sweep
	closed bool
}

// places are the ends of the places of one key by their owners.
type places map[string]time.Duration

// turn is the time of a key's last turn, and when that has no meaning any more.
type turn struct{ last, idle time.Duration }

var _ limit.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{start: time.Now(), places: map[string]places{}, turns: map[string]turn{}}
}

// Acquire implements limit.Store.
func (s *Store) Acquire(ctx context.Context, claim limit.Claim) (grant limit.Grant, err error) {
	claim, err = measure.Claim(claim)
	if err != nil {
		return limit.Grant{}, fmt.Errorf("mem: acquire a place: %w", err)
	}
	err = s.do(ctx, func(now time.Duration) error {
		held := s.held(claim.Key, now)
		end, again := held[claim.Owner]
		if !again && len(held) >= claim.Places {
			grant = limit.Grant{Holder: held.next()}
			return nil
		}
		if held == nil {
			held = places{}
			s.places[claim.Key] = held
		}
		held[claim.Owner] = max(end, now+claim.TTL)
		grant = limit.Grant{Held: true, Fresh: !again}
		return nil
	})
	return grant, err
}

// Extend implements limit.Store.
func (s *Store) Extend(ctx context.Context, key, owner string, ttl time.Duration) error {
	ttl, err := measure.Place(key, owner, ttl)
	if err != nil {
		return fmt.Errorf("mem: extend a place: %w", err)
	}
	return s.do(ctx, func(now time.Duration) error {
		held := s.held(key, now)
		if _, ok := held[owner]; !ok {
			return fmt.Errorf("mem: extend the place of %q: %w", key, limit.ErrLost)
		}
		held[owner] = now + ttl
		return nil
	})
}

// Release implements limit.Store.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	if _, err := measure.Place(key, owner, 1); err != nil {
		return fmt.Errorf("mem: release a place: %w", err)
	}
	return s.do(ctx, func(now time.Duration) error {
		delete(s.places[key], owner)
		s.held(key, now)
		return nil
	})
}

// Reserve implements limit.Store.
func (s *Store) Reserve(ctx context.Context, key string, rate limit.Rate, horizon time.Duration) (wait time.Duration, err error) {
	t, err := measure.NewTurn(key, rate, horizon)
	if err != nil {
		return 0, fmt.Errorf("mem: reserve a turn: %w", err)
	}
	err = s.do(ctx, func(now time.Duration) error {
		last := measure.Never
		if kept, ok := s.turns[key]; ok {
			last = kept.last
		}
		var at time.Duration
		if wait, at = t.Take(now, last); wait <= t.Horizon {
			s.turns[key] = turn{last: at, idle: at + t.Every}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if wait, err = t.Answer(wait, horizon); err != nil {
		return 0, fmt.Errorf("mem: reserve a turn of %q: %w", key, err)
	}
	return wait, nil
}

// Close implements limit.Store.
func (s *Store) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.places, s.turns = true, nil, nil
	return nil
}

// do calls fn with the time while nobody else changes anything.
func (s *Store) do(ctx context.Context, fn func(now time.Duration) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("mem: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("mem: %w", limit.ErrClosed)
	}
	now := time.Since(s.start)
	s.sweep(now)
	return fn(now)
}

// held returns the places of the key that are not free, nil when all are; the caller holds mu.
func (s *Store) held(key string, now time.Duration) places {
	held := s.places[key]
	maps.DeleteFunc(held, func(_ string, end time.Duration) bool { return end <= now })
	if len(held) > 0 {
		return held
	}
	delete(s.places, key)
	return nil
}

// next returns the owner whose place is free first.
func (p places) next() (owner string) {
	for o, end := range p {
		if owner == "" || end < p[owner] {
			owner = o
		}
	}
	return owner
}

// sweep drops what has expired, after as many calls as there is to look at; the caller holds mu.
func (s *Store) sweep(now time.Duration) {
	if s.calls++; s.calls < max(sweepEvery, len(s.places)+len(s.turns)) {
		return
	}
	s.calls = 0
	for key := range s.places {
		s.held(key, now)
	}
	maps.DeleteFunc(s.turns, func(_ string, t turn) bool { return t.idle <= now })
}
