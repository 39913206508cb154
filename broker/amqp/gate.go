package amqp

import (
	"context"
	"sync"
)

// gate bounds how many deliveries of a consumer are out, over all its queues. One that has gone stale is out until it is settled:
// whoever works on it is not free for another. The limit may change at any time.
type gate struct {
	mu    sync.Mutex
	limit int
	out   int           // the stale ones included
	stale int           // of out, those whose stream has ended
	freed chan struct{} // closed when there may be room; nil while nobody waits for it
}

func newGate(limit int) *gate { return &gate{limit: limit} }

// pass waits for room and takes it. It returns false when ended is closed, and ctx's error when that ends first.
func (g *gate) pass(ctx context.Context, ended <-chan struct{}) (bool, error) {
	for {
		g.mu.Lock()
		room := g.out < g.limit
		if room {
			g.out++
		} else if g.freed == nil {
			g.freed = make(chan struct{})
		}
		freed := g.freed
		g.mu.Unlock()
		if room {
			return true, nil
		}
		select {
		case <-freed:
		case <-ended:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// leave gives a place back.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out--
	g.wake()
}

// expire notes that n of those that are out have gone stale.
func (g *gate) expire(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stale += n
}

// leaveStale gives the place of a stale delivery back; true when it was the last one.
func (g *gate) leaveStale() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out--
	g.stale--
	g.wake()
	return g.stale == 0
}

// resize sets the limit and returns the one before.
func (g *gate) resize(limit int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.limit
	g.limit = limit
	g.wake()
	return before
}

// share is how many deliveries the broker may send to one stream: no more than can be worked on, while stale ones are worked on.
func (g *gate) share() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(1, g.limit-g.stale)
}

// wake tells those who wait. The caller holds mu.
func (g *gate) wake() {
	if g.freed != nil {
		close(g.freed)
		g.freed = nil
	}
}
