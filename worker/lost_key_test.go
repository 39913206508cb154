package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/limit"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// A task whose next try can never be sent has failed: nobody comes again for its key.
func TestAKeyIsFreeOnceItsNextTryHasFailedToBeSent(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]task.UniqueMode{"queued": task.Queued, "running": task.Running, "both": task.Both} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := limitmem.New()
				unique := task.New("tasks.unique", func(context.Context, string) (none, error) {
					return none{}, task.RetryAfter(errors.New("not yet"), time.Minute)
				}, task.Unique(task.AllArguments(), time.Hour, mode))
				slow := &slowBroker{delayed: func(context.Context) error { return fmt.Errorf("refused: %w", broker.ErrInvalid) }}
				h := start(t, plan{
					limits: store, tasks: []task.Definition{unique},
					wrap: func(b *mem.Broker) broker.Broker { slow.Broker = b; return slow },
				})
				if m := h.outcome(h.send(unique.S("a"))); m.State != task.Failure {
					t.Fatalf("outcome = %s, want FAILURE", m.State)
				}
				synctest.Wait()
				if got := held(t, store, unique.Spec(), unique.S("a")); got != "" {
					t.Errorf("the key is held by %s", got)
				}
			})
		})
	}
}

// A message that the broker does not take for later would come again at once, for as long as it is early. It fails instead.
func TestATaskThatCannotBeParkedFailsForItsCallerAndKeepsNoKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		store, unique := limitmem.New(), uniqueSlow(&running, task.Both)
		slow := &slowBroker{delayed: func(context.Context) error { return fmt.Errorf("refused: %w", broker.ErrInvalid) }}
		h := start(t, plan{
			opts: worker.Options{Concurrency: 2, DeadLetters: true}, limits: store, tasks: []task.Definition{unique},
			wrap: func(b *mem.Broker) broker.Broker { slow.Broker = b; return slow },
		})
		early := unique.S("a")
		early.ETA = time.Now().Add(time.Hour)
		h.wantFailure(h.send(early), "Exception")
		synctest.Wait()
		if got := held(t, store, unique.Spec(), unique.S("a")); got != "" {
			t.Errorf("the key is held by %s", got)
		}
		h.wantWaiting(dead, 1)
		if s := h.worker.Stats(); s.Received != 1 || s.Running != 0 {
			t.Errorf("stats = %+v, want one delivery", s)
		}
	})
}

// again is a unique task whose first try asks for another one ten minutes later.
func again(mode task.UniqueMode) *task.Task[string, none] {
	tried := false
	return task.New("tasks.again", func(context.Context, string) (none, error) {
		if tried {
			return none{}, nil
		}
		tried = true
		return none{}, task.RetryAfter(errors.New("not yet"), 10*time.Minute)
	}, task.Unique(task.AllArguments(), 30*time.Second, mode))
}

func TestAKeyIsHeldUntilTheNextTryHoweverLongThatIs(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]task.UniqueMode{"queued": task.Queued, "both": task.Both} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, unique := limitmem.New(), again(mode)
				h := start(t, plan{limits: store, tasks: []task.Definition{unique}})
				id := h.send(unique.S("a"))
				time.Sleep(9 * time.Minute)
				if got := held(t, store, unique.Spec(), unique.S("a")); got != id {
					t.Errorf("the key is held by %q, want %q", got, id)
				}
				if m := h.outcome(id); m.State != task.Success {
					t.Errorf("outcome = %s", m.State)
				}
			})
		})
	}
}

// A try whose key somebody else has got meanwhile is late, and no duplicate.
func TestANextTryWhoseKeyWasLostIsNoDuplicate(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]task.UniqueMode{"queued": task.Queued, "both": task.Both} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, unique := limitmem.New(), again(mode)
				h := start(t, plan{limits: store, tasks: []task.Definition{unique}})
				id := h.send(unique.S("a"))
				time.Sleep(time.Minute)
				req, err := unique.S("a").Request(nil)
				if err != nil {
					t.Fatal(err)
				}
				key, err := unique.Spec().Unique.Key.Of(unique.Spec(), req)
				if err != nil {
					t.Fatal(err)
				}
				name := limit.TaskKey(limit.KindUnique, unique.Name(), key)
				if err := store.Release(t.Context(), name, id); err != nil {
					t.Fatal(err)
				}
				if _, err := store.Acquire(t.Context(), limit.Claim{Key: name, Owner: "other", Places: 1, TTL: 20 * time.Minute}); err != nil {
					t.Fatal(err)
				}
				if m := h.outcome(id); m.State != task.Success {
					t.Errorf("outcome = %s %v, want SUCCESS", m.State, m.Err())
				}
			})
		})
	}
}
