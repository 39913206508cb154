package task

import (
	"context"
	"iter"
	"sync"
)

// abreast bounds how many outcomes are looked up, or waited for, at a time.
const abreast = 1000

// each calls fn with 0 to n-1, side by side, and returns when all calls have. It begins no more of them once ctx has ended.
func each(ctx context.Context, n int, fn func(int)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	places := make(chan struct{}, abreast)
	for i := range n {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-places }()
			fn(i)
		})
	}
}

// end waits for the outcome of a task, or until one of the steps before it, which it waits for, has ended otherwise than with success:
// workers of Celery do not tell of a task that is revoked to those that were to follow.
func (r *Result[R]) end(ctx context.Context) (Meta, error) {
	steps := r.ref.steps()
	if len(steps) == 0 {
		return r.results.Wait(ctx, r.ref.ID)
	}
	if meta, err := r.results.Get(ctx, r.ref.ID); err != nil || meta.State.Ready() {
		return meta, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan Meta)
	wg.Go(func() {
		each(ctx, len(steps), func(i int) {
			meta, err := r.results.Wait(ctx, steps[i])
			if err != nil || meta.State == Success { // what keeps us from knowing of this one is no news of the last
				return
			}
			select {
			case failed <- meta:
			case <-ctx.Done():
			}
		})
	})
	var last Meta
	var err error
	ended := make(chan struct{})
	wg.Go(func() {
		defer close(ended)
		last, err = r.results.Wait(ctx, r.ref.ID)
	})
	select {
	case <-ended:
		return last, err
	case meta := <-failed:
		meta.ID, meta.Children = r.ref.ID, nil
		return meta, nil
	}
}

// steps are the ids of the tasks before this one. Those in groups are not among them: what waits for a group is told how it ended.
func (r Ref) steps() []string {
	var ids []string
	for before := r.Parent; before != nil; before = before.Parent {
		if !before.Group {
			ids = append(ids, before.ID)
		}
	}
	return ids
}

// Member is a member of a group that has ended.
type Member struct {
	Meta
	Index int // its place in the group, as in Members
}

// Completed goes through the members of a group in the order in which they end, of each once and with whatever outcome it has (Celery's
// iter_native); of a group in the group it is the outcome as a whole. A task is its own only member. An error, also ctx's, ends it.
//
//	for member, err := range group.Completed(ctx) {
//		if err != nil {
//			return err
//		}
//		err = member.Value(&value)
//
// Of groups of more than a thousand, a thousand members are waited for at a time.
func (r *Result[R]) Completed(ctx context.Context) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		if err := r.waitable(ctx, "wait for"); err != nil {
			yield(Member{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		refs := r.ref.parts()
		ended := make(chan func() (Member, error))
		wg.Go(func() {
			each(ctx, len(refs), func(i int) {
				meta, err := ResultAt[any](refs[i], r.results).Wait(ctx)
				select {
				case ended <- func() (Member, error) { return Member{Meta: meta, Index: i}, err }:
				case <-ctx.Done():
				}
			})
		})
		for range refs {
			select {
			case outcome := <-ended:
				if member, err := outcome(); !yield(member, err) || err != nil {
					return
				}
			case <-ctx.Done():
				yield(Member{}, r.failed("wait for", ctx.Err()))
				return
			}
		}
	}
}

// parts are the members of a group, or the task itself.
func (r Ref) parts() []Ref {
	if r.Group {
		return r.Members
	}
	return []Ref{r}
}

// Outcomes waits until all members of a group have ended and returns their outcomes in its order, failures as well (Celery's join without
// propagate). A task is its own only member.
func (r *Result[R]) Outcomes(ctx context.Context) ([]Meta, error) {
	metas := make([]Meta, len(r.ref.parts()))
	for member, err := range r.Completed(ctx) {
		if err != nil {
			return nil, err
		}
		metas[member.Index] = member.Meta
	}
	return metas, nil
}

// Counts says how far a group is.
type Counts struct {
	Tasks     int // in the group, and in groups in it
	Succeeded int
	Failed    int // revoked ones as well
	Waiting   int // for their time, for a worker, or to end
}

// Counts counts the tasks of a group by what is known of them now (Celery's completed_count and its like). A task counts itself.
func (r *Result[R]) Counts(ctx context.Context) (Counts, error) {
	if r.results == nil {
		return Counts{}, r.failed("look up", ErrNoResults)
	}
	ids := r.ref.Tasks()
	count := Counts{Tasks: len(ids)}
	var mu sync.Mutex // guards what follows, and the counts
	var failed error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	each(ctx, len(ids), func(i int) {
		meta, err := r.results.Get(ctx, ids[i])
		mu.Lock()
		defer mu.Unlock()
		switch {
		case failed != nil:
		case err != nil:
			failed = err
			cancel()
		case meta.State == Success:
			count.Succeeded++
		case meta.State.Ready():
			count.Failed++
		default:
			count.Waiting++
		}
	})
	if failed == nil {
		failed = ctx.Err()
	}
	if failed != nil {
		return Counts{}, r.failed("look up", failed)
	}
	return count, nil
}

// Ready reports whether the task has ended, or all tasks of the group have, however they did.
func (r *Result[R]) Ready(ctx context.Context) (bool, error) {
	counts, err := r.Counts(ctx)
	return err == nil && counts.Waiting == 0, err
}

// Successful reports whether the task has ended with success, or all tasks of the group have.
func (r *Result[R]) Successful(ctx context.Context) (bool, error) {
	counts, err := r.Counts(ctx)
	return err == nil && counts.Succeeded == counts.Tasks, err
}
