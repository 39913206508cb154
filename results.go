package taskq

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// Result returns the handle of a task that was sent earlier or elsewhere; ResultOf one with the type of its value. With rpc:// only the
// process that sent a task can read its outcome.
func (a *App) Result(id string) *task.Result[any] {
	return task.NewResult[any](id, lookup{app: a})
}

// ResultOf returns the handle of a task with a result of type R, as App.Result does.
func ResultOf[R any](a *App, id string) *task.Result[R] {
	return task.NewResult[R](id, lookup{app: a})
}

// Group returns the handle of a group that was saved under the id, by SaveGroup or by Celery's GroupResult.save; its value is the list of
// its members' values. It returns task.ErrUnknownGroup when there is none, and errors.ErrUnsupported when the result store keeps no
// groups, as rpc://.
func (a *App) Group(ctx context.Context, id string) (*task.Result[any], error) {
	results := lookup{app: a}
	groups, err := results.groups(ctx, id)
	if err != nil {
		return nil, err
	}
	ref, found, err := groups.Group(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("taskq: group %s: %w", id, task.ErrUnknownGroup)
	}
	return task.ResultAt[any](ref, results), nil
}

// SaveGroup keeps which tasks a group has, and what came before it, under its id, so that Group finds it, here or elsewhere (Celery's
// GroupResult.save). group is a *task.Result of any type. It returns errors.ErrUnsupported when the result store keeps no groups.
func (a *App) SaveGroup(ctx context.Context, group interface{ Ref() task.Ref }) error {
	ref := group.Ref()
	if !ref.Group {
		return fmt.Errorf("taskq: save %s: it is no group; of a chord, the header is the Parent of the result: %w", ref.ID, errors.ErrUnsupported)
	}
	groups, err := lookup{app: a}.groups(ctx, ref.ID)
	if err != nil {
		return err
	}
	return groups.SaveGroup(ctx, ref)
}

// ForgetGroup deletes what SaveGroup has kept (Celery's GroupResult.delete); a group that is not there is no error. The outcomes of its
// tasks stay: those Result.Forget deletes.
func (a *App) ForgetGroup(ctx context.Context, id string) error {
	groups, err := lookup{app: a}.groups(ctx, id)
	if err != nil {
		return err
	}
	return groups.ForgetGroup(ctx, id)
}

// result is the handle of a call that was sent.
func (a *App) result(c *call) *task.Result[any] {
	results := lookup{app: a}
	switch {
	case c.mute != nil:
		results.mute = c.mute
	case c.IgnoreResult:
		results.mute = task.ErrResultIgnored
	case c.results == nil && c.ReplyTo != "":
		results.mute = elsewhereError(c.ReplyTo)
	case c.results == nil:
		results.mute = task.ErrNoResults
	}
	return task.NewResult[any](c.ID, results)
}

// elsewhereError says that the outcome goes to the queue. It is put into words only when somebody asks for the outcome.
type elsewhereError string

// Error implements error.
func (queue elsewhereError) Error() string {
	return fmt.Sprintf("taskq: the outcome goes to the queue %s, as ReplyTo says: %v", string(queue), task.ErrNoResults)
}

// Unwrap returns task.ErrNoResults.
func (elsewhereError) Unwrap() error { return task.ErrNoResults }

// resultOf is the handle of a workflow that was sent.
func (a *App) resultOf(ctx context.Context, w *shipment) *task.Result[any] {
	results := lookup{app: a}
	switch replyTo := w.signature.ReplyTo; {
	case w.mute != nil:
		results.mute = w.mute
	case !a.keepsResults():
		results.mute = task.ErrNoResults
	case replyTo != "" && a.answered():
		results.mute = fmt.Errorf("taskq: the outcomes go to the queue %s, as ReplyTo says: %w", replyTo, task.ErrNoResults)
	}
	return task.ResultAt[any](w.ref, workflowLookup{results, a.ignored(ctx, w.plan)})
}

