package task_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// outcomes is a result store in memory, in which outcomes come in when a test says so.
type outcomes struct {
	mu        sync.Mutex
	known     map[string]task.Meta
	changed   chan struct{}
	waiting   int
	forgotten []string
	broken    error // of every look-up
}

func newOutcomes(metas ...task.Meta) *outcomes {
	o := &outcomes{known: map[string]task.Meta{}, changed: make(chan struct{})}
	o.put(metas...)
	return o
}

func (o *outcomes) put(metas ...task.Meta) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range metas {
		o.known[m.ID] = m
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *outcomes) Get(ctx context.Context, id string) (task.Meta, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken != nil {
		return task.Meta{}, o.broken
	}
	if m, ok := o.known[id]; ok {
		return m, ctx.Err()
	}
	return task.Meta{ID: id, State: task.Pending}, ctx.Err()
}

func (o *outcomes) Wait(ctx context.Context, id string) (task.Meta, error) {
	o.count(1)
	defer o.count(-1)
	for {
		o.mu.Lock()
		changed := o.changed
		o.mu.Unlock()
		if m, err := o.Get(ctx, id); err != nil || m.State.Ready() {
			return m, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return task.Meta{}, ctx.Err()
		}
	}
}

func (o *outcomes) count(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting += n
}

func (o *outcomes) waiters() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiting
}

func (o *outcomes) Watch(context.Context, string, func(task.Meta) bool) error { return nil }

func (o *outcomes) Forget(_ context.Context, id string) error {
	o.forgotten = append(o.forgotten, id)
	return nil
}

// Revoke implements task.Revoker: it notes the ids.
func (o *outcomes) Revoke(_ context.Context, ids []string, _ task.Revocation) error {
	o.forgotten = append(o.forgotten, ids...)
	return nil
}

func success(id, value string) task.Meta {
	return task.Meta{ID: id, State: task.Success, Result: codec.Raw(value)}
}

func failure(id string) task.Meta {
	return task.Meta{ID: id, State: task.Failure, Result: codec.Raw(`{"exc_type": "KeyError", "exc_message": ["` + id + `"], "exc_module": "builtins"}`)}
}

func groupOf(ids ...string) task.Ref {
	ref := task.Ref{ID: "g", Group: true}
	for _, id := range ids {
		ref.Members = append(ref.Members, task.Ref{ID: id})
	}
	return ref
}

func TestMembersComeInTheOrderInWhichTheyEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newOutcomes(success("b", "2"))
		ref := groupOf("a", "b", "c")
		ref.Members = append(ref.Members, task.Ref{ID: "h", Group: true, Members: []task.Ref{{ID: "d"}, {ID: "e"}}})
		next := [][]task.Meta{{success("d", "4"), failure("c")}, {success("e", "5")}, {success("a", "1")}}
		var seen []string
		for member, err := range task.ResultAt[[]any](ref, store).Completed(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, fmt.Sprint(member.Index, " ", member.State))
			if len(next) > 0 {
				synctest.Wait()
				store.put(next[0]...)
				next = next[1:]
			}
		}
		if want := []string{"1 SUCCESS", "2 FAILURE", "3 SUCCESS", "0 SUCCESS"}; !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q", seen, want)
		}
	})
}

func TestWhoLeavesOrIsToldToLeavesNoWaiterBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newOutcomes(success("a", "1"))
		group := task.ResultAt[[]int](groupOf("a", "b", "c"), store)
		for range group.Completed(t.Context()) {
			break
		}
		if n := store.waiters(); n != 0 {
			t.Errorf("%d waiters are left after break", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		seen := 0
		for member, err := range group.Completed(ctx) {
			if seen++; seen == 1 && (err != nil || member.Index != 0) || seen == 2 && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%d: %+v, %v", seen, member, err)
			}
		}
		if n := store.waiters(); n != 0 || seen != 2 {
			t.Errorf("%d waiters are left once the context has ended, seen %d", n, seen)
		}
		func() {
			defer func() { _ = recover() }()
			for range group.Completed(t.Context()) {
				panic("enough")
			}
		}()
		if n := store.waiters(); n != 0 {
			t.Errorf("%d waiters are left after a panic", n)
		}
	})
}

func TestGroupsLargerThanTheBoundAreWaitedForWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newOutcomes()
		var ids []string
		for i := range 2500 {
			ids = append(ids, fmt.Sprint(i))
		}
		go func() {
			synctest.Wait()
			if n := store.waiters(); n != 1000 {
				t.Errorf("%d wait at a time, want 1000", n)
			}
			for i, id := range ids {
				store.put(success(id, fmt.Sprint(i)))
			}
		}()
		metas, err := task.ResultAt[[]int](groupOf(ids...), store).Outcomes(t.Context())
		if err != nil || len(metas) != len(ids) {
			t.Fatalf("%d outcomes, %v", len(metas), err)
		}
		for i, m := range metas {
			if m.ID != ids[i] || string(m.Result) != ids[i] {
				t.Fatalf("outcome %d is %s: %s", i, m.ID, m.Result)
			}
		}
	})
}

