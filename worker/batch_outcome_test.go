package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// outcomes ends each call as its argument says.
func outcomes(ctx context.Context, calls []*task.BatchCall[string, string]) error {
	for _, c := range calls {
		switch c.Args {
		case "succeed":
			c.Succeed("fine")
		case "fail":
			c.Fail(task.Raise("ValueError", "boom"))
		case "both": // the last word counts
			c.Succeed("early")
			c.Fail(task.Raise("KeyError", "late"))
		case "retry":
			if c.Request().Retries == 0 {
				c.Fail(task.RetryAfter(errors.New("not yet"), time.Minute))
			} else {
				c.Succeed("at last")
			}
		case "reject":
			c.Fail(task.Reject(errors.New("not mine")))
		case "ignore":
			c.Fail(task.ErrIgnore)
		case "zero":
			c.Fail(nil)
		}
	}
	for _, c := range calls {
		if c.Args == "error" {
			return task.Raise("OSError", "disk full")
		}
		if c.Args == "panic" {
			panic("oops")
		}
	}
	return nil
}

func each(opts ...task.Option) *task.Task[string, string] {
	return task.NewBatch("tasks.each", outcomes, append([]task.Option{task.BatchSize(50), task.BatchWait(time.Second)}, opts...)...)
}

func TestEachCallOfABatchHasItsOwnOutcome(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		h := start(t, plan{opts: opts, tasks: []task.Definition{each()}})
		ids := map[string]string{}
		for _, what := range []string{"succeed", "fail", "both", "retry", "reject", "ignore", "zero", "forgotten"} {
			ids[what] = h.send(each().S(what))
		}
		odd := h.send(task.Signature{Task: "tasks.each", Args: []any{1, 2}})
		wrong := h.send(task.Signature{Task: "tasks.each", Args: []any{7}})
		h.wantFailure(odd, "TypeError")
		h.wantFailure(wrong, "TypeError")
		wantValue(t, h.outcome(ids["succeed"]), "fine")
		wantValue(t, h.outcome(ids["zero"]), "")
		wantValue(t, h.outcome(ids["retry"]), "at last")
		h.wantFailure(ids["fail"], "ValueError")
		h.wantFailure(ids["both"], "KeyError")
		h.wantFailure(ids["reject"], "Reject")
		if remote := h.wantFailure(ids["forgotten"], "Exception"); !strings.Contains(remote.Message, "neither Succeed nor Fail") {
			t.Errorf("without an outcome: %q", remote.Message)
		}
		if meta, err := h.results.Get(t.Context(), ids["ignore"]); err != nil || meta.State != task.Pending {
			t.Errorf("ignored: %s, %v", meta.State, err)
		}
		h.wantWaiting(dead, 1)
		h.wantWaiting(queue, 0)
	})
}

func TestAnErrorOrPanicOfTheBatchIsTheOutcomeOfCallsThatHaveNone(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		h := start(t, plan{opts: opts, tasks: []task.Definition{each()}})
		for how, class := range map[string]string{"error": "OSError", "panic": "Panic"} {
			fine, open, bad := h.send(each().S("succeed")), h.send(each().S("forgotten")), h.send(each().S(how))
			wantValue(t, h.outcome(fine), "fine")
			h.wantFailure(bad, class)
			if remote := h.wantFailure(open, class); how == "panic" && !strings.Contains(remote.Traceback, "outcomes") {
				t.Errorf("traceback = %q, want the batch's function", remote.Traceback)
			}
		}
	})
}

func TestABatchWithoutResultsSucceedsByReturning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		quiet := task.NewBatch("tasks.quiet", func(context.Context, []*task.BatchCall[none, none]) error { return nil })
		h := start(t, plan{tasks: []task.Definition{quiet}})
		if meta := h.outcome(h.send(quiet.S(none{}))); meta.State != task.Success {
			t.Errorf("outcome = %s %v, want SUCCESS", meta.State, meta.Err())
		}
	})
}

func TestABatchIsRetriedByTheTasksPolicy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		flaky := task.NewBatch("tasks.flaky", func(_ context.Context, calls []*adding) error {
			s.note(len(calls))
			if calls[0].Request().Retries == 0 {
				return errors.New("not yet")
			}
			for _, c := range calls {
				c.Succeed(c.Request().Retries)
			}
			return nil
		}, task.BatchSize(3), task.BatchWait(time.Second), task.Retry(task.RetryPolicy{Delay: time.Minute}))
		h := start(t, plan{tasks: []task.Definition{flaky}})
		var ids []string
		for range 3 {
			ids = append(ids, h.send(flaky.S(pair{})))
		}
		for _, id := range ids {
			wantValue(t, h.outcome(id), 1)
		}
		if sizes, _ := s.seen(); !slices.Equal(sizes, []int{3, 3}) {
			t.Errorf("batches of %v, want 3 and 3", sizes)
		}
	})
}

