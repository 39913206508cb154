package task

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Results looks up outcomes by task id. Every result store is one.
type Results interface {
	// Get returns what is known now; State Pending when nothing is.
	Get(ctx context.Context, id string) (Meta, error)
	// Wait returns once the state is final.
	Wait(ctx context.Context, id string) (Meta, error)
	// Watch calls yield with the state that is known, unless it is Pending, and with each later one that the store hears of; states that
	// follow each other quickly may be left out, the final one never is. It returns nil after a final state or once yield returns
	// false, and ctx's error when that ends first.
	Watch(ctx context.Context, id string, yield func(Meta) bool) error
	// Forget deletes the outcome.
	Forget(ctx context.Context, id string) error
}

// Revoker is a Results that can tell the workers not to run tasks. What an application hands out is one.
type Revoker interface {
	Revoke(ctx context.Context, ids []string, how Revocation) error
}

// Errors of a Result.
var (
	// ErrNoResults is returned by the methods of a Result whose sender has no result store.
	ErrNoResults = errors.New("no result store is configured")
	// ErrResultIgnored is returned by Get, Wait and Watch at once for a call that was sent with IgnoreResult: no outcome will come.
	// Celery returns None there.
	ErrResultIgnored = errors.New("the call was sent with IgnoreResult: no outcome is kept")
	// ErrUnknownGroup is returned for a group that was not saved, or whose time is over.
	ErrUnknownGroup = errors.New("no group of this id is kept")
	// ErrWouldBlock is returned by Get, Wait and Watch within a task: a worker whose slots all wait for tasks that wait for a slot stands
	// still (Celery's assert_will_not_block).
	ErrWouldBlock = errors.New("a task must not wait for another one: link them, make them a chain or a chord, or say task.AllowWaiting")
)

// Sender sends calls; the application is one.
type Sender interface {
	Send(ctx context.Context, s Signature) (*Result[any], error)
}

// Result is the outcome of a call that was sent, now or later; or that of a group, whose value is the list of its members' values.
type Result[R any] struct {
	ref     Ref
	results Results // nil: no result store
}

// NewResult returns the handle of a task sent earlier or elsewhere. results may be nil.
func NewResult[R any](id string, results Results) *Result[R] {
	return ResultAt[R](Ref{ID: id}, results)
}

// ResultAt returns the handle of the task or group that a result tuple names. results may be nil.
func ResultAt[R any](ref Ref, results Results) *Result[R] {
	return &Result[R]{ref: ref, results: results}
}

// ResultAs returns the handle with another type of value: what an application returns for a call by name, say.
func ResultAs[R any](r *Result[any]) *Result[R] { return ResultAt[R](r.ref, r.results) }

// ID is the task's id, or the group's.
func (r *Result[R]) ID() string { return r.ref.ID }

// Ref is what the result is kept under: the result tuple of Celery.
func (r *Result[R]) Ref() Ref { return r.ref }

// Get waits for the outcome and returns the value, or a *RemoteError when the task failed or was revoked. For a group that is the first
// member's that failed, in the order of the group; Outcomes has those of all. For the last step of a chain it is that of the step that
// failed, for the body of a chord a ChordError that names the task of the header.
func (r *Result[R]) Get(ctx context.Context) (R, error) {
	var value R
	meta, err := r.Wait(ctx)
	if err != nil {
		return value, err
	}
	if err = meta.Value(&value); err != nil && meta.State == Success {
		err = r.failed("read", err)
	}
	return value, err
}

// Wait waits for the outcome and returns it whole; see Get.
func (r *Result[R]) Wait(ctx context.Context) (Meta, error) {
	if err := r.waitable(ctx, "wait for"); err != nil {
		return Meta{}, err
	}
	if r.ref.Group {
		return joined(r.ref, func(member Ref) (Meta, error) { return ResultAt[any](member, r.results).Wait(ctx) })
	}
	meta, err := r.end(ctx)
	if err != nil && err == ctx.Err() { //nolint:errorlint // bare: it names no task
		err = r.failed("wait for", err)
	}
	return meta, err
}

