package taskq_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/task"
)

// importing is a task of which one call a site is enough; it runs until it is told to end.
func importing(mode task.UniqueMode, ends <-chan struct{}, opts ...task.Option) *task.Task[string, int] {
	return task.New("import", func(context.Context, string) (int, error) { <-ends; return 1, nil },
		append(opts, task.Unique(task.PerArgument("arg"), time.Hour, mode))...)
}

// sendOne sends a call and returns its id, or that of the call which it is a duplicate of.
func sendOne(t *testing.T, app *taskq.App, s task.Signature) (id, of string) {
	t.Helper()
	r, err := app.Send(t.Context(), s)
	if duplicate, ok := errors.AsType[*task.DuplicateError](err); ok {
		if !errors.Is(err, task.ErrDuplicateCall) || r != nil || duplicate.Task != s.Task {
			t.Errorf("err = %v, result %v", err, r)
		}
		return "", duplicate.ID
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.ID(), ""
}

func TestOfManyWhoSendAUniqueCallOneDoesAndTheOthersLearnItsID(t *testing.T) {
	t.Parallel()
	for _, mode := range []task.UniqueMode{task.Queued, task.Both} {
		unique := importing(mode, nil)
		app := newApp(t, taskq.Config{}, unique)
		var sent, holder sync.Map
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if id, of := sendOne(t, app, unique.S("a")); id != "" {
					sent.Store(id, true)
				} else {
					holder.Store(of, true)
				}
			})
		}
		all.Wait()
		count := func(m *sync.Map) (n int, last any) {
			m.Range(func(k, _ any) bool { n++; last = k; return true })
			return n, last
		}
		n, id := count(&sent)
		holders, of := count(&holder)
		if n != 1 || holders != 1 || id != of {
			t.Errorf("mode %d: %d were sent, and %d ids told: %v, %v", mode, n, holders, id, of)
		}
		if id, _ := sendOne(t, app, unique.S("b")); id == "" {
			t.Error("a call of another key was not sent")
		}
	}
}

func TestAKeyIsFreeWhenItsModeSaysSo(t *testing.T) {
	t.Parallel()
	for mode, want := range map[task.UniqueMode][3]bool{ // sent again while it waits, while it runs, when it has ended
		task.Queued: {false, true, true}, task.Running: {true, true, true}, task.Both: {false, false, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			ends := make(chan struct{})
			unique := importing(mode, ends)
			app := newApp(t, taskq.Config{}, unique)
			again := func() bool { id, _ := sendOne(t, app, unique.S("a")); return id != "" }
			var got [3]bool
			again()
			got[0] = again()
			work(t, app)
			synctest.Wait()
			got[1] = again()
			close(ends)
			time.Sleep(time.Minute)
			got[2] = again()
			if got != want {
				t.Errorf("mode %d: sent again %v, want %v", mode, got, want)
			}
		})
	}
}

func TestAKeyOutlastsTheDelayOfItsCallAndNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		unique := importing(task.Both, nil)
		app := newApp(t, taskq.Config{}, unique)
		first, _ := sendOne(t, app, unique.S("a", task.Countdown(24*time.Hour)))
		time.Sleep(24*time.Hour + 30*time.Minute)
		if _, of := sendOne(t, app, unique.S("a")); of != first {
			t.Errorf("a duplicate of %q, want %q", of, first)
		}
		time.Sleep(31 * time.Minute)
		if id, _ := sendOne(t, app, unique.S("a")); id == "" {
			t.Error("the key is not free after its time")
		}
	})
}

func TestACallThatCouldNotBeSentGivesItsKeyBack(t *testing.T) {
	t.Parallel()
	unique := importing(task.Both, nil)
	app := newApp(t, taskq.Config{}, unique)
	if _, err := app.Send(t.Context(), unique.S("a", task.Exchange("missing"))); err == nil {
		t.Fatal("a call to a missing exchange was sent")
	}
	if id, _ := sendOne(t, app, unique.S("a")); id == "" {
		t.Error("its key is not free")
	}
}

func TestSendingTheSameCallAgainIsNoDuplicate(t *testing.T) {
	t.Parallel()
	unique := importing(task.Both, nil)
	app := newApp(t, taskq.Config{}, unique)
	for range 2 { // as after an error that left open whether it was taken
		if _, of := sendOne(t, app, unique.S("a", task.ID("mine"))); of != "" {
			t.Errorf("it is a duplicate of %s", of)
		}
	}
	if _, err := app.Send(t.Context(), unique.S("a", task.ID("mine"), task.Exchange("missing"))); err == nil {
		t.Fatal("sent")
	}
	if _, of := sendOne(t, app, unique.S("a")); of != "mine" {
		t.Errorf("a duplicate of %q: the key of an earlier sending was given back", of)
	}
}

