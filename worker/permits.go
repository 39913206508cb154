package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/task"
)

// What a message notes of its waiting, in headers of its own.
const (
	headerTurn  = wire.OwnPrefix + "turn"  // it has had its turn in the line of its rate
	headerTries = wire.OwnPrefix + "tries" // how often there was no place for it
	headerHeld  = wire.OwnPrefix + "held"  // it holds its key while it waits, so it is no duplicate
)

const (
	comeAgainFirst = 100 * time.Millisecond // before a place that was taken is tried again, doubled each time
	comeAgainMax   = 5 * time.Second
	comeAgainEvery = 10 * time.Millisecond // of the calls of one task in this worker, however many wait
	comeAgainLast  = 5 * time.Minute       // what waits longer is looked at in between: limits can change
)

// permits are what an execution has of the limits of its task.
type permits struct {
	marks broker.Table // what the message notes when it waits

	mu      sync.Mutex // guards the fields below
	places  []place
	stop    context.CancelFunc // of the renewing; nil without
	lost    bool               // a place is lost that the task needs
	entered bool               // the task has started
	kept    bool               // the message comes again, or is somebody else's: shared places are not released
	orphan  bool               // the execution is over, and its handler is not
}

// hindrance is why a request may not start now; the zero value is none.
type hindrance struct {
	duplicateOf string        // this call has its key
	wait        time.Duration // it comes again then
	marks       broker.Table
}

func (h *hindrance) isNone() bool { return h.duplicateOf == "" && h.wait <= 0 }

// keyError is the failure of a call whose key cannot be told.
type keyError struct{ err error }

func (e *keyError) Error() string { return e.err.Error() }

func (e *keyError) Unwrap() error { return e.err }

// permit asks the limits of the request's task, in the order in which what they give can be given back: its key, a place, its turn. What
// may not start is settled here: it waits in the broker, or is a duplicate.
func (w *Worker) permit(ctx context.Context, e *execution) bool {
	if e.spec.Unique == nil && e.spec.Capacity == nil && w.throttle(e.spec) == nil {
		return true
	}
	for _, ask := range []func(context.Context, *execution) (hindrance, error){w.askUnique, w.askCapacity, w.askRate} {
		h, err := ask(ctx, e)
		if err == nil && h.isNone() {
			continue
		}
		w.hinder(ctx, e, h, err)
		return false
	}
	e.renewPlaces()
	return true
}

// hinder settles what may not start. A limit that cannot be asked lets nothing through, and loses nothing.
func (w *Worker) hinder(ctx context.Context, e *execution, h hindrance, err error) {
	_, noKey := errors.AsType[*keyError](err)
	never := noKey || errors.Is(err, limit.ErrInvalid) // time does not mend it
	if err != nil && !never && (ctx.Err() != nil || errors.Is(err, limit.ErrClosed)) {
		e.giveBack()
		return
	}
	if !e.claim() {
		return
	}
	switch {
	case never:
		e.finish(failure(err, &e.spec.Settings))
	case err != nil:
		e.standBack(ctx, w.comeAgain(ctx, e))
	case h.duplicateOf != "":
		w.log.InfoContext(ctx, "task was a duplicate", "task", e.req.DisplayName(), "id", e.req.ID, "of", h.duplicateOf)
		e.finish(verdict{state: task.Revoked, err: &revoked{"duplicate of " + h.duplicateOf}, disposition: broker.Ack})
	default:
		e.standBack(ctx, h)
	}
}

// standBack puts the request back into the broker until it comes again. The caller has claimed the execution.
func (e *execution) standBack(ctx context.Context, h hindrance) {
	now := time.Now()
	until := now.Add(h.wait)
	if x := e.req.Expires; !x.IsZero() && x.Before(until) {
		until = x.Add(time.Millisecond) // to be told so
	}
	e.yield(ctx, until.Sub(now))
	e.permits.marks = broker.Table{}
	maps.Copy(e.permits.marks, h.marks)
	if e.holdsWaiting() {
		e.permits.marks[headerHeld] = true
	}
	e.req.ETA = until
	e.park(ctx, until.Sub(now))
}

