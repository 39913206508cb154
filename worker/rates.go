package worker

import (
	"context"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/limit"
)

const (
	// turnHorizon is how far ahead turns are given. What waits longer comes for one later, so that turns given to what never comes, or
	// before a rate was changed, keep nobody waiting for long.
	turnHorizon = time.Minute
	// turnNear is how far away a turn may be that is taken now: a way through the broker takes longer.
	turnNear = 10 * time.Millisecond
	// startSlack is how far in advance of the rate tasks may start, when those that were late and those that are on time come together.
	startSlack = 500 * time.Millisecond
)

// askRate says when the rate of the task lets the request start.
//
// Two schedules of the same rate decide. In the first a request takes its turn, which says when to come; it waits in the broker until
// then, and its message notes that it had its turn. The second counts the starts themselves: whatever comes late, or comes to a worker that
// has given no turns, is never more than the rate. So a turn need not be kept to the second, nor by a certain worker.
func (w *Worker) askRate(ctx context.Context, e *execution) (hindrance, error) {
	t := w.throttle(e.spec)
	if t == nil {
		return hindrance{}, nil
	}
	key, err := e.limitKey(limit.KindRate, t.Key)
	if err != nil {
		return hindrance{}, err
	}
	r := rated{w: w, store: w.storeOf(t.Scope), key: key + " " + t.Rate.String(), rate: limit.Rate{Every: t.Rate.Every(), Burst: t.Burst}}
	if !e.notes(headerTurn) {
		if h, err := r.lineUp(ctx); err != nil || !h.isNone() {
			return h, err
		}
	}
	late, err := r.reserve(ctx, r.key+" starts", startSlack)
	if err != nil || late <= startSlack {
		return hindrance{}, err
	}
	h, err := r.lineUp(ctx)
	h.wait = max(h.wait, late)
	return h, err
}

// rated is a rate with where it is counted.
type rated struct {
	w     *Worker
	store limit.Store
	key   string // a new rate is counted anew
	rate  limit.Rate
}

// lineUp takes a turn and says when that is. When all turns are taken as far as they are given, the request comes for one when its time
// is near.
func (r *rated) lineUp(ctx context.Context) (hindrance, error) {
	horizon := max(turnHorizon, r.rate.Every)
	wait, err := r.reserve(ctx, r.key, horizon)
	switch {
	case err != nil || wait <= turnNear:
		return hindrance{}, err
	case wait > horizon:
		return hindrance{wait: horizon/2 + r.w.line(ctx, "line "+r.key, r.rate)}, nil
	}
	return hindrance{wait: wait, marks: broker.Table{headerTurn: true}}, nil
}

func (r *rated) reserve(ctx context.Context, key string, horizon time.Duration) (wait time.Duration, err error) {
	err = r.w.ask(ctx, r.store, func(ctx context.Context) error {
		wait, err = r.store.Reserve(ctx, key, r.rate, horizon)
		return err
	})
	return wait, err
}
