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