func TestLinksOfABatchedCallGetItsOwnResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		sum := s.task()
		h := start(t, plan{tasks: []task.Definition{sum, add()}})
		for i := range 5 {
			next := add().S(pair{})
			next.Args, next.ID = []any{100}, fmt.Sprint("next-", i)
			h.send(sum.S(pair{i, i}, task.Link(next)))
		}
		for i := range 5 {
			wantValue(t, h.outcome(fmt.Sprint("next-", i)), 2*i+100)
		}
	})
}

func TestWhatACallOfABatchSendsAndShowsIsItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		show := make(chan struct{})
		sending := task.NewBatch("tasks.sending", func(ctx context.Context, calls []*task.BatchCall[string, string]) error {
			if task.FromContext(ctx) != nil {
				return errors.New("the batch's context carries a request")
			}
			for _, c := range calls {
				req := task.FromContext(c.Context())
				if req == nil || req != c.Request() {
					return errors.New("the call's context does not carry its request")
				}
				task.TrailFrom(c.Context()).Add(task.Ref{ID: "child of " + c.Args})
				if err := task.Progress(c.Context(), c.Args); err != nil {
					return err
				}
				c.Succeed(req.ID)
			}
			<-show
			return nil
		}, task.BatchSize(2))
		h := start(t, plan{tasks: []task.Definition{sending}})
		ids := map[string]string{"a": h.send(sending.S("a")), "b": h.send(sending.S("b"))}
		synctest.Wait()
		for name, id := range ids {
			var got string
			if meta, err := h.results.Get(t.Context(), id); err != nil || meta.State != task.InProgress || meta.Value(&got) != nil || got != name {
				t.Errorf("%s shows %s %q, %v", name, meta.State, got, err)
			}
		}
		close(show)
		for name, id := range ids {
			meta := h.outcome(id)
			wantValue(t, meta, id)
			if len(meta.Children) != 1 || meta.Children[0].ID != "child of "+name {
				t.Errorf("children of %s = %+v", name, meta.Children)
			}
		}
	})
}

func TestMiddlewareIsAroundEachCallOfABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		around := func(next task.Handler) task.Handler {
			return task.HandlerFunc(func(ctx context.Context, req *task.Request) (any, error) {
				if req.Headers["banned"] == true {
					return nil, task.Raise("PermissionError", "banned")
				}
				got, err := next.Handle(ctx, req)
				if err == nil && req.Headers["twice"] == true {
					_, err = next.Handle(ctx, req)
				}
				if err != nil {
					return nil, err
				}
				return got.(int) + 1000, nil
			})
		}
		var s sums
		sum := s.task(task.With(around), task.BatchSize(3))
		h := start(t, plan{tasks: []task.Definition{sum}})
		banned, twice := h.send(sum.S(pair{}, task.Header("banned", true))), h.send(sum.S(pair{}, task.Header("twice", true)))
		wantValue(t, h.outcome(h.send(sum.S(pair{1, 2}))), 1003)
		h.wantFailure(banned, "PermissionError")
		h.wantFailure(twice, "Exception")
		if sizes, _ := s.seen(); !slices.Equal(sizes, []int{2}) {
			t.Errorf("batches of %v, want one of 2", sizes)
		}
	})
}

// A store that answers slowly must be asked for many outcomes at once.
func TestOutcomesOfABatchAreStoredSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		sum := s.task(task.BatchSize(128))
		h := start(t, plan{results: sluggish{resultmem.New(resultmem.Config{})}, tasks: []task.Definition{sum}})
		began := time.Now()
		var ids []string
		for i := range 128 {
			ids = append(ids, h.send(sum.S(pair{i, 0})))
		}
		for i, id := range ids {
			wantValue(t, h.outcome(id), i)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("128 outcomes took %s, want about 2 s", took)
		}
	})
}

// sluggish takes a second for each outcome.
type sluggish struct{ result.Backend }

func (s sluggish) Store(ctx context.Context, m task.Meta) error {
	time.Sleep(time.Second)
	return s.Backend.Store(ctx, m)
}
