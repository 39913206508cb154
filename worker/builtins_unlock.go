package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

const (
	chordUnlock = "celery.chord_unlock"
	// unlockEvery is how often the header of a chord is looked at, where the call does not say (Celery's result_chord_retry_interval).
	unlockEvery = time.Second
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
		err = executionFrom(ctx).complete(ctx, u.GroupID, u.body, u.joined(parts))
		if err == nil || isFinal(err) {
			return nil, err
		}
	case u.MaxRetries != nil && req.Retries >= *u.MaxRetries:
		why := fmt.Errorf("%w: %d, and tasks of the chord %s have not ended", task.ErrMaxRetries, req.Retries, u.GroupID)
		if err = executionFrom(ctx).failBody(ctx, u.body, &chordError{why.Error()}); err == nil {
			return nil, task.Permanent(why)
		}
	}
	return nil, task.RetryAfter(err, u.wait())
}

// joined is what came of the header.
func (u *unlocking) joined(parts map[string]task.Meta) *result.Joined {
	j := &result.Joined{Header: &u.header}
	for _, id := range u.header.Tasks() {
		j.Parts = append(j.Parts, parts[id])
	}
	return j
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
