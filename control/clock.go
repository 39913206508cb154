package control

import (
	"math"
	"sync/atomic"
)

// Clock is Lamport's logical clock of one process (kombu/clocks.py). It goes with commands and answers, and orders them for whoever
// looks. The zero value is ready to use; it is safe for concurrent use.
type Clock struct{ n atomic.Int64 }

// Forward is the clock of something that is sent now.
func (c *Clock) Forward() int32 {
	for {
		now := c.n.Load()
		next := min(now+1, math.MaxInt32) // more than that is no header that everybody reads
		if c.n.CompareAndSwap(now, next) {
			return int32(next)
		}
	}
}

// Adjust takes notice of a clock that was received. One out of range, from a sender that has none, counts as 0.
func (c *Clock) Adjust(other int64) {
	if other < 0 || other >= math.MaxInt32 {
		other = 0
	}
	for {
		now := c.n.Load()
		if c.n.CompareAndSwap(now, min(max(now, other)+1, math.MaxInt32)) {
			return
		}
	}
}

// Now is the clock as it stands.
func (c *Clock) Now() int32 { return int32(c.n.Load()) } //nolint:gosec // never beyond that
