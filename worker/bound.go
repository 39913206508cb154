package worker

import (
	"context"
	"sync"
	"time"
)

// bound hands out contexts that end when parent does, or after a time: wait at the most, and three quarters of it at least. Those who ask
// within a quarter of it share one, because a timer for each of thousands of tasks in a second costs more than what it watches over.
type bound struct {
	parent context.Context
	wait   time.Duration

	mu     sync.Mutex // guards the fields below
	ctx    context.Context
	cancel context.CancelFunc
	until  time.Time // that it is handed out
}

func (b *bound) context() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); b.ctx == nil || !now.Before(b.until) {
		b.ctx, b.cancel = context.WithTimeout(b.parent, b.wait) // the one before ends by itself
		b.until = now.Add(b.wait / 4)
	}
	return b.ctx
}

// end ends what was handed out last; nobody has it any more.
func (b *bound) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel != nil {
		b.cancel()
	}
}
