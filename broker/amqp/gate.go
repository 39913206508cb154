package amqp

import (
	"context"
	"sync"
)

// gate bounds how many deliveries of a consumer are out, over all its queues. The limit may change at any time.
type gate struct {
	mu    sync.Mutex
	limit int
	out   int
	freed chan struct{} // closed and replaced when there may be room
}

func newGate(limit int) *gate { return &gate{limit: limit, freed: make(chan struct{})} }

// pass waits for room and takes it. It returns false when ended is closed, and ctx's error when that ends first.
func (g *gate) pass(ctx context.Context, ended <-chan struct{}) (bool, error) {
	for {
		g.mu.Lock()
		freed, room := g.freed, g.out < g.limit
		if room {
			g.out++
		}
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

// leave gives n places back.
func (g *gate) leave(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out -= n
	g.wake()
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

func (g *gate) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit
}

// wake tells those who wait. The caller holds mu.
func (g *gate) wake() {
	close(g.freed)
	g.freed = make(chan struct{})
}
