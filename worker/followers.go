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
	"github.com/seed-399731e2/taskq/task"
)

// readFollowers reads them. The error wraps errors.ErrUnsupported when they are more than this worker can do; what could be read is
// returned with it.
func (w *Worker) readFollowers(req *task.Request) (f workflow.Followers, err error) {
	if req.Embed.IsEmpty() {
		return f, nil // most tasks have none
	}
	read := func(part string, raw codec.Raw) []task.Signature {
		list, bad := wire.DecodeSignatures(raw, req.Codec)
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", part, bad))
		}
		return list
	}
	f.Errbacks = read("errbacks", req.Embed.Errbacks)
	f.Chain = read("chain", req.Embed.Chain)
	slices.Reverse(f.Chain)
	f.Links = read("callbacks", req.Embed.Callbacks)
	if req.Embed.Chord != nil {
		body, bad := wire.DecodeSignature(req.Embed.Chord, req.Codec)
		if bad != nil {
			return f, errors.Join(err, fmt.Errorf("chord: %w", bad))
		}
		f.Chord = &body
	}
	if err != nil {
		return f, err
	}
	try := workflow.New(workflow.After(req)) // it shows what cannot be done before the task runs
	err = errors.Join(try.Succeed(f, codec.Raw("null")), try.Fail(f, codec.Raw("null")))
	counted := func(s task.Signature) bool { return s.Chord != nil }
	if f.Chord != nil || len(try.Chords) > 0 || slices.ContainsFunc(try.Calls, counted) {
		err = errors.Join(err, w.checkChords())
	}
	return f, err
}

// follow publishes what follows the task, for a verdict that is not a failure: its next try, or what is linked to its success. When
// that is impossible for good, the task has failed.
func (e *execution) follow(ctx context.Context, v verdict) verdict {
	var err error
	what := "what follows the task"
	switch {
	case v.replacement != nil:
		what, err = "what takes the task's place", e.publishReplacement(ctx, *v.replacement)
	case v.state == task.Retried:
		what, err = "the retry", e.publishRetry(ctx, v)
	case v.state == task.Success:
		err = e.publishFollowers(ctx)
	}
	switch {
	case err == nil:
		return v
	case ctx.Err() != nil || !isFinal(err): // the worker stops
		return verdict{disposition: broker.Requeue, err: err}
	}
	err = fmt.Errorf("%s could not be published: %w", what, err)
	if v.replacement == nil {
		err = errors.Join(v.err, err)
	}
	return failure(err, &e.spec.Settings)
}

func (e *execution) publishFollowers(ctx context.Context) error {
	if !e.isFollowed() {
		return nil
	}
	plan := workflow.New(workflow.After(e.req))
	if err := plan.Succeed(e.Followers, e.handed); err != nil {
		return fmt.Errorf("%w: %w", broker.ErrInvalid, err)
	}
	return e.carryOut(ctx, plan)
}

// carryOut does what was planned: the chords are noted before a task of theirs is on its way.
func (e *execution) carryOut(ctx context.Context, plan *workflow.Plan) error {
	for _, c := range plan.Chords {
		if err := e.openChord(ctx, plan, c); err != nil {
			return err
		}
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
