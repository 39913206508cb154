package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// readFollowers reads them. The error wraps errors.ErrUnsupported when they are more than a worker can do; what could be read is
// returned with it.
func readFollowers(req *task.Request) (f workflow.Followers, err error) {
	if f.Errbacks, err = wire.DecodeSignatures(req.Embed.Errbacks, req.Codec); err != nil {
		return f, fmt.Errorf("errbacks: %w", err)
	}
	if f.Chain, err = wire.DecodeSignatures(req.Embed.Chain, req.Codec); err != nil {
		return f, fmt.Errorf("chain: %w", err)
	}
	slices.Reverse(f.Chain)
	if f.Links, err = wire.DecodeSignatures(req.Embed.Callbacks, req.Codec); err != nil {
		return f, fmt.Errorf("callbacks: %w", err)
	}
	if req.Embed.Chord != nil {
		return f, fmt.Errorf("a chord is no workflow that this version of taskq advances: %w", errors.ErrUnsupported)
	}
	try := workflow.New(workflow.After(req)) // it shows what cannot be done before the task runs
	return f, errors.Join(try.Succeed(f, codec.Raw("null")), try.Fail(f, codec.Raw("null")), withoutChords(try))
}

// withoutChords refuses a plan with tasks that a chord waits for.
func withoutChords(p *workflow.Plan) error {
	counted := func(s task.Signature) bool { return s.Chord != nil }
	if len(p.Chords) > 0 || slices.ContainsFunc(p.Calls, counted) {
		return fmt.Errorf("a chord is no workflow that this version of taskq advances: %w", errors.ErrUnsupported)
	}
	return nil
}

// follow publishes what follows the task, for a verdict that is not a failure: its next try, or what is linked to its success. When
// that is impossible for good, the task has failed.
func (e *execution) follow(ctx context.Context, v verdict, result any) verdict {
	var err error
	what := "what follows the task"
	switch v.state {
	case task.Retried:
		what, err = "the retry", e.publishRetry(ctx, v)
	case task.Success:
		if e.result, err = encode(codec.JSON{}, result); err != nil { // found out before anything has been sent
			return verdict{state: task.Failure, err: &encodeError{err}, disposition: v.disposition}
		}
		err = e.publishFollowers(ctx, result)
	}
	switch {
	case err == nil:
		return v
	case ctx.Err() != nil || !isFinal(err): // the worker stops
		return verdict{disposition: broker.Requeue, err: err}
	}
	return failure(errors.Join(v.err, fmt.Errorf("%s could not be published: %w", what, err)), &e.spec.Settings)
}

// encode encodes a result. A panic, of a type's own MarshalJSON say, is an error: it must not end the worker.
func encode(c codec.Codec, result any) (raw codec.Raw, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &task.PanicError{Value: v}
		}
	}()
	return c.Marshal(result)
}

func (e *execution) publishFollowers(ctx context.Context, result any) error {
	if len(e.Links)+len(e.Chain) == 0 {
		return nil
	}
	encoded, err := encode(e.req.Codec, result)
	plan := workflow.New(workflow.After(e.req))
	if err == nil {
		err = plan.Succeed(e.Followers, encoded)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrInvalid, err)
	}
	if err := e.publishAll(ctx, plan.Calls); err != nil {
		return err
	}
	e.trail.Add(plan.Trail...)
	return nil
}

// publishAll sends calls, a few one after the other, many several at a time: a broker confirms those at the cost of little more than one.
func (e *execution) publishAll(ctx context.Context, calls []task.Signature) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(min(1+len(calls)/publishAtOnce, publishAtOnce))
	for _, s := range calls {
		group.Go(func() error { return e.publish(ctx, s) })
	}
	return group.Wait()
}

// publish sends one of the calls that follow.
func (e *execution) publish(ctx context.Context, s task.Signature) error {
	s.ETA, s.Expires = s.Times(time.Now())
	return e.w.persist(ctx, "what follows could not be published", e.req, func(ctx context.Context) error {
		if err := e.w.cfg.Send(task.WithRequest(ctx, e.req), s, e.req.Codec); err != nil {
			return fmt.Errorf("%s: %w", s.Task, err)
		}
		return nil
	})
}

// send publishes a call without an application: to its queue, or else to the first one that the worker consumes.
func (w *Worker) send(ctx context.Context, s task.Signature, args codec.Codec) error {
	now := time.Now()
	out := wire.Outgoing{Signature: s, Now: now, Origin: w.cfg.Hostname, Codec: args}
	if req := task.FromContext(ctx); req != nil {
		out.Envelope = req.Envelope
	}
	msg, err := wire.Encode(out)
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrInvalid, err)
	}
	return w.publishLater(ctx, broker.Address{RoutingKey: cmp.Or(s.Queue, w.home())}, msg, s.ETA.Sub(now))
}

// home is where calls go that name no queue.
func (w *Worker) home() string {
	if len(w.cfg.Queues) == 0 {
		return w.consumed[0].queue // there are broadcasts only
	}
	return w.cfg.Queues[0]
}

// fail tells those who wait for others of a failed task: each step of the chain that is left has failed with it, and the errbacks are
// called (celery/backends/base.py, mark_as_failure).
func (e *execution) fail(ctx context.Context, meta task.Meta) error {
	for _, s := range e.Chain {
		if err := e.failStep(ctx, meta, s); err != nil {
			return err
		}
	}
	if len(e.Errbacks) == 0 {
		return nil
	}
	plan := workflow.New(workflow.After(e.req))
	id, err := e.req.Codec.Marshal(e.req.ID)
	if err == nil {
		err = errors.Join(plan.Fail(e.Followers, id), withoutChords(plan))
	}
	if err != nil {
		e.uncalled(ctx, err)
		return nil
	}
	for _, s := range plan.Calls {
		err := e.publish(ctx, s)
		switch {
		case err == nil:
		case ctx.Err() != nil || !isFinal(err):
			return err
		default:
			e.uncalled(ctx, err)
		}
	}
	return nil
}

// uncalled reports an errback that can never be called: the task has failed, and there is nobody else to tell.
func (e *execution) uncalled(ctx context.Context, err error) {
	e.w.log.ErrorContext(ctx, "errback could not be called", "task", e.req.DisplayName(), "id", e.req.ID, "error", err)
}

// failStep stores the failure for a step of the chain, and for the tasks that it stands for: nobody else will.
func (e *execution) failStep(ctx context.Context, meta task.Meta, s task.Signature) error {
	if s.ID != "" {
		meta.ID, meta.CorrelationID, meta.ReplyTo = s.ID, s.ID, s.ReplyTo
		meta.GroupID, meta.ParentID, meta.Children = s.GroupID, s.ParentID, []task.Ref{}
		if meta.Extended != nil {
			meta.Extended = called(s, e.req.Codec)
		}
		if err := e.store(ctx, meta); err != nil && !errors.Is(err, result.ErrInvalid) { // that one the task's own failure has shown
			return err
		}
	}
	parts := s.Tasks
	if s.Type == "chord" { // its header does not wait for anything
		parts = nil
		if s.Body != nil {
			parts = []task.Signature{*s.Body}
		}
	}
	for _, part := range parts {
		if err := e.failStep(ctx, meta, part); err != nil {
			return err
		}
	}
	return nil
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
