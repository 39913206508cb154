package worker

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/task"
)

// place is one that an execution holds. The owner of a shared one is the task's id: a delivery that comes again finds its own. In the
// worker's own store it is the execution, because nobody else gives that place back.
type place struct {
	store limit.Store
	limit.Claim
	waits bool // it is held while the call waits, for its retries, too
	runs  bool // it is held while the task runs
}

// forever is how long a place in the worker's own store is held: as long as the worker lives.
const forever = time.Duration(math.MaxInt64)

// askUnique takes the key of a unique task. Who holds it already keeps it; who comes without having asked takes it, or is a duplicate.
// One that held it before is none: that one waits.
func (w *Worker) askUnique(ctx context.Context, e *execution) (hindrance, error) {
	u := e.spec.Unique
	if u == nil {
		return hindrance{}, nil
	}
	p, err := e.uniquePlace()
	if err != nil {
		return hindrance{}, err
	}
	grant, err := w.acquire(ctx, e, p)
	again := e.req.Retries > 0 || e.notes(headerHeld)
	switch {
	case err != nil || grant.Held:
		return hindrance{}, err
	case u.Mode != task.Running && !again:
		return hindrance{duplicateOf: grant.Holder}, nil
	case u.Mode == task.Queued: // it was queued before, and is only late
		return hindrance{}, nil
	}
	return w.comeAgain(ctx, e), nil
}

func (e *execution) uniquePlace() (place, error) {
	u := e.spec.Unique
	key, err := e.limitKey(limit.KindUnique, u.Key)
	return place{
		store: e.w.cfg.LimitStore, waits: u.Mode&task.Queued != 0, runs: u.Mode&task.Running != 0,
		Claim: limit.Claim{Key: key, Owner: e.req.ID, Places: 1, TTL: u.TTL},
	}, err
}

// askCapacity takes one of the places for calls of the task that run at once.
func (w *Worker) askCapacity(ctx context.Context, e *execution) (hindrance, error) {
	c := e.spec.Capacity
	if c == nil {
		return hindrance{}, nil
	}
	key, err := e.limitKey(limit.KindPlaces, c.Key)
	if err != nil {
		return hindrance{}, err
	}
	p := place{store: w.storeOf(c.Scope), runs: true, Claim: limit.Claim{Key: key, Owner: e.req.ID, Places: c.Places, TTL: c.TTL}}
	if p.store == w.own {
		p.Owner, p.TTL = uuid.NewString(), forever
	}
	grant, err := w.acquire(ctx, e, p)
	if err != nil || grant.Held {
		return hindrance{}, err
	}
	return w.comeAgain(ctx, e), nil
}

func (w *Worker) acquire(ctx context.Context, e *execution, p place) (grant limit.Grant, err error) {
	err = w.ask(ctx, p.store, func(ctx context.Context) error {
		grant, err = p.store.Acquire(ctx, p.Claim)
		return err
	})
	if grant.Held {
		e.permits.mu.Lock()
		defer e.permits.mu.Unlock()
		e.permits.places = append(e.permits.places, p)
	}
	return grant, err
}

// renewPlaces keeps the shared places that the task needs while it runs, from now until the execution is over.
func (e *execution) renewPlaces() {
	p := &e.permits
	p.mu.Lock()
	defer p.mu.Unlock()
	var places []place
	for _, one := range p.places {
		if one.runs && one.store != e.w.own {
			places = append(places, one)
		}
	}
	if len(places) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(e.w.settling)
	p.stop = cancel
	for _, one := range places {
		e.w.loops.Go(func() { e.renew(ctx, one) })
	}
}

// renew says again and again that the place is needed. It is lost when the store says so, or when nobody could be told for so long that
// it may be somebody else's.
func (e *execution) renew(ctx context.Context, p place) {
	told := time.Now()
	wait := p.TTL / 3
	for pause(ctx, wait) {
		attempt, cancel := context.WithTimeout(ctx, p.TTL/3)
		asked := time.Now()
		err := p.store.Extend(attempt, p.Key, p.Owner, p.TTL)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			told, wait = asked, p.TTL/3
			continue
		case errors.Is(err, limit.ErrLost) || time.Since(told) >= p.TTL:
			e.lose(ctx, p, err)
			return
		}
		wait = max(min(p.TTL/10, time.Until(told.Add(p.TTL))), time.Millisecond)
	}
}

// lose ends a task that runs no longer under its limit. One that ignores its context runs on.
func (e *execution) lose(ctx context.Context, p place, err error) {
	e.w.log.ErrorContext(ctx, "lock lost: another call may have the task's place", "task", e.req.DisplayName(), "id", e.req.ID, "error", err)
	e.permits.mu.Lock()
	e.permits.lost = true
	e.permits.take(func(one place) bool { return one.Key == p.Key }) // whoever has it now may have the same id
	e.permits.mu.Unlock()
	e.interrupt(task.ErrLockLost)
}

// interruptLost does so for a place that was lost just before the handler could be interrupted.
func (e *execution) interruptLost() {
	e.permits.mu.Lock()
	lost := e.permits.lost
	e.permits.mu.Unlock()
	if lost {
		e.interrupt(task.ErrLockLost)
	}
}

// enter is asked on the slot, before the task starts. A place may have been lost while the slot was waited for; what was held while the
// call waited is given back. It returns what settles a task that may not start.
func (e *execution) enter(ctx context.Context) (settle func()) {
	p := &e.permits
	p.mu.Lock()
	lost := p.lost
	var over []place
	if !lost {
		p.entered = true
		over = p.take(func(one place) bool { return one.waits && !one.runs })
	}
	p.mu.Unlock()
	if lost {
		return func() {
			if e.claim() {
				e.standBack(ctx, e.w.comeAgain(ctx, e))
			}
		}
	}
	e.release(over)
	return nil
}