// Meta returns what is known of the task now, without waiting; its state is Pending when nothing is.
func (r *Result[R]) Meta(ctx context.Context) (Meta, error) {
	switch {
	case r.results == nil:
		return Meta{}, r.failed("look up", ErrNoResults)
	case r.ref.Group:
		return joined(r.ref, func(member Ref) (Meta, error) { return ResultAt[any](member, r.results).Meta(ctx) })
	}
	return r.results.Get(ctx, r.ref.ID)
}

// State returns the task's state; Pending when nothing is known of it. A group is Failure once a member has failed, Success once all have
// succeeded, and Pending before.
func (r *Result[R]) State(ctx context.Context) (State, error) {
	meta, err := r.Meta(ctx)
	return meta.State, err
}

// Progress decodes the newest value that the task has set along with a state of its own (SetState, Progress, Celery's update_state) into
// dst, and returns the state. In every other state, the final ones too, it leaves dst alone.
func (r *Result[R]) Progress(ctx context.Context, dst any) (State, error) {
	meta, err := r.Meta(ctx)
	if err == nil && meta.State.Custom() {
		err = meta.Value(dst)
	}
	return meta.State, err
}

// Watch goes through the states of the task as they become known, the final one last; those that follow each other quickly may be
// left out. An error, also ctx's, ends it. Groups cannot be watched: watch their Members.
func (r *Result[R]) Watch(ctx context.Context) iter.Seq2[Meta, error] {
	return func(yield func(Meta, error) bool) {
		going := true
		err := r.watch(ctx, func(meta Meta) bool {
			going = yield(meta, nil)
			return going
		})
		if err != nil && going {
			yield(Meta{}, err)
		}
	}
}

func (r *Result[R]) watch(ctx context.Context, yield func(Meta) bool) error {
	if err := r.waitable(ctx, "watch"); err != nil {
		return err
	}
	if r.ref.Group {
		return r.failed("watch", fmt.Errorf("%w: it is a group, watch its members", errors.ErrUnsupported))
	}
	return r.results.Watch(ctx, r.ref.ID, yield)
}

// Children returns the tasks and groups that the task has sent so far.
func (r *Result[R]) Children(ctx context.Context) ([]*Result[any], error) {
	meta, err := r.Meta(ctx)
	return handles(meta.Children, r.results), err
}

// Members returns the members of a group, in order; nil for a task.
func (r *Result[R]) Members() []*Result[any] { return handles(r.ref.Members, r.results) }

// IsGroup reports whether this is a group; one without members is one, too.
func (r *Result[R]) IsGroup() bool { return r.ref.Group }

// Parent is what comes before this in a workflow, as far as the result tuple says: the step before in a chain, the header of a chord. It
// is nil when there is none.
func (r *Result[R]) Parent() *Result[any] {
	if r.ref.Parent == nil {
		return nil
	}
	return ResultAt[any](*r.ref.Parent, r.results)
}

// Forget deletes the outcome from the result store, of a group those of its members, and those of the Parents.
func (r *Result[R]) Forget(ctx context.Context) error {
	if r.results == nil {
		return r.failed("forget", ErrNoResults)
	}
	var errs []error
	for _, id := range r.ref.AllTasks() {
		errs = append(errs, r.results.Forget(ctx, id))
	}
	return errors.Join(errs...)
}

func (r *Result[R]) failed(what string, err error) error {
	return fmt.Errorf("task: %s %s: %w", what, r.ref.ID, err)
}

type waitingKey struct{}

// AllowWaiting lets a task wait for the outcomes of others with the context that it returns. The slot stays taken meanwhile: the
// others must find a free one, on other queues or workers, or nothing moves any more (Celery's allow_join_result).
func AllowWaiting(ctx context.Context) context.Context {
	return context.WithValue(ctx, waitingKey{}, true)
}

// waitable says why the outcome cannot be waited for.
func (r *Result[R]) waitable(ctx context.Context, what string) error {
	switch allowed, _ := ctx.Value(waitingKey{}).(bool); {
	case r.results == nil:
		return r.failed(what, ErrNoResults)
	case FromContext(ctx) != nil && !allowed:
		return r.failed(what, ErrWouldBlock)
	}
	return nil
}

func handles(refs []Ref, results Results) []*Result[any] {
	var list []*Result[any]
	for _, ref := range refs {
		list = append(list, ResultAt[any](ref, results))
	}
	return list
}
