package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

const (
	chordUnlock = "celery.chord_unlock"
	// unlockEvery is how often the header of a chord is looked at, where the call does not say (Celery's result_chord_retry_interval).
	unlockEvery = time.Second
	claimHeader = "taskq_claim" // tells the messages of a body that was sent twice from each other
)

// unlocking are the arguments of celery.chord_unlock: which chord, what follows it, and the result tuples of its header.
type unlocking struct {
	GroupID    string      `task:"group_id"`
	Callback   codec.Raw   `task:"callback"`
	Interval   *float64    `task:"interval,optional"`
	MaxRetries *int        `task:"max_retries,optional"`
	Result     []codec.Raw `task:"result,optional"`

	body   task.Signature
	header task.Ref
}

// readUnlocking reads them. What other versions of Celery say besides is left out, as its own **kwargs do.
func readUnlocking(req *task.Request) (u unlocking, err error) {
	a := req.Arguments
	a.Args = a.Args[:min(len(a.Args), 5)]
	a.Kwargs = map[string]codec.Raw{}
	for _, name := range []string{"group_id", "callback", "interval", "max_retries", "result"} {
		if raw, ok := req.Kwargs[name]; ok {
			a.Kwargs[name] = raw
		}
	}
	if err = a.Decode(&u); err != nil {
		return u, err
	}
	if u.body, err = wire.DecodeSignature(u.Callback, req.Codec); err != nil {
		return u, noSignature(req, "callback", err)
	}
	u.header = task.Ref{ID: u.GroupID, Group: true}
	for _, raw := range u.Result {
		ref, err := wire.DecodeRef(raw, req.Codec)
		if err != nil {
			return u, &task.ArgumentError{Text: fmt.Sprintf("%s: argument result: %v", req.Name, err)}
		}
		u.header.Members = append(u.header.Members, ref)
	}
	return u, nil
}

// wait is the time until the header is looked at again.
func (u *unlocking) wait() time.Duration {
	if u.Interval == nil || *u.Interval <= 0 || *u.Interval > (24*time.Hour).Seconds() {
		return unlockEvery
	}
	return time.Duration(*u.Interval * float64(time.Second))
}

// unlock looks whether all tasks of a chord's header have ended, and has the body follow them: for clients whose result store does not
// count them (celery/app/builtins.py, unlock_chord). Until then the call waits in the broker and not in a slot.
func (w *Worker) unlock(ctx context.Context, req *task.Request) (any, error) {
	u, err := readUnlocking(req)
	if err != nil {
		return nil, task.Permanent(err)
	}
	parts, err := w.headerParts(ctx, u.header)
	switch {
	case err == nil && parts != nil:
		err = executionFrom(ctx).passOn(ctx, &u, parts)
		if err == nil || isFinal(err) {
			return nil, err
		}
	case u.MaxRetries != nil && req.Retries >= *u.MaxRetries:
		why := fmt.Errorf("%w: %d, and tasks of the chord %s have not ended", task.ErrMaxRetries, req.Retries, u.GroupID)
		if err = executionFrom(ctx).failPolled(u.body, &polledError{why.Error()}); err == nil {
			return nil, task.Permanent(why)
		}
	}
	return nil, task.RetryAfter(err, u.wait())
}

// headerParts are the outcomes of the tasks of a header by their ids, nil when not all have ended.
func (w *Worker) headerParts(ctx context.Context, header task.Ref) (map[string]task.Meta, error) {
	parts := map[string]task.Meta{}
	for _, id := range header.Tasks() {
		meta, err := w.cfg.Results.Get(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("worker: outcome of %s: %w", id, err)
		}
		if !meta.State.Ready() && meta.State != "IGNORED" {
			return nil, nil
		}
		parts[id] = meta
	}
	return parts, nil
}