// holdsWaiting reports whether the call has its key while it waits, or had it and has lost it.
func (e *execution) holdsWaiting() bool {
	e.permits.mu.Lock()
	defer e.permits.mu.Unlock()
	return e.permits.lost || slices.ContainsFunc(e.permits.places, func(one place) bool { return one.waits })
}

// take removes those places and returns them. The caller holds mu.
func (p *permits) take(which func(place) bool) (taken []place) {
	p.places = slices.DeleteFunc(p.places, func(one place) bool {
		if which(one) {
			taken = append(taken, one)
			return true
		}
		return false
	})
	return taken
}

// yield gives back what the task needed to run, before its message goes where another worker may take it: that one would find the places
// to be its own. What the call holds while it waits is kept until then. A handler that still runs keeps all until its places' time is over.
func (e *execution) yield(ctx context.Context, wait time.Duration) {
	p := &e.permits
	p.mu.Lock()
	p.kept = true
	p.endRenewing()
	running := e.isHandling()
	var over []place
	if !running {
		over = p.take(func(one place) bool { return !one.waits })
	}
	waiting := slices.Clone(p.places)
	p.mu.Unlock()
	e.release(over)
	for _, one := range waiting {
		if one.waits && wait > one.TTL/2 {
			e.keepFor(ctx, one, wait)
		}
	}
}

// keepFor holds a place over a time of waiting.
func (e *execution) keepFor(ctx context.Context, p place, wait time.Duration) {
	err := e.w.ask(ctx, p.store, func(ctx context.Context) error { return p.store.Extend(ctx, p.Key, p.Owner, p.TTL+wait) })
	if err != nil && !errors.Is(err, limit.ErrLost) { // that shows when the message comes again
		e.w.log.WarnContext(ctx, "key could not be held while the task waits", "task", e.req.DisplayName(), "id", e.req.ID, "error", err)
	}
}

// holdOn does so for a task that is tried again. One that gave its key back when it started takes it again, if nobody else has it.
func (e *execution) holdOn(ctx context.Context, v verdict) {
	e.yield(ctx, v.retryIn)
	if e.spec == nil || e.spec.Unique == nil || e.spec.Unique.Mode != task.Queued || v.state != task.Retried {
		return
	}
	if p, err := e.uniquePlace(); err == nil {
		p.TTL += v.retryIn
		if _, err := e.w.acquire(ctx, e, p); err != nil {
			e.w.log.WarnContext(ctx, "key could not be taken for the next try", "task", e.req.DisplayName(), "id", e.req.ID, "error", err)
		}
	}
}

// disown leaves the shared places that the execution holds to whoever gets its message again.
func (e *execution) disown() {
	e.permits.mu.Lock()
	defer e.permits.mu.Unlock()
	e.permits.kept = true
}

// reclaim ends the waiting of what does not come again: what the call holds is the execution's to give back.
func (e *execution) reclaim() {
	e.permits.mu.Lock()
	defer e.permits.mu.Unlock()
	e.permits.kept = false
}

// leave gives back what a task that is over has held, also what the call held and was never asked for here. While its handler still runs,
// given up, it keeps its places until their time is over.
func (e *execution) leave() {
	if e.spec == nil {
		return
	}
	p := &e.permits
	p.mu.Lock()
	p.endRenewing()
	if e.isHandling() {
		p.orphan = true
		p.mu.Unlock()
		return
	}
	unasked := !p.kept && !p.entered && !slices.ContainsFunc(p.places, func(one place) bool { return one.waits })
	over := e.over()
	p.mu.Unlock()
	if u := e.spec.Unique; unasked && u != nil && u.Mode&task.Queued != 0 && e.w.cfg.LimitStore != nil {
		if own, err := e.uniquePlace(); err == nil {
			over = append(over, own)
		}
	}
	e.release(over)
}

// returned gives back what a handler held that was given up.
func (e *execution) returned() {
	p := &e.permits
	p.mu.Lock()
	var over []place
	if p.orphan {
		over = e.over()
	}
	p.mu.Unlock()
	e.release(over)
}

// over takes the places that the execution gives back at its end. Those in the worker's own store are among them in any case: no other
// worker that gets the message could. The caller holds the permits' mu.
func (e *execution) over() []place {
	return e.permits.take(func(one place) bool { return !e.permits.kept || one.store == e.w.own })
}

func (p *permits) endRenewing() {
	if p.stop != nil {
		p.stop()
	}
}

// release gives places back. When the store does not answer, it is told later, as long as the worker runs.
func (e *execution) release(places []place) {
	if len(places) == 0 {
		return
	}
	w := e.w
	ctx := context.WithoutCancel(w.settling)
	for _, p := range places {
		give := func(ctx context.Context) error { return p.store.Release(ctx, p.Key, p.Owner) }
		err := w.ask(ctx, p.store, give)
		if err == nil || errors.Is(err, limit.ErrClosed) || errors.Is(err, limit.ErrInvalid) { // it was never taken
			continue
		}
		w.log.WarnContext(ctx, "place could not be given back", "task", e.req.DisplayName(), "id", e.req.ID, "error", err)
		if w.stopping.Err() == nil {
			w.loops.Go(func() { w.releaseLater(p, give) })
		}
	}
}

// releaseLater tries until the place's time is over.
func (w *Worker) releaseLater(p place, give func(context.Context) error) {
	ctx, cancel := context.WithTimeout(w.stopping, p.TTL)
	defer cancel()
	for wait := time.Second; pause(ctx, wait); wait = min(2*wait, retryMax) {
		if w.ask(ctx, p.store, give) == nil {
			return
		}
	}
}
