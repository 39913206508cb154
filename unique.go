package taskq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/task"
)

// holdWait is how long the limit store has to answer a sender.
const holdWait = 5 * time.Second

// hold is the key of a unique call, held while the call is sent; nil for a call that needs none.
type hold struct {
	app   *App
	store limit.Store
	limit.Claim
	fresh bool
}

// hold takes the key of a call that is unique while it waits, for as long as its task says and until its ETA besides. It returns a
// *task.DuplicateError when another call has it. What is encoded of the arguments is encoded by args.
func (a *App) hold(ctx context.Context, s task.Signature, args codec.Codec) (*hold, error) {
	spec := a.registry.Lookup(s.Task)
	if spec == nil || spec.Unique == nil || spec.Unique.Mode&task.Queued == 0 {
		return nil, nil
	}
	failed := func(err error) (*hold, error) { return nil, fmt.Errorf("taskq: send %s: %w", s.Task, err) }
	req, err := s.Request(args)
	var key string
	if err == nil {
		key, err = spec.Unique.Key.Of(spec, req)
	}
	if err != nil {
		return failed(&unsendable{err})
	}
	h := &hold{app: a, Claim: limit.Claim{
		Key: limit.TaskKey(limit.KindUnique, spec.Name, key), Owner: s.ID, Places: 1, TTL: spec.Unique.TTL + max(0, time.Until(s.ETA)),
	}}
	if h.store, err = a.Limits(ctx); err == nil && h.store == nil {
		err = &unsendable{fmt.Errorf("a unique task needs a store that workers and senders share: %w; set limit_store", limit.ErrNoStore)}
	}
	if err != nil {
		return failed(err)
	}
	grant, err := h.acquire(ctx)
	switch {
	case err != nil:
		return failed(err)
	case !grant.Held:
		return failed(&task.DuplicateError{Task: s.Task, ID: grant.Holder})
	}
	h.fresh = grant.Fresh
	return h, nil
}

func (h *hold) acquire(ctx context.Context) (limit.Grant, error) {
	attempt, cancel := context.WithTimeout(ctx, holdWait)
	defer cancel()
	grant, err := h.store.Acquire(attempt, h.Claim)
	if err != nil && attempt.Err() != nil && !errors.Is(err, limit.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", limit.ErrUnavailable, err)
	}
	return grant, err
}

// sent gives the key back when the call was not sent. One that may have been sent keeps it: its worker gives it back.
func (h *hold) sent(ctx context.Context, err error) {
	if h == nil || !h.fresh || err == nil || errors.Is(err, broker.ErrUnconfirmed) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), holdWait)
	defer cancel()
	if err := h.store.Release(ctx, h.Key, h.Owner); err != nil {
		h.app.log.WarnContext(ctx, "key of a call that was not sent could not be given back", "id", h.Owner, "error", err)
	}
}

// limitsFor returns the limit store for a worker, nil when none of its tasks needs it: then it is not opened.
func (a *App) limitsFor(ctx context.Context) (limit.Store, error) {
	for _, spec := range a.registry.All() {
		if spec.Handler != nil && spec.NeedsLimitStore() != "" {
			return a.Limits(ctx)
		}
	}
	return nil, nil
}
