package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// publishReplacement sends what runs in the place of the task.
func (e *execution) publishReplacement(ctx context.Context, s task.Signature) error {
	plan := workflow.New(workflow.After(e.req))
	if _, err := plan.Replace(e.req, e.Followers, s); err != nil {
		return fmt.Errorf("%w: %w", result.ErrInvalid, err)
	}
	return e.carryOut(ctx, plan)
}

// extend adds a call to the chord that the task belongs to; it is the task.Joining of its handler. The chord waits for the call before it
// is sent: a worker that dies in between gives the task to another one, which adds it again.
func (e *execution) extend(ctx context.Context, s task.Signature) (string, error) {
	joiner, counts := e.w.cfg.Results.(result.Joiner)
	if e.Chord == nil || e.req.Group == "" || !counts {
		return "", task.ErrNotInChord
	}
	if e.claimed.Load() || !e.updates.begin() { // the outcome waits for it
		return "", task.ErrEnded
	}
	defer e.updates.under.Done()
	plan := workflow.New(workflow.After(e.req))
	ids, err := plan.Extend(e.req, e.Followers, s, int(e.added.Add(1)))
	if err != nil {
		return "", err
	}
	err = e.w.persist(ctx, "chord could not be told", e.req, func(ctx context.Context) error { return joiner.GrowChord(ctx, e.req.Group, ids...) })
	if err != nil {
		return "", err
	}
	if err := e.carryOut(ctx, plan); err != nil {
		return "", e.unadd(ctx, ids, err)
	}
	id := ids[len(ids)-1]
	e.trail.Add(task.Ref{ID: id})
	return id, nil
}

// unadd has the chord not wait for calls that were added and cannot be sent.
func (e *execution) unadd(ctx context.Context, ids []string, why error) error {
	if !never(ctx, why) {
		return why // the worker stops, and the task runs again
	}
	meta := e.known(task.Failure)
	meta.Result, meta.DoneAt = e.w.exception(why), time.Now().UTC()
	for _, id := range ids {
		meta.ID, meta.CorrelationID = id, id
		if err := e.join(ctx, meta, e.req.GroupIndex, e.Chord); err != nil {
			return err
		}
	}
	return why
}
