package taskq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// sendWorkflow is Send for what stands for several calls.
func (a *App) sendWorkflow(ctx context.Context, s task.Signature) (*task.Result[any], error) {
	batch := newSending(a, len(s.Tasks))
	batch.plan(ctx, s)
	_ = batch.run(ctx) // what keeps the connection away is an error of each call
	w := batch.workflows[0]
	return w.result, w.err
}

// shipment is a workflow on its way out, as a part of a batch.
type shipment struct {
	app       *App
	signature task.Signature
	plan      *workflow.Plan
	ref       task.Ref
	from, to  int               // its calls in the batch
	started   bool              // from now on some of them may be sent
	noted     int               // how many of its chords are
	unlocks   map[string]string // the ids of what looks after its chords, which is sent first, by group; nil where a store counts
	mute      error             // why nobody will know what comes of it, where it would be kept otherwise

	result *task.Result[any] // nil when nothing was sent
	err    error
}

// plan takes what a workflow starts with into the batch.
func (s *sending) plan(ctx context.Context, signature task.Signature) {
	w := &shipment{app: s.app, signature: signature, from: len(s.batch), to: len(s.batch)}
	s.workflows = append(s.workflows, w)
	replyTo, err := s.replyTo(ctx, w)
	if err == nil {
		w.plan, w.ref, err = s.app.plan(ctx, signature, replyTo)
	}
	if err == nil && replyTo != s.app.oid {
		err = s.app.expectAll(ctx, signature, w.ref)
	}
	if err != nil {
		w.err = sendError(signature.Task, err)
		return
	}
	s.unlock(ctx, w)
	for _, one := range w.plan.Calls {
		s.enter(ctx, one, w)
	}
	w.to = len(s.batch)
}

// plan makes the calls that a workflow starts with, and tells what its result will be.
func (a *App) plan(ctx context.Context, s task.Signature, replyTo string) (*workflow.Plan, task.Ref, error) {
	if err := s.Validate(); err != nil {
		return nil, task.Ref{}, &unsendable{err}
	}
	origin := workflow.Origin{ParentID: s.ParentID, RootID: s.RootID, ReplyTo: replyTo, ErrbacksOnHeader: a.cfg.ErrbacksOnHeader}
	if parent := task.FromContext(ctx); parent != nil {
		origin.ParentID = cmp.Or(origin.ParentID, parent.ID)
		origin.RootID = cmp.Or(origin.RootID, parent.RootID, parent.ID)
	}
	plan := workflow.New(origin)
	ref, err := plan.Start(s)
	if err == nil {
		err = a.allowChords(plan)
	}
	if err != nil {
		return nil, task.Ref{}, &unsendable{err}
	}
	return plan, ref, nil
}

// replyTo returns the queue that the answers to a workflow's calls go to. A transaction is not held up for it longer than for others.
func (s *sending) replyTo(ctx context.Context, w *shipment) (string, error) {
	if s.bounded == nil {
		return s.app.replyQueue(ctx, w.signature)
	}
	queue, err := s.app.replyQueue(s.bounded, w.signature)
	if errors.Is(err, broker.ErrUnavailable) && ctx.Err() == nil {
		w.mute = wasAway(err)
		return s.app.oid, nil
	}
	return queue, err
}

// replyQueue returns the queue that the answers to a workflow's calls go to, those that follow later among them. Where answers are
// messages it is asked for as often as the workflow says.
func (a *App) replyQueue(ctx context.Context, s task.Signature) (string, error) {
	if !a.answered() || s.ReplyTo != "" {
		return cmp.Or(s.ReplyTo, a.oid), nil
	}
	s.FailFast = s.FailFast || s.Publish != nil
	for tries := 0; ; tries++ {
		queue, err := a.openReplies(ctx, s)
		if err == nil || !again(s, err, tries) {
			return queue, tried(err, tries)
		}
		if end := pause(ctx, s.Publish.Wait(tries)); end != nil {
			return "", fmt.Errorf("%w (%w)", tried(err, tries), end)
		}
	}
}

func (a *App) openReplies(ctx context.Context, s task.Signature) (string, error) {
	conn, err := a.connect(ctx)
	if err != nil {
		return "", err
	}
	if prober, ok := conn.broker.(broker.Prober); ok && s.FailFast {
		if err := prober.Probe(); err != nil {
			return "", err
		}
	}
	return conn.results.(result.Replier).Expect(ctx, s.ID)
}

// expectAll makes ready for the outcomes of a workflow's tasks, where they are messages to us.
func (a *App) expectAll(ctx context.Context, s task.Signature, ref task.Ref) error {
	if !a.answered() || s.ReplyTo != "" {
		return nil
	}
	store, err := a.Results(ctx)
	if err != nil {
		return err
	}
	for _, id := range ref.AllTasks() {
		if _, err := store.(result.Replier).Expect(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

var errWithheld = errors.New("another call of the workflow cannot be sent, so nothing of it was")

// withhold keeps the whole workflow back when a call of it cannot be sent, as long as nothing was.
func (w *shipment) withhold(errs []error) {
	if err := w.first(errs); err != nil && !w.started {
		w.fail(errs, fmt.Errorf("%w: %w", errWithheld, err))
	}
}

// first returns the first error of the workflow's calls.
func (w *shipment) first(errs []error) error {
	for _, err := range errs[w.from:w.to] {
		if err != nil {
			return err
		}
	}
	return nil
}

// fail makes err that of all calls that have none.
func (w *shipment) fail(errs []error, err error) {
	for i := w.from; i < w.to; i++ {
		if errs[i] == nil {
			errs[i] = err
		}
	}
}

// start notes the workflow's chords when all of its calls are ready to be sent, and else withholds them.
func (w *shipment) start(ctx context.Context, conn *connection, errs []error) {
	w.withhold(errs)
	if w.started || w.from == w.to || errs[w.from] != nil {
		return
	}
	if err := w.note(ctx, conn.results); err != nil {
		w.fail(errs, sendError(w.signature.Task, err))
		return
	}
	w.started = true
}

// judge says why the workflow was not sent whole, when it was not.
func (w *shipment) judge(errs []error) {
	errs = errs[w.from:w.to]
	if failed := (&task.BatchError{Errors: errs}); w.err == nil && len(failed.Unwrap()) > 0 {
		w.err = sendError(w.signature.Task, failed)
	}
}

// end makes the result of the workflow, when any of it was sent or may have been, and notes it as one child of the task that sent it.
func (w *shipment) end(ctx context.Context, s *sending) {
	errs := s.errs[w.from:w.to]
	sent := slices.ContainsFunc(errs, func(err error) bool { return err == nil || errors.Is(err, broker.ErrUnconfirmed) })
	if sent || w.err == nil { // nothing comes of an empty group
		w.result = s.app.resultOf(ctx, w)
	}
	if !sent || w.signature.Detached {
		return
	}
	first := w.ref
	for first.Parent != nil && len(first.Parent.Tasks()) > 0 { // of what comes one after the other, the first is what was sent
		first = *first.Parent
	}
	first.Parent = nil
	task.TrailFrom(ctx).Add(first)
}
