package taskq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// allowChords refuses chords where nobody could count what their headers have finished: those that start now and, where answers are
// messages to one process, also those that workers would start.
func (a *App) allowChords(plan *workflow.Plan) error {
	rpc := a.answered()
	if len(plan.Chords) > 0 && (rpc || !a.keepsResults()) {
		return errNoCount
	}
	for _, s := range plan.Calls {
		if rpc && chords(s) {
			return errNoCount
		}
	}
	return nil
}

var errNoCount = fmt.Errorf("a chord needs a result store in which its tasks are counted, which rpc:// and disabled:// do not: %w; set result_backend to redis://, "+
	"postgres:// or sqlite:///, for the workers as well", errors.ErrUnsupported)

// chords reports whether a chord is a call, in it, or among what follows it.
func chords(s task.Signature) bool {
	if s.Type == "chord" {
		return true
	}
	for _, list := range [][]task.Signature{s.Tasks, s.Chain, s.Link, s.LinkError} {
		if slices.ContainsFunc(list, chords) {
			return true
		}
	}
	return joins(s.Chain) || s.Type == "chain" && joins(s.Tasks)
}

// joins reports whether a group is followed by a step, which makes them a chord.
func joins(steps []task.Signature) bool {
	return len(steps) > 1 && slices.ContainsFunc(steps[:len(steps)-1], func(s task.Signature) bool { return s.Type == "group" })
}

// keepsResults reports whether outcomes are kept anywhere.
func (a *App) keepsResults() bool {
	return a.cfg.Results != nil || scheme(a.cfg.ResultBackend) != schemeDisabled
}

// counts reports whether the result store counts the tasks of chords, as all that are opened by URL do.
func (a *App) counts() bool {
	_, counts := a.cfg.Results.(result.Joiner)
	return counts || a.cfg.Results == nil
}

// unlock takes calls into the batch that look after the workflow's chords, where the store does not count their tasks. They go where the
// bodies go.
func (s *sending) unlock(ctx context.Context, w *shipment) {
	if s.app.counts() {
		return
	}
	w.unlocks = map[string]string{}
	for _, c := range w.plan.Chords {
		unlock, body := w.plan.Unlock(c), &c.Body
		for len(body.Tasks) > 0 {
			body = &body.Tasks[0]
		}
		if d, err := s.app.destination(ctx, *body); err == nil { // else who sends the body finds out
			unlock.Queue, unlock.Exchange, unlock.RoutingKey = d.Call.Queue, d.Call.Exchange, d.Call.RoutingKey
		}
		w.unlocks[c.Header.ID] = unlock.ID
		s.enter(ctx, unlock, w)
	}
}

// note tells the store of the chords that the workflow starts.
func (w *shipment) note(ctx context.Context, store result.Backend) error {
	joiner, counts := store.(result.Joiner)
	if !counts { // what looks after them is sent with them
		w.noted = len(w.plan.Chords)
		return nil
	}
	for ; w.noted < len(w.plan.Chords); w.noted++ {
		if err := joiner.OpenChord(ctx, w.plan.Chords[w.noted].Header); err != nil {
			w.forget(ctx, w.plan.Chords[:w.noted])
			return fmt.Errorf("note a chord of it: %w", err)
		}
	}
	return nil
}

// giveUp forgets the chords of which a call was not sent: their bodies are never to run. A call that may have been sent is none of these.
func (w *shipment) giveUp(ctx context.Context, s *sending) {
	if w.err == nil || w.noted == 0 {
		return
	}
	lost := map[string]bool{} // by the id of the body
	for i := w.from; i < w.to; i++ {
		if err := s.errs[i]; err != nil && !errors.Is(err, broker.ErrUnconfirmed) {
			bodies(s.batch[i], func(body *task.Signature) { lost[body.ID] = true })
		}
	}
	var chords []workflow.Chord
	for _, c := range w.plan.Chords[:w.noted] {
		if lost[c.Body.ID] {
			chords = append(chords, c)
		}
	}
	if len(chords) == 0 {
		return
	}
	w.err = fmt.Errorf("%w (%d of its chords are given up: their bodies never run, what was sent of their headers does)", w.err, len(chords))
	w.forget(ctx, chords)
}

// bodies goes through the bodies that wait for a call, and for each other.
func bodies(s task.Signature, yield func(*task.Signature)) {
	for body := wire.BodyOf(&s); body != nil; body = wire.BodyOf(body) {
		yield(body)
	}
}

// forgetWait bounds how long a chord that was not sent whole keeps its sender.
const forgetWait = 5 * time.Second

// forget deletes the notes of chords, which expire by themselves otherwise, or revokes what looks after them.
func (w *shipment) forget(ctx context.Context, chords []workflow.Chord) {
	if len(chords) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetWait)
	defer cancel()
	store, err := w.app.Results(ctx)
	joiner, counts := store.(result.Joiner)
	for i := 0; err == nil && counts && i < len(chords); i++ {
		err = joiner.ForgetChord(ctx, chords[i].Header.ID)
	}
	if err == nil && !counts {
		var ids []string
		for _, c := range chords {
			ids = append(ids, w.unlocks[c.Header.ID])
		}
		err = w.app.Revoke(ctx, ids)
	}
	if err != nil {
		w.app.log.WarnContext(ctx, "chords of a workflow that was not sent whole could not be forgotten", "task", w.signature.Task, "error", err)
	}
}