// waiting is the message as it waits: when it may start is for every worker to see, those in Python as well.
func (e *execution) waiting(now time.Time) broker.Message {
	msg := wire.Repark(e.delivery.Delivery, now)
	if wire.Chorded(e.req) {
		msg.Expiration = 0 // it is not to end in silence
	}
	if e.permits.marks == nil {
		return msg
	}
	wire.Postpone(&msg, e.req.ETA)
	maps.Copy(msg.Headers, e.permits.marks)
	return msg
}

// comeAgain is when a request for which there was no place tries again: soon, then less often, and never so that many who wait are all
// that the worker does. A place that is given back is noticed by whoever comes next.
func (w *Worker) comeAgain(ctx context.Context, e *execution) hindrance {
	tries := e.tries()
	wait := min(comeAgainFirst<<min(tries, 10), comeAgainMax)
	wait += rand.N(wait/2) - wait/4
	wait = max(wait, w.line(ctx, "places "+e.spec.Name, limit.Rate{Every: comeAgainEvery}))
	return hindrance{wait: wait, marks: broker.Table{headerTries: int32(min(tries+1, 1000))}} //nolint:gosec // bounded
}

// line spreads out those who come again, so that they come one by one.
func (w *Worker) line(ctx context.Context, key string, rate limit.Rate) time.Duration {
	wait, err := w.own.Reserve(ctx, key, rate, comeAgainLast)
	if err != nil || wait > comeAgainLast {
		return comeAgainLast/2 + rand.N(comeAgainLast/2)
	}
	return wait
}

// tries is how often there was no place for the request.
func (e *execution) tries() int {
	switch n := e.delivery.Headers[headerTries].(type) {
	case int32:
		return max(0, int(n))
	case int64:
		return max(0, int(min(n, 1000)))
	}
	return 0
}

// notes reports whether the message says so of itself.
func (e *execution) notes(header string) bool {
	said, _ := e.delivery.Headers[header].(bool)
	return said
}

// limitKey is what a limit of the request's task counts under.
func (e *execution) limitKey(kind string, key task.Key) (string, error) {
	k, err := key.Of(e.spec, e.req)
	if err != nil {
		return "", &keyError{err}
	}
	return limit.TaskKey(kind, e.spec.Name, k), nil
}

// storeAway remembers that the limit store could not be asked, so that each request that needs it does not find out for itself.
type storeAway struct {
	mu    sync.Mutex // guards the fields below
	until time.Time
	pause time.Duration
}

// ask asks a limit store. The worker's own answers at once; the shared one has askWait, and after it failed it is left alone for a while.
func (w *Worker) ask(ctx context.Context, store limit.Store, do func(context.Context) error) error {
	if store == w.own {
		return do(ctx)
	}
	if !w.away.isOver() {
		return fmt.Errorf("worker: %w", limit.ErrUnavailable)
	}
	attempt, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	err := do(attempt)
	switch {
	case err == nil || errors.Is(err, limit.ErrLost):
		w.away.end()
	case ctx.Err() == nil && !errors.Is(err, limit.ErrClosed) && !errors.Is(err, limit.ErrInvalid):
		pause := w.away.begin()
		w.log.WarnContext(ctx, "limits could not be asked: tasks that have some wait", "error", err, "retry_in", pause.Seconds())
	}
	return err
}

func (a *storeAway) isOver() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !time.Now().Before(a.until)
}

func (a *storeAway) begin() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pause = min(max(2*a.pause, time.Second), retryMax)
	a.until = time.Now().Add(a.pause)
	return a.pause
}

func (a *storeAway) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.until, a.pause = time.Time{}, 0
}

// storeOf is where a limit is counted.
func (w *Worker) storeOf(s task.Scope) limit.Store {
	if s.ClusterWide {
		return w.cfg.LimitStore
	}
	return w.own
}

// checkLimits refuses tasks whose limits need a store that is not there.
func (c *Config) checkLimits() error {
	if c.LimitStore != nil {
		return nil
	}
	for _, spec := range c.Registry.All() {
		if option := spec.NeedsLimitStore(); spec.Handler != nil && option != "" {
			return fmt.Errorf("worker: task %s: %s needs a store that workers and senders share: %w; set limit_store", spec.Name, option, limit.ErrNoStore)
		}
	}
	return nil
}
