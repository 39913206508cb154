package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// checkChords says why there are no chords where outcomes are not kept, or only told to who called.
func (w *Worker) checkChords() error {
	_, answers := w.cfg.Results.(result.Replier)
	if w.cfg.Results != nil && !answers {
		return nil
	}
	return fmt.Errorf("a chord needs a result store that its tasks share, such as redis or postgres: set result_backend: %w", errors.ErrUnsupported)
}

// openChord notes a chord before its tasks are sent. A store that does not count has its tasks looked at until they have all ended, by
// celery.chord_unlock.
func (e *execution) openChord(ctx context.Context, plan *workflow.Plan, c workflow.Chord) error {
	if err := e.w.checkChords(); err != nil {
		return fmt.Errorf("worker: %w: %w", result.ErrInvalid, err)
	}
	joiner, counts := e.w.cfg.Results.(result.Joiner)
	if !counts {
		return e.publish(ctx, plan.Unlock(c))
	}
	return e.w.persist(ctx, "chord could not be noted", e.req, func(ctx context.Context) error { return joiner.OpenChord(ctx, c.Header) })
}

// join notes in the chord that a task belongs to what became of it, once that has been stored. After the last one the body follows, and
// only when that is safe is the chord forgotten: until then whoever gets a task of the header again sees to it.
func (e *execution) join(ctx context.Context, meta task.Meta, index int, body *task.Signature) error {
	joiner, counts := e.w.cfg.Results.(result.Joiner)
	if !counts || body == nil || meta.GroupID == "" {
		return nil
	}
	joined, err := e.note(ctx, joiner, result.ChordPart{Meta: meta, Index: index})
	if err != nil || joined == nil {
		return err
	}
	if err := e.complete(ctx, meta.GroupID, *body, joined); err != nil {
		return err
	}
	err = e.w.persist(ctx, "chord could not be forgotten", e.req, func(ctx context.Context) error { return joiner.ForgetChord(ctx, meta.GroupID) })
	if err != nil && never(ctx, err) {
		return nil // it is when its time is over
	}
	return err
}

// note tells the store. An outcome that it can never keep counts as a failure: the chord must not wait for it.
func (e *execution) note(ctx context.Context, joiner result.Joiner, part result.ChordPart) (joined *result.Joined, err error) {
	try := func(ctx context.Context) (err error) {
		joined, err = joiner.JoinChord(ctx, part)
		return err
	}
	const complaint = "chord could not be told"
	err = e.w.persist(ctx, complaint, e.req, try)
	if err != nil && never(ctx, err) {
		part.State, part.Result, part.Codec = task.Failure, e.w.exception(&encodeError{err}), nil
		err = e.w.persist(ctx, complaint, e.req, try)
	}
	if err != nil && never(ctx, err) {
		e.w.log.ErrorContext(ctx, "chord could not be told of its task", "task", e.req.DisplayName(), "id", part.ID, "error", err)
		return nil, nil
	}
	return joined, err
}

// complete sends the body of a chord, or fails it: when a task of the header has failed, and when it can never be sent.
func (e *execution) complete(ctx context.Context, group string, body task.Signature, joined *result.Joined) error {
	for _, part := range joined.Parts {
		if part.State.Exceptional() {
			reason := e.w.exceptionRepr(part.Err())
			return e.failBody(ctx, body, &chordError{fmt.Sprintf("Dependency %s raised %s", part.ID, reason)})
		}
	}
	origin := workflow.After(e.req)
	origin.ID = group // any task of the header may be the last one
	plan := workflow.New(origin)
	values, err := e.values(joined)
	if err == nil {
		_, err = plan.Start(body, values)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", result.ErrInvalid, err)
	} else {
		stake(plan.Calls)
		err = e.carryOut(ctx, plan)
	}
	if err != nil && never(ctx, err) {
		e.w.log.ErrorContext(ctx, "body of a chord could not be sent", "task", body.Task, "id", body.ID, "error", err)
		return e.failBody(ctx, body, &chordError{"Callback error: " + e.w.exceptionRepr(err)})
	}
	return err
}

// failBody is the end of a chord whose body never runs: its errbacks are called, and all that waits for it learns why
// (celery/backends/base.py, chord_error_from_stack).
func (e *execution) failBody(ctx context.Context, body task.Signature, why error) error {
	e.w.log.ErrorContext(ctx, "chord failed", "task", body.Task, "id", body.ID, "error", e.w.exceptionRepr(why))
	failed := e.known(task.Failure)
	failed.Result, failed.DoneAt = e.w.exception(why), time.Now().UTC()
	lost, err := e.letDown(ctx, failed, body)
	if err != nil {
		return err
	}
	for _, s := range lost {
		origin := workflow.Origin{ID: s.ID, ParentID: s.ID, RootID: workflow.After(e.req).RootID, ReplyTo: e.req.ReplyTo}
		request := task.FailedRequest{ID: s.ID, Task: s.Task, RootID: origin.RootID, ParentID: s.ParentID, Group: s.GroupID}
		if err := e.callErrbacks(ctx, failedTask{origin, request, failed}, s.LinkError); err != nil {
			return err
		}
	}
	return nil
}

