package worker

import (
	"context"
	"errors"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// ignored is what became of a task that asked to be forgotten. It is never stored: only a chord has to know it.
const ignored task.State = "IGNORED"

// tell tells those who wait for others of how the task ended, whatever way that was: each step of the chain that is left has failed with
// it, the errbacks are called, and the chord that it belongs to waits for one task less (celery/backends/base.py, mark_as_failure). A
// step of a chain that is revoked or ignored leaves nobody waiting either, which it does in Celery.
func (e *execution) tell(ctx context.Context, v verdict, meta task.Meta) error {
	switch {
	case v.replacement != nil: // which has all that waits
		return nil
	case errors.Is(v.err, task.ErrIgnore) && v.state == "":
		meta = e.known(ignored)
		meta.Result = codec.Raw("null")
	case !v.state.Ready():
		return nil
	}
	if meta.State != task.Success {
		for _, s := range e.Chain {
			if _, err := e.letDown(ctx, meta, s); err != nil {
				return err
			}
		}
	}
	if meta.State == task.Failure {
		failed := failedTask{workflow.After(e.req), e.failedRequest(), meta}
		if err := e.callErrbacks(ctx, failed, e.Errbacks); err != nil {
			return err
		}
	}
	return e.join(ctx, meta, e.req.GroupIndex, e.Chord)
}

// callErrbacks calls them with the id of the task that has failed, or with what is known of it. One that can never be called is no reason to fail: the
// task has failed, and there is nobody else to tell.
func (e *execution) callErrbacks(ctx context.Context, failed failedTask, errbacks []task.Signature) error {
	if len(errbacks) == 0 {
		return nil
	}
	plan := workflow.New(failed.Origin)
	id, err := e.req.Codec.Marshal(failed.ID)
	if err == nil {
		err = plan.Fail(workflow.Followers{Errbacks: errbacks}, id)
	}
	for _, c := range plan.Chords {
		if err == nil {
			err = e.openChord(ctx, plan, c)
		}
	}
	if err != nil {
		return e.uncalled(ctx, failed.ID, err)
	}
	if failed.ID != e.req.ID { // other workers may fail the same body of a chord
		stake(plan.Calls)
	}
	for _, s := range plan.Calls {
		if err := e.publish(ctx, e.informed(s, failed)); err != nil {
			if err := e.uncalled(ctx, failed.ID, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// uncalled reports an errback that can never be called, and returns the error of one that may be, yet.
func (e *execution) uncalled(ctx context.Context, id string, err error) error {
	if !never(ctx, err) {
		return err
	}
	e.w.log.ErrorContext(ctx, "errback could not be called", "task", e.req.DisplayName(), "id", id, "error", err)
	return nil
}

// never reports whether what failed cannot be done at all; otherwise the worker stops before it could.
func never(ctx context.Context, err error) bool { return ctx.Err() == nil && isFinal(err) }

// letDown tells those who wait for a call that is never made, and for all that it stands for, what became of it: nobody else will. It
// returns the calls.
func (e *execution) letDown(ctx context.Context, meta task.Meta, s task.Signature) ([]task.Signature, error) {
	lost := workflow.Lost(s)
	all := lost
	if s.Type != "" { // who asks for the whole by its own id is told as well, as by Celery
		s.Chord, s.Chain = nil, nil
		all = append([]task.Signature{s}, lost...)
	}
	for _, s := range all {
		if s.ID == "" {
			continue
		}
		meta.ID, meta.CorrelationID, meta.ReplyTo = s.ID, s.ID, s.ReplyTo
		meta.GroupID, meta.ParentID, meta.Children = s.GroupID, s.ParentID, []task.Ref{}
		if meta.Extended != nil {
			meta.Extended = called(s, e.req.Codec)
		}
		if meta.State != ignored && !s.IgnoreResult {
			err := e.storeOf(ctx, meta)
			if err != nil && !errors.Is(err, result.ErrInvalid) { // that one the task's own failure has shown
				return nil, err
			}
		}
		if err := e.join(ctx, meta, s.GroupIndex, s.Chord); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// called is what the extended metadata of a call that never ran says: what, with which arguments.
func called(s task.Signature, c codec.Codec) *task.Extended {
	req := &task.Request{Name: s.Task, Arguments: task.Arguments{Codec: c, Kwargs: map[string]codec.Raw{}}}
	for _, v := range s.Args {
		raw, _ := v.(codec.Raw) // as all that was decoded
		req.Args = append(req.Args, raw)
	}
	for name, v := range s.Kwargs {
		req.Kwargs[name], _ = v.(codec.Raw)
	}
	return extended(req)
}