// passOn sends the body with what the tasks of the header have returned, or fails it for the first one that failed. Sent twice, when the
// call is delivered again, it has the same ids.
func (e *execution) passOn(ctx context.Context, u *unlocking, parts map[string]task.Meta) error {
	for _, id := range u.header.Tasks() {
		if meta := parts[id]; meta.State.Exceptional() {
			return e.failPolled(u.body, &polledError{fmt.Sprintf("Dependency %s raised %s", id, e.w.exceptionRepr(meta.Err()))})
		}
	}
	values, err := valueOf(u.header, parts, e.req.Codec)
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrInvalid, err)
	}
	list, err := encode(e.req.Codec, values)
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrInvalid, err)
	}
	origin := workflow.After(e.req)
	origin.ID = u.GroupID
	plan := workflow.New(origin)
	if _, err := plan.Start(u.body, list); err != nil {
		return errors.Join(e.failPolled(u.body, &polledError{"Callback error: " + err.Error()}), fmt.Errorf("%w: %w", broker.ErrInvalid, err))
	}
	if _, ok := e.w.cfg.Results.(result.Joiner); ok {
		claim := uuid.NewString()
		for i := range plan.Calls {
			task.Header(claimHeader, claim)(&plan.Calls[i].CallOptions)
		}
	}
	return e.startPlan(ctx, plan)
}

// valueOf is what the tasks of a reference have returned, as lists in the structure of its groups.
func valueOf(ref task.Ref, parts map[string]task.Meta, c codec.Codec) (any, error) {
	if ref.Group {
		list := make([]any, len(ref.Members))
		for i, member := range ref.Members {
			var err error
			if list[i], err = valueOf(member, parts, c); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	meta := parts[ref.ID]
	json := (codec.JSON{}).ContentType()
	switch {
	case meta.State != task.Success: // it was ignored
		return nil, nil
	case c.ContentType() == json && (meta.Codec == nil || meta.Codec.ContentType() == json):
		return meta.Result, nil
	}
	var value any
	if err := meta.Value(&value); err != nil {
		return nil, fmt.Errorf("result of %s: %w", ref.ID, err)
	}
	return value, nil
}

// failPolled makes the failure of a chord that of its body, which never runs: for those who wait for it and for what was to follow it.
func (e *execution) failPolled(body task.Signature, why error) error {
	req := &task.Request{
		ID: body.ID, Name: body.Task, RootID: e.req.RootID, ParentID: body.ParentID, Group: body.GroupID, GroupIndex: body.GroupIndex,
		ReplyTo: body.ReplyTo, CorrelationID: body.ID, IgnoreResult: body.IgnoreResult, Hostname: e.req.Hostname,
		Arguments: task.Arguments{Codec: e.req.Codec}, Envelope: e.req.Envelope, Queue: e.req.Queue,
	}
	never := &execution{w: e.w, delivery: e.delivery, req: req}
	never.Errbacks, never.Chord = body.LinkError, body.Chord
	never.Chain = slices.Concat(partsOf(body), body.Chain)
	if body.ID == "" {
		req.IgnoreResult = true // nobody can ask for it
	}
	e.w.log.ErrorContext(e.w.settling, "chord failed", "task", body.Task, "id", body.ID, "error", why)
	_, v := never.keep(e.w.settling, verdict{state: task.Failure, err: why, disposition: broker.Ack})
	if v.disposition == broker.Requeue {
		return v.err
	}
	return nil
}

// partsOf are the calls that a workflow stands for, and that fail with it.
func partsOf(s task.Signature) []task.Signature {
	if s.Type == "chord" && s.Body != nil {
		return []task.Signature{*s.Body}
	}
	return s.Tasks
}

// polledError is the failure of a chord's body whose header failed.
type polledError struct{ text string }

func (e *polledError) Error() string { return e.text }

// PythonException implements task.Raiser.
func (e *polledError) PythonException() task.Exception {
	return task.Exception{Type: "ChordError", Module: "celery.exceptions", Message: []any{e.text}}
}

// unlocks reports whether this worker can see the outcomes of others, for celery.chord_unlock. One without a store, or whose answers are
// messages, leaves such a call to another worker of the queue: it waits in the broker, and comes to whoever takes it next.
func (w *Worker) unlocks(ctx context.Context, e *execution) bool {
	_, blind := w.cfg.Results.(result.Replier)
	if e.spec != w.builtin[chordUnlock] || w.cfg.Results != nil && !blind {
		return true
	}
	w.blind.Do(func() {
		w.log.WarnContext(ctx, "chords of this queue wait for a worker that can look outcomes up: this one has no result store, or rpc, that tells those of others",
			"task", chordUnlock, "id", e.req.ID, "queue", e.req.Queue)
	})
	if e.claim() {
		u, _ := readUnlocking(e.req) // whoever runs it says what is wrong with it
		e.standBack(ctx, hindrance{wait: u.wait()})
	}
	return false
}