// ignored returns the ids of a workflow's tasks whose outcomes are not kept. Of those that workers will send it is known as far as they
// have the same configuration.
func (a *App) ignored(ctx context.Context, plan *workflow.Plan) map[string]bool {
	known := map[string]bool{}
	var look func(s *task.Signature)
	look = func(s *task.Signature) {
		if s == nil {
			return
		}
		if _, twice := known[s.ID]; twice && s.ID != "" {
			return
		}
		d, _ := a.destination(ctx, *s)
		known[s.ID] = d.Call.IgnoreResult && s.Type == ""
		for _, list := range [][]task.Signature{s.Tasks, s.Chain} {
			for i := range list {
				look(&list[i])
			}
		}
		look(s.Chord)
		look(s.Body)
	}
	for i := range plan.Calls {
		look(&plan.Calls[i])
	}
	maps.DeleteFunc(known, func(_ string, ignored bool) bool { return !ignored })
	return known
}

// workflowLookup is lookup for the tasks of a workflow, some of whose outcomes nobody keeps.
type workflowLookup struct {
	lookup
	ignored map[string]bool // by id
}

func (l workflowLookup) of(id string) lookup {
	one := l.lookup
	if one.mute == nil && l.ignored[id] {
		one.mute = task.ErrResultIgnored
	}
	return one
}

// Wait implements task.Results.
func (l workflowLookup) Wait(ctx context.Context, id string) (task.Meta, error) {
	return l.of(id).Wait(ctx, id)
}

// Watch implements task.Results.
func (l workflowLookup) Watch(ctx context.Context, id string, yield func(task.Meta) bool) error {
	return l.of(id).Watch(ctx, id, yield)
}

// lookup is the application's result store as task.Results, connected on first use.
type lookup struct {
	app  *App
	mute error // why no outcome will come; nil when one will
}

var _ task.Revoker = lookup{}

func (l lookup) store(ctx context.Context) (result.Backend, error) {
	store, err := l.app.Results(ctx)
	if err == nil && store == nil {
		err = fmt.Errorf("taskq: %w", task.ErrNoResults)
	}
	return store, err
}

// groups is the result store, which keeps the group of this id or might.
func (l lookup) groups(ctx context.Context, id string) (result.GroupStore, error) {
	store, err := l.store(ctx)
	if err != nil {
		return nil, err
	}
	groups, ok := store.(result.GroupStore)
	if !ok {
		return nil, fmt.Errorf("taskq: group %s: this result store keeps no groups: %w", id, errors.ErrUnsupported)
	}
	return groups, nil
}

// read gives an outcome the application's view of exceptions.
func (l lookup) read(meta task.Meta) task.Meta {
	meta.Exceptions = l.app.cfg.Exceptions
	return meta
}

// Get implements task.Results.
func (l lookup) Get(ctx context.Context, id string) (task.Meta, error) {
	store, err := l.store(ctx)
	if err != nil {
		return task.Meta{}, err
	}
	meta, err := store.Get(ctx, id)
	return l.read(meta), err
}

// awaited is the store for those who wait: only where something will come.
func (l lookup) awaited(ctx context.Context, id string) (result.Backend, error) {
	if l.mute != nil {
		return nil, fmt.Errorf("taskq: result of %s: %w", id, l.mute)
	}
	return l.store(ctx)
}

// Wait implements task.Results.
func (l lookup) Wait(ctx context.Context, id string) (task.Meta, error) {
	store, err := l.awaited(ctx, id)
	if err != nil {
		return task.Meta{}, err
	}
	meta, err := store.Wait(ctx, id)
	return l.read(meta), err
}

// Watch implements task.Results.
func (l lookup) Watch(ctx context.Context, id string, yield func(task.Meta) bool) error {
	store, err := l.awaited(ctx, id)
	if err != nil {
		return err
	}
	return store.Watch(ctx, id, func(meta task.Meta) bool { return yield(l.read(meta)) })
}

// Forget implements task.Results.
func (l lookup) Forget(ctx context.Context, id string) error {
	store, err := l.store(ctx)
	if err != nil {
		return err
	}
	return store.Forget(ctx, id)
}

// Revoke implements task.Revoker.
func (l lookup) Revoke(ctx context.Context, ids []string, how task.Revocation) error {
	return l.app.cast(ctx, control.Revoke(ids, how), len(ids))
}