func TestOutcomesHaveFailuresInTheirPlaces(t *testing.T) {
	t.Parallel()
	store := newOutcomes(success("a", "1"), failure("b"), success("c", "3"), task.Meta{ID: "d", State: task.Revoked}, failure("e"))
	group := task.ResultAt[[]int](groupOf("a", "b", "c", "d", "e"), store)
	metas, err := group.Outcomes(t.Context())
	if err != nil || metas[1].Err() == nil || metas[2].State != task.Success || metas[3].State != task.Revoked {
		t.Errorf("outcomes = %+v, %v", metas, err)
	}
	if _, err := group.Get(t.Context()); err == nil || err.Error() != "KeyError: b" {
		t.Errorf("Get = %v; want the first failure in the order of the group", err)
	}
	if one, err := task.NewResult[int]("c", store).Outcomes(t.Context()); err != nil || len(one) != 1 || one[0].ID != "c" {
		t.Errorf("of a task: %+v, %v", one, err)
	}
}

func TestCountsAreOfAllTasksInAGroup(t *testing.T) {
	t.Parallel()
	store := newOutcomes(success("a", "1"), failure("b"), task.Meta{ID: "c", State: task.Started}, task.Meta{ID: "d", State: task.Revoked})
	ref := groupOf("a", "b", "c")
	ref.Members = append(ref.Members, task.Ref{ID: "h", Group: true, Members: []task.Ref{{ID: "d"}, {ID: "e"}}})
	group := task.ResultAt[[]any](ref, store)
	check := func(want task.Counts, ready, successful bool) {
		t.Helper()
		counts, err := group.Counts(t.Context())
		isReady, err1 := group.Ready(t.Context())
		isSuccessful, err2 := group.Successful(t.Context())
		if errors.Join(err, err1, err2) != nil || counts != want || isReady != ready || isSuccessful != successful {
			t.Errorf("%+v, ready %v, successful %v, %v; want %+v", counts, isReady, isSuccessful, errors.Join(err, err1, err2), want)
		}
	}
	check(task.Counts{Tasks: 5, Succeeded: 1, Failed: 2, Waiting: 2}, false, false)
	store.put(success("c", "3"), success("e", "5"))
	check(task.Counts{Tasks: 5, Succeeded: 3, Failed: 2}, true, false)
	store.put(success("b", "2"), success("d", "4"))
	check(task.Counts{Tasks: 5, Succeeded: 5}, true, true)
	store.broken = errors.New("the store is away")
	if _, err := group.Counts(t.Context()); !errors.Is(err, store.broken) {
		t.Errorf("err = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := group.Counts(ctx); err == nil {
		t.Error("a context that has ended counts")
	}
	if _, err := task.NewResult[int]("a", nil).Ready(t.Context()); !errors.Is(err, task.ErrNoResults) {
		t.Errorf("without a store: %v", err)
	}
}

// A worker of Celery that drops a revoked step tells nobody that the steps after it will never run.
func TestTheFailureOfAStepEndsTheWaitForItsChain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		header := groupOf("x")
		header.Parent = &task.Ref{ID: "0"}
		ref := task.Ref{ID: "3", Parent: &task.Ref{ID: "2", Parent: &task.Ref{ID: "1", Parent: &header}}}
		for name, tt := range map[string]struct {
			known []task.Meta
			later task.Meta
			want  string
		}{
			"the first": {nil, failure("0"), "KeyError: 0"},
			"another":   {[]task.Meta{success("0", "1"), success("1", "1")}, failure("2"), "KeyError: 2"},
			"none":      {[]task.Meta{success("0", "1"), success("1", "1")}, success("3", "7"), "<nil>"},
			"the last":  {[]task.Meta{failure("3")}, failure("3"), "KeyError: 3"},
		} {
			store := newOutcomes(tt.known...)
			var got any
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				value, err := task.ResultAt[int](ref, store).Get(t.Context())
				if got = fmt.Sprint(err); err == nil && value != 7 {
					t.Errorf("%s: value %d", name, value)
				}
			}()
			synctest.Wait()
			store.put(tt.later)
			<-ended
			if got != tt.want {
				t.Errorf("%s: %v, want %s", name, got, tt.want)
			}
			if n := store.waiters(); n != 0 {
				t.Errorf("%s: %d waiters are left", name, n)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := task.ResultAt[int](ref, newOutcomes()).Get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want the context's", err)
		}
	})
}

func TestAWorkflowIsRevokedAndForgottenUpToItsResult(t *testing.T) {
	t.Parallel()
	header := groupOf("x", "y")
	header.Members[1].Parent = &task.Ref{ID: "w"} // a chain in the header
	header.Parent = &task.Ref{ID: "0"}
	ref := task.Ref{ID: "2", Parent: &task.Ref{ID: "1", Parent: &header}}
	want := []string{"0", "x", "w", "y", "1", "2"}
	for name, do := range map[string]func(*task.Result[any]) error{
		"forget": func(r *task.Result[any]) error { return r.Forget(t.Context()) },
		"revoke": func(r *task.Result[any]) error { return r.Revoke(t.Context()) },
	} {
		store := newOutcomes()
		if err := do(task.ResultAt[any](ref, store)); err != nil || !slices.Equal(store.forgotten, want) {
			t.Errorf("%s: %q, %v; want %q", name, store.forgotten, err, want)
		}
	}
}
