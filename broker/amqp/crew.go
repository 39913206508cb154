package amqp

import "sync"

// crew is the broker's goroutines. None starts after the last call of wait began, and wait waits for all of them.
type crew struct {
	mu      sync.Mutex
	stopped bool
	wg      sync.WaitGroup
}

// start runs f on its own goroutine; false when the crew is dismissed.
func (c *crew) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.wg.Go(f)
	return true
}

// wait lets nobody in any more and waits for those who are.
func (c *crew) wait() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.wg.Wait()
}