// values is the body's argument: the results in the order of the header and in its structure, and behind them those that were added.
func (e *execution) values(joined *result.Joined) (codec.Raw, error) {
	byID := make(map[string]any, len(joined.Parts))
	list := make([]any, len(joined.Parts))
	for i, part := range joined.Parts {
		v, err := e.value(part)
		if err != nil {
			return nil, fmt.Errorf("result of %s: %w", part.ID, err)
		}
		list[i], byID[part.ID] = v, v
	}
	if joined.Header != nil {
		inside := map[string]bool{}
		nested := structured(*joined.Header, byID, inside)
		for i, part := range joined.Parts {
			if !inside[part.ID] {
				nested = append(nested, list[i])
			}
		}
		list = nested
	}
	return encode(e.req.Codec, list)
}

// value is one result as the codec of the request's message takes it.
func (e *execution) value(part task.Meta) (value any, err error) {
	if len(part.Result) == 0 {
		return nil, nil
	}
	var kept codec.Codec = codec.JSON{}
	if part.Codec != nil {
		kept = part.Codec
	}
	if kept.ContentType() == e.req.Codec.ContentType() {
		return part.Result, nil
	}
	err = kept.Unmarshal(part.Result, &value)
	return value, err
}

func structured(group task.Ref, byID map[string]any, inside map[string]bool) []any {
	list := make([]any, len(group.Members))
	for i, m := range group.Members {
		if m.Group {
			list[i] = structured(m, byID, inside)
			continue
		}
		list[i], inside[m.ID] = byID[m.ID], true
	}
	return list
}

// headerClaim tells the messages of a chord's body, or of its errbacks, apart: a chord may have been completed twice, by workers that died before they could
// say that it was, and one message of each call counts.
const headerClaim = "taskq_claim"

// stake puts a claim on calls.
func stake(calls []task.Signature) {
	claim := uuid.NewString()
	for i, s := range calls {
		headers := maps.Clone(s.Headers)
		if headers == nil {
			headers = map[string]any{}
		}
		headers[headerClaim] = claim
		calls[i].Headers = headers
	}
}

// claimID is what a body is claimed under. A chord that takes the place of a body has one with the same id, which is not a second message
// of the first.
func claimID(req *task.Request) string {
	if req.ReplacedNesting == 0 {
		return req.ID
	}
	return fmt.Sprintf("%s/%d", req.ID, req.ReplacedNesting)
}

// claimed reports whether the request counts: it does unless it is a chord's body, and another message of it counts. That one is dropped.
// While the store does not answer, the request waits.
func (w *Worker) claimed(ctx context.Context, e *execution) bool {
	claim, _ := e.req.Headers[headerClaim].(string)
	joiner, counts := w.cfg.Results.(result.Joiner)
	if claim == "" || !counts {
		return true
	}
	attempt, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	mine, err := joiner.ClaimBody(attempt, claimID(e.req), claim)
	switch {
	case err != nil && !isFinal(err) && ctx.Err() == nil:
		w.log.WarnContext(ctx, "body of a chord could not be claimed and waits", "task", e.req.DisplayName(), "id", e.req.ID, "error", err)
		if e.claim() {
			e.standBack(ctx, w.comeAgain(ctx, e))
		}
		return false
	case err != nil && !errors.Is(err, result.ErrInvalid): // the worker stops
		e.giveBack()
		return false
	case err == nil && !mine:
		if !e.claim() {
			return false
		}
		w.log.InfoContext(ctx, "body of a chord was sent twice: this message was dropped", "task", e.req.DisplayName(), "id", e.req.ID)
		e.disown()                                   // what the call holds is the other one's
		_ = w.settleDelivery(e.delivery, broker.Ack) // counted there
		e.drop()
		return false
	}
	return true
}

// chordError is the failure of a chord's body that never runs.
type chordError struct{ text string }

func (e *chordError) Error() string { return e.text }

// PythonException implements task.Raiser.
func (e *chordError) PythonException() task.Exception {
	return task.Exception{Type: "ChordError", Module: "celery.exceptions", Message: []any{e.text}}
}
