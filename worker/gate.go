package worker

import (
	"context"
	"time"
)

// gate decides whether a request may start: not when it was revoked, not after it has expired, not before its time, not over the limits of
// its task. What may not is settled here.
func (w *Worker) gate(ctx context.Context, e *execution) bool {
	if w.isRevoked(e) {
		e.discard(ctx)
		return false
	}
	now := time.Now()
	if e.expired(now) {
		e.expire(ctx)
		return false
	}
	if wait := e.req.ETA.Sub(now); wait > 0 {
		if e.claim() {
			e.park(ctx, wait)
		}
		return false
	}
	return w.unlocks(ctx, e) && w.claimed(ctx, e) && w.permit(ctx, e)
}

// submit hands a request that may start to a slot, for which it waits, or to the others that it is to run with.
func (w *Worker) submit(ctx context.Context, e *execution) {
	e.delivery.from.ready(w.settling, w.pool)
	if c := w.collectors[e.spec]; c != nil {
		c.add(ctx, e)
		return
	}
	if err := w.pool.Submit(ctx, e.run); err != nil {
		e.giveBack() // the worker stops; the delivery never started
	}
}