func TestABatchTellsWhichOfItsCallsAreDuplicates(t *testing.T) {
	t.Parallel()
	unique := importing(task.Queued, nil)
	app := newApp(t, taskq.Config{}, unique)
	results, err := app.SendBatch(t.Context(), []task.Signature{unique.S("a"), unique.S("b"), unique.S("a"), unique.S("c", task.Exchange("missing"))})
	batch, ok := errors.AsType[*task.BatchError](err)
	if !ok {
		t.Fatalf("err = %v", err)
	}
	duplicate, _ := errors.AsType[*task.DuplicateError](batch.Errors[2])
	if batch.Errors[0] != nil || batch.Errors[1] != nil || duplicate == nil || duplicate.ID != results[0].ID() || results[2] != nil {
		t.Errorf("errors = %v", batch.Errors)
	}
	if id, _ := sendOne(t, app, unique.S("c")); id == "" {
		t.Error("the key of a call that could not be sent is not free")
	}
	if _, err := app.SendBatch(t.Context(), []task.Signature{unique.S("a")}); !errors.Is(err, task.ErrDuplicateCall) {
		t.Errorf("a batch of duplicates: %v", err)
	}
}

// A step of a chain that is a duplicate has an outcome: who waits for it must learn that it does not run.
func TestADuplicateInAWorkflowIsRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan struct{})
		unique := importing(task.Both, ends)
		name := task.New("name", func(context.Context, struct{}) (string, error) { return "a", nil })
		app := newApp(t, taskq.Config{}, unique, name)
		first, _ := sendOne(t, app, unique.S("a"))
		work(t, app)
		synctest.Wait()
		s := name.S(struct{}{})
		s.Chain = []task.Signature{{Task: "import", CallOptions: task.CallOptions{ID: "step"}}}
		if _, err := app.Send(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		results, err := app.Results(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		meta, err := results.Wait(t.Context(), "step")
		if err != nil || meta.State != task.Revoked || !strings.Contains(meta.Err().Error(), "duplicate of "+first) {
			t.Errorf("outcome = %s %v, %v", meta.State, meta.Err(), err)
		}
		close(ends)
	})
}

func TestARetryKeepsTheKey(t *testing.T) {
	t.Parallel()
	for _, mode := range []task.UniqueMode{task.Queued, task.Both} {
		synctest.Test(t, func(t *testing.T) {
			var tries atomic.Int64
			flaky := task.New("flaky", func(context.Context, struct{}) (int64, error) {
				if n := tries.Add(1); n < 4 {
					return 0, task.RetryAfter(errors.New("not yet"), 3*time.Hour)
				}
				return tries.Load(), nil
			}, task.Unique(task.PerTask(), time.Hour, mode), task.Retry(task.RetryPolicy{Max: 5}))
			app := newApp(t, taskq.Config{}, flaky)
			work(t, app)
			first, _ := sendOne(t, app, flaky.S(struct{}{}))
			for range 17 {
				time.Sleep(31 * time.Minute) // never in the instant of a try, which holds no key while it runs
				if id, of := sendOne(t, app, flaky.S(struct{}{})); of != first {
					t.Fatalf("mode %d: sent as %q, a duplicate of %q; want one of %q", mode, id, of, first)
				}
			}
			time.Sleep(time.Hour)
			if id, _ := sendOne(t, app, flaky.S(struct{}{})); id == "" || tries.Load() < 4 {
				t.Errorf("mode %d: not free after %d tries", mode, tries.Load())
			}
		})
	}
}

func TestAUniqueCallNeedsALimitStore(t *testing.T) {
	t.Parallel()
	unique := importing(task.Both, nil)
	app := newApp(t, taskq.Config{LimitStore: "disabled://"}, unique)
	_, err := app.Send(t.Context(), unique.S("a"))
	if !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), "limit_store") || !strings.Contains(err.Error(), "import") {
		t.Errorf("send: %v", err)
	}
	if _, err := app.NewWorker(t.Context()); err == nil || !strings.Contains(err.Error(), "limit_store") || !strings.Contains(err.Error(), "import") {
		t.Errorf("worker: %v", err)
	}
}

func TestASenderLearnsThatTheLimitStoreIsAway(t *testing.T) {
	t.Parallel()
	unique := importing(task.Both, nil)
	app := newApp(t, taskq.Config{LimitStore: "redis://127.0.0.1:1/0", WaitForBroker: true}, unique)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := app.Send(ctx, unique.S("a")); !errors.Is(err, limit.ErrUnavailable) {
		t.Errorf("err = %v", err)
	}
}

func TestACallWhoseKeyCannotBeToldIsNotSent(t *testing.T) {
	t.Parallel()
	odd := task.New("odd", func(context.Context, string) (int, error) { return 0, nil },
		task.Unique(task.PerKey(func(*task.Request) (string, error) { return "", errors.New("no tenant") }), time.Hour, task.Both))
	app := newApp(t, taskq.Config{}, odd)
	if _, err := app.Send(t.Context(), odd.S("a")); !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), "no tenant") {
		t.Errorf("err = %v", err)
	}
}
