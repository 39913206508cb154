package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// silent is a result store that does not answer, as one behind a dead network.
type silent struct{ result.Backend }

func (silent) Store(ctx context.Context, _ task.Meta) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAStoreThatDoesNotAnswerDoesNotHoldUpTheShutdown(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		h := start(t, plan{opts: opts, results: silent{resultmem.New(resultmem.Config{})}, tasks: []task.Definition{add()}})
		h.send(add().S(pair{1, 2}))
		synctest.Wait()
		began := time.Now()
		if err := h.stop(); err != nil {
			t.Errorf("stop: %v, want none: the task had ended", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the shutdown took %s", took)
		}
		h.wantWaiting(queue, 1) // its outcome is nowhere, so it runs again
	})
}

func TestARetryThatCannotBeStoredWhileStoppingRunsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		flaky := task.New("tasks.flaky", func(context.Context, none) (int, error) { return 0, task.RetryAfter(errors.New("no"), time.Hour) })
		h := start(t, plan{results: silent{resultmem.New(resultmem.Config{})}, tasks: []task.Definition{flaky}})
		h.send(flaky.S(none{}))
		synctest.Wait()
		if err := h.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		h.wantWaiting(queue, 1)
	})
}

// The receive loop settles what may not start, and must not keep a worker from stopping when it cannot.
func TestABusyReceiveLoopHoldsUpNeitherTheShutdownNorOtherWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := worker.Options{Pool: pool.Goroutines, Concurrency: 4, ShutdownTimeout: 2 * time.Second}
		h := start(t, plan{opts: opts, results: silent{resultmem.New(resultmem.Config{})}, tasks: []task.Definition{add()}})
		h.send(task.Signature{Task: "tasks.unknown"})
		for range 5 {
			h.send(add().S(pair{1, 2}))
		}
		synctest.Wait()
		began := time.Now()
		h.cancel()
		synctest.Wait()
		h.wantWaiting(queue, 5) // given back at once
		if err := h.stop(); err != nil {
			t.Errorf("stop: %v, want none: nothing ran", err)
		}
		if took := time.Since(began); took > 7*time.Second { // ShutdownTimeout and the grace of a cold shutdown
			t.Errorf("the shutdown took %s", took)
		}
		h.wantWaiting(queue, 6)
	})
}
