package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/internal/revokes"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// revokedTasks is what this worker knows of revoked tasks.
type revokedTasks struct {
	ids     *revokes.Set
	stamps  *revokes.Set // by stampKey
	path    string       // of the file that keeps them; "" is none
	clock   *control.Clock
	changed chan struct{} // something is to be saved; buffered
}

// ErrStateDB is wrapped by the error of New for a state file (Options.StateDB) that cannot be read or written.
var ErrStateDB = errors.New("state file")

// load reads what an earlier run has kept, and tries whether this one can keep anything.
func (r *revokedTasks) load(cfg *Config) error {
	*r = revokedTasks{
		ids:    revokes.NewSet(cfg.RevokesMax, cfg.RevokeExpires),
		stamps: revokes.NewSet(cfg.RevokesMax, cfg.RevokeExpires),
		path:   cfg.StateDB, clock: cfg.Clock, changed: make(chan struct{}, 1),
	}
	err := r.save()
	switch {
	case errors.Is(err, revokes.ErrForeign):
		return fmt.Errorf("worker: %w: %w; move it away, or name another one with --statedb", ErrStateDB, err)
	case err != nil:
		return fmt.Errorf("worker: %w: %w; make the place writable, or name another one with --statedb", ErrStateDB, err)
	}
	return nil
}

// save writes the file, with what is in it already: workers that share one lose nothing of each other's.
func (r *revokedTasks) save() error {
	if r.path == "" {
		return nil
	}
	kept, err := revokes.Load(r.path)
	if err != nil {
		return err
	}
	r.clock.Adjust(int64(kept.Clock))
	for _, e := range kept.Revoked {
		r.ids.Add(e.Key, e.At)
	}
	for _, e := range kept.Stamps {
		r.stamps.Add(e.Key, e.At)
	}
	return revokes.Save(r.path, revokes.State{Clock: r.clock.Forward(), Revoked: r.ids.Entries(), Stamps: r.stamps.Entries()})
}

// note says that something is to be saved.
func (r *revokedTasks) note() {
	select {
	case r.changed <- struct{}{}:
	default: // it will be
	}
}

// saveDelay lets revokes that come together be saved together.
const saveDelay = time.Second

// keep saves what changes until ctx ends, and once more then.
func (r *revokedTasks) keep(ctx context.Context, w *Worker) {
	for ctx.Err() == nil {
		select {
		case <-r.changed:
			pause(ctx, saveDelay)
		case <-ctx.Done():
		}
		if err := r.save(); err != nil {
			w.log.ErrorContext(ctx, "what was revoked could not be saved", "error", err)
		}
	}
}

// stampKey is what a stamp is remembered by.
func stampKey(name string, value any) string {
	key, err := codec.JSON{}.Marshal([]any{name, value})
	if err != nil { // no command can have named it either
		return ""
	}
	return string(key)
}

// isRevoked reports whether the task of the execution was revoked, by its id or by a stamp.
func (w *Worker) isRevoked(e *execution) bool {
	if w.revoked.ids.Has(e.req.ID) {
		return true
	}
	_, _, stamped := w.revokedStamp(e.req)
	return stamped
}

// revokedStamp returns the stamp that the request was revoked by.
func (w *Worker) revokedStamp(req *task.Request) (name string, value any, ok bool) {
	for _, name := range req.StampedHeaders {
		values, several := req.Stamps[name].([]any)
		if !several {
			values = []any{req.Stamps[name]}
		}
		for _, value := range values {
			if w.revoked.stamps.Has(stampKey(name, value)) {
				return name, value, true
			}
		}
	}
	return "", nil, false
}

// discard settles a request that was revoked before it ran: REVOKED for its caller. What should have followed does not, and nobody is
// told, as in Celery (celery/backends/base.py, mark_as_revoked).
func (e *execution) discard(ctx context.Context) {
	if !e.claim() {
		return
	}
	log := e.w.log.With("task", e.req.DisplayName(), "id", e.req.ID)
	if name, value, ok := e.w.revokedStamp(e.req); ok && !e.w.revoked.ids.Has(e.req.ID) {
		log = log.With("stamp", task.Repr(map[string]any{name: value}))
	}
	log.InfoContext(ctx, "task revoked")
	e.finish(verdict{state: task.Revoked, err: &revoked{"revoked"}, disposition: broker.Ack})
}

// markWait bounds how long marking may take, markMost how many tasks of a command are marked, and markAtOnce of how many commands: the
// rest are when their messages come.
const (
	markWait   = 10 * time.Second
	markMost   = 1000
	markAtOnce = 16
)

// markSoon marks tasks of a command while the worker goes on.
func (w *Worker) markSoon(ctx context.Context, ids []string) {
	select {
	case w.marking <- struct{}{}:
		w.loops.Go(func() {
			defer func() { <-w.marking }()
			w.markRevoked(ctx, ids)
		})
	default: // a store that is slow or away must not let them add up
	}
}

// markRevoked stores REVOKED for tasks that may not come for long, so that nobody waits for them: Celery does so since 5.6. What has
// ended or begun stays as it is. Where outcomes are messages, nobody knows yet where to send one.
func (w *Worker) markRevoked(ctx context.Context, ids []string) {
	store := w.cfg.Results
	if _, answers := store.(result.Replier); answers || store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, markWait)
	defer cancel()
	for _, id := range ids[:min(len(ids), markMost)] {
		if len(w.running.of(id)) > 0 {
			continue
		}
		meta, err := store.Get(ctx, id)
		if err == nil && !meta.State.Ready() && meta.State != task.Started {
			err = store.Store(ctx, task.Meta{
				ID: id, CorrelationID: id, State: task.Revoked, Result: w.exception(&revoked{"revoked"}), DoneAt: time.Now().UTC(),
				GroupID: meta.GroupID, ParentID: meta.ParentID, Children: meta.Children,
			})
		}
		if err != nil {
			w.log.WarnContext(ctx, "revoked task could not be marked; it is when its message comes", "id", id, "error", err)
			return
		}
	}
}

// flag notes ids as revoked now, and returns each of them once.
func (r *revokedTasks) flag(ids []string) []string {
	now, once := time.Now(), []string{}
	seen := map[string]bool{}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			r.ids.Add(id, now)
			once = append(once, id)
		}
	}
	r.note()
	return once
}

// flagStamps notes stamps as revoked now.
func (r *revokedTasks) flagStamps(stamps map[string]any) {
	now := time.Now()
	for name, value := range stamps {
		for _, v := range listed(value) {
			r.stamps.Add(stampKey(name, v), now)
		}
	}
	r.note()
}

// listed makes a list of a value that may be one already.
func listed(value any) []any {
	if list, ok := value.([]any); ok {
		return list
	}
	return []any{value}
}

// matching returns the stamp of the request that is among those.
func matching(req *task.Request, stamps map[string]any) (name string, value any, ok bool) {
	for _, name := range req.StampedHeaders {
		asked, ok := stamps[name]
		if !ok {
			continue
		}
		for _, value := range listed(req.Stamps[name]) {
			for _, one := range listed(asked) {
				if stampKey(name, value) == stampKey(name, one) {
					return name, value, true
				}
			}
		}
	}
	return "", nil, false
}
