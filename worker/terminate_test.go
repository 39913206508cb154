package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func TestATerminatedTaskIsRevokedAndItsSlotGoesOn(t *testing.T) {
	for _, signal := range []string{"", "SIGTERM", "SIGUSR1", "KILL"} {
		t.Run(signal, func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				causes := make(chan error, 1)
				sleeper := task.New("tasks.sleeper", func(ctx context.Context, _ none) (int, error) {
					<-ctx.Done()
					causes <- context.Cause(ctx)
					return 0, fmt.Errorf("asleep: %w", ctx.Err())
				}, task.Retry(task.RetryPolicy{Max: 3}))
				h := start(t, plan{opts: opts, tasks: []task.Definition{sleeper, add()}})
				id := h.send(sleeper.S(none{}))
				synctest.Wait()
				h.revoke(id, task.Terminate(signal))
				h.wantRevoked(id, "terminated")
				if cause := <-causes; !errors.Is(cause, task.ErrRevoked) {
					t.Errorf("cause = %v, want ErrRevoked", cause)
				}
				synctest.Wait()
				if s := h.worker.Stats(); s.Running != 0 || s.Pool.Stuck != 0 {
					t.Errorf("stats = %+v", s)
				}
				for range 2 * opts.Concurrency {
					wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
				}
				h.wantWaiting(queue, 0)
			})
		})
	}
}

func TestATaskThatSucceedsAllTheSameStaysASuccess(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		stubborn := task.New("tasks.stubborn", func(ctx context.Context, _ none) (int, error) { <-ctx.Done(); return 7, nil })
		h := start(t, plan{opts: opts, tasks: []task.Definition{stubborn}})
		id := h.send(stubborn.S(none{}))
		synctest.Wait()
		h.revoke(id, task.Terminate(""))
		synctest.Wait()
		wantValue(t, h.outcome(id), 7)
	})
}

func TestSIGKILLGivesUpTheSlotOfATaskThatGoesOn(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		release := make(chan struct{})
		deaf := task.New("tasks.deaf", func(context.Context, none) (int, error) { <-release; return 7, nil })
		h := start(t, plan{opts: opts, tasks: []task.Definition{deaf, add()}})
		id := h.send(deaf.S(none{}))
		synctest.Wait()
		h.revoke(id, task.Terminate("SIGTERM"))
		if s := h.worker.Stats(); s.Running != 1 || s.Pool.Stuck != 0 {
			t.Errorf("after SIGTERM: stats = %+v", s)
		}
		h.revoke(id, task.Terminate("SIGKILL"))
		h.wantRevoked(id, "terminated")
		synctest.Wait()
		if s := h.worker.Stats(); s.Running != 0 || s.Pool.Stuck != 1 {
			t.Errorf("after SIGKILL: stats = %+v", s)
		}
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
		close(release)
		synctest.Wait()
		h.wantRevoked(id, "terminated")
		if s := h.worker.Stats(); s.Pool.Stuck != 0 {
			t.Errorf("in the end: stats = %+v", s)
		}
	})
}

// slowStore holds the storing of a success up.
type slowStore struct {
	result.Backend
	begun, release chan struct{}
}

func (s slowStore) Store(ctx context.Context, m task.Meta) error {
	if m.State == task.Success {
		close(s.begun)
		<-s.release
	}
	return s.Backend.Store(ctx, m)
}

func TestARevokeThatComesWhileTheSuccessIsStoredIsTooLate(t *testing.T) {
	for _, signal := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(signal, func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				store := slowStore{resultmem.New(resultmem.Config{}), make(chan struct{}), make(chan struct{})}
				h := start(t, plan{opts: opts, results: store, tasks: []task.Definition{add()}})
				id := h.send(add().S(pair{1, 2}))
				<-store.begun
				h.revoke(id, task.Terminate(signal))
				close(store.release)
				wantValue(t, h.outcome(id), 3)
				synctest.Wait()
				wantValue(t, h.outcome(id), 3)
				if s := h.worker.Stats(); s.Running != 0 || s.Settled != 1 || s.Pool.Stuck != 0 {
					t.Errorf("stats = %+v", s)
				}
			})
		})
	}
}

// startingStore holds the storing of STARTED up.
type startingStore struct {
	result.Backend
	begun, release chan struct{}
}

func (s startingStore) Store(ctx context.Context, m task.Meta) error {
	if m.State == task.Started {
		close(s.begun)
		<-s.release
	}
	return s.Backend.Store(ctx, m)
}

func TestATaskThatIsTerminatedJustBeforeItRunsDoesNotRun(t *testing.T) {
	for _, signal := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(signal, func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				var runs atomic.Int32
				store := startingStore{resultmem.New(resultmem.Config{}), make(chan struct{}), make(chan struct{})}
				opts.TrackStarted = true
				h := start(t, plan{opts: opts, results: store, tasks: []task.Definition{counted(&runs)}})
				id := h.send(counted(&runs).S(none{}))
				<-store.begun
				h.revoke(id, task.Terminate(signal))
				close(store.release)
				h.wantRevoked(id, "terminated")
				synctest.Wait()
				if s := h.worker.Stats(); runs.Load() != 0 || s.Running != 0 || s.Settled != 1 {
					t.Errorf("runs = %d, stats = %+v", runs.Load(), s)
				}
			})
		})
	}
}

// The slot is that of the other calls of the batch, too: it is not given up for one of them.
func TestACallOfABatchIsTerminatedAlone(t *testing.T) {
	for _, signal := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(signal, func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				release := make(chan struct{})
				slow := task.NewBatch("tasks.slow", func(_ context.Context, calls []*adding) error {
					<-release
					for _, c := range calls {
						if context.Cause(c.Context()) == nil {
							c.Succeed(c.Args.X + c.Args.Y)
						}
					}
					return nil
				}, task.BatchSize(2), task.BatchWait(time.Minute))
				h := start(t, plan{opts: opts, tasks: []task.Definition{slow}})
				stays, goes := h.send(slow.S(pair{1, 1})), h.send(slow.S(pair{2, 2}))
				synctest.Wait()
				h.revoke(goes, task.Terminate(signal))
				if s := h.worker.Stats(); s.Pool.Stuck != 0 {
					t.Errorf("stats = %+v", s)
				}
				close(release)
				wantValue(t, h.outcome(stays), 2)
				h.wantRevoked(goes, "terminated")
				synctest.Wait()
				if s := h.worker.Stats(); s.Pool.Stuck != 0 || s.Running != 0 {
					t.Errorf("stats = %+v", s)
				}
			})
		})
	}
}

// There are no others that the slot would be needed for.
func TestABatchTaskThatCollectsNothingIsTerminatedAsAnOrdinaryTask(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		release := make(chan struct{})
		slow := task.NewBatch("tasks.slow", func(context.Context, []*adding) error {
			<-release
			return nil
		}, task.BatchSize(1))
		h := start(t, plan{opts: opts, tasks: []task.Definition{slow}})
		id := h.send(slow.S(pair{1, 1}))
		synctest.Wait()
		h.revoke(id, task.Terminate("SIGKILL"))
		h.wantRevoked(id, "terminated")
		if s := h.worker.Stats(); s.Pool.Stuck != 1 {
			t.Errorf("stats = %+v, want the slot to be given up", s)
		}
		close(release)
		synctest.Wait()
		if s := h.worker.Stats(); s.Pool.Stuck != 0 || s.Running != 0 {
			t.Errorf("stats = %+v", s)
		}
	})
}
