package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func TestSoftTimeLimitCancelsTheContextWithItsCause(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		polite := task.New("tasks.polite", func(ctx context.Context, _ none) (string, error) {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), task.ErrSoftTimeLimit) {
				return "", context.Cause(ctx)
			}
			return "cleaned up", nil
		}, task.SoftTimeLimit(2*time.Second))
		plain := task.New("tasks.plain", func(ctx context.Context, _ none) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		opts.SoftTimeLimit = time.Second
		h := start(t, plan{opts: opts, tasks: []task.Definition{polite, plain}})
		began := time.Now()
		wantValue(t, h.outcome(h.send(polite.S(none{}))), "cleaned up")
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the task's own limit of 2 s ended it after %s", took)
		}
		h.wantFailure(h.send(plain.S(none{})), "SoftTimeLimitExceeded")
		began = time.Now()
		h.wantFailure(h.send(plain.S(none{}, task.SoftTimeLimit(5*time.Second))), "SoftTimeLimitExceeded")
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the message's limit of 5 s ended it after %s", took)
		}
	})
}

func TestHardTimeLimitGivesTheSlotUpAndReplacesIt(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		release := make(chan struct{})
		deaf := task.New("tasks.deaf", func(context.Context, none) (int, error) { <-release; return 1, nil }, task.TimeLimit(time.Second))
		h := start(t, plan{opts: opts, tasks: []task.Definition{deaf, add()}})
		id := h.send(deaf.S(none{}))
		remote := h.wantFailure(id, "TimeLimitExceeded")
		if !errors.Is(remote, task.ErrTimeLimit) {
			t.Errorf("remote = %v", remote)
		}
		synctest.Wait()
		if s := h.worker.Stats(); s.Pool.Stuck != 1 {
			t.Errorf("stuck = %d, want 1", s.Pool.Stuck)
		}
		for range 5 { // the replaced slot works
			wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
		}
		close(release)
		synctest.Wait()
		if s := h.worker.Stats(); s.Pool.Stuck != 0 {
			t.Errorf("stuck = %d after the task returned, want 0", s.Pool.Stuck)
		}
		if meta := h.outcome(id); meta.State != task.Failure {
			t.Errorf("the late return overwrote the outcome: %s", meta.State)
		}
	})
}

func TestWarmShutdownLetsRunningTasksEndAndGivesBackTheRest(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		slow := task.New("tasks.slow", func(ctx context.Context, _ none) (string, error) {
			select {
			case <-time.After(time.Minute):
				return "done", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		})
		h := start(t, plan{opts: opts, tasks: []task.Definition{slow}})
		var ids []string
		for range 10 {
			ids = append(ids, h.send(slow.S(none{})))
		}
		synctest.Wait()
		if err := h.stop(); err != nil {
			t.Errorf("warm shutdown: %v", err)
		}
		done := 0
		for _, id := range ids {
			meta, err := h.results.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if meta.State == task.Success {
				done++
			}
		}
		if done != opts.Concurrency {
			t.Errorf("%d tasks ended, want the %d that ran", done, opts.Concurrency)
		}
		h.wantWaiting(queue, len(ids)-done)
	})
}

func TestColdShutdownCancelsAndGivesBack(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		polite := task.New("tasks.polite", func(ctx context.Context, _ none) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		h := start(t, plan{opts: opts, tasks: []task.Definition{polite}})
		id := h.send(polite.S(none{}))
		synctest.Wait()
		h.cancel()
		synctest.Wait()
		h.worker.Terminate()
		if err := h.stop(); !errors.Is(err, worker.ErrAbandoned) {
			t.Errorf("err = %v, want ErrAbandoned", err)
		}
		h.wantWaiting(queue, 1)
		if meta, err := h.results.Get(t.Context(), id); err != nil || meta.State != task.Pending {
			t.Errorf("a task that was cut off has the outcome %s, %v", meta.State, err)
		}
	})
}

func TestShutdownTimeoutEndsTheGrace(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		release := make(chan struct{})
		deaf := task.New("tasks.deaf", func(context.Context, none) (int, error) { <-release; return 1, nil })
		opts.ShutdownTimeout = 10 * time.Second
		h := start(t, plan{opts: opts, tasks: []task.Definition{deaf}})
		h.send(deaf.S(none{}))
		synctest.Wait()
		began := time.Now()
		if err := h.stop(); !errors.Is(err, worker.ErrAbandoned) {
			t.Errorf("err = %v, want ErrAbandoned", err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 30*time.Second {
			t.Errorf("the shutdown took %s", took)
		}
		h.wantWaiting(queue, 1)
		close(release)
	})
}

func TestEarlyAcknowledgementRunsAtMostOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		early := task.New("tasks.early", func(context.Context, none) (int, error) { <-release; return 1, nil }, task.AckEarly())
		h := start(t, plan{opts: worker.Options{Pool: pool.Solo}, tasks: []task.Definition{early}})
		id := h.send(early.S(none{}))
		synctest.Wait()
		if s := h.worker.Stats(); s.Settled != 1 || s.Running != 1 {
			t.Errorf("stats while it runs = %+v, want it settled", s)
		}
		close(release)
		wantValue(t, h.outcome(id), 1)
		synctest.Wait()
		if s := h.worker.Stats(); s.Settled != 1 || s.Lost != 0 {
			t.Errorf("stats = %+v", s)
		}
	})
}

func TestResizeAtRunTime(t *testing.T) {
	t.Parallel()
	for _, kind := range []pool.Kind{pool.Threads, pool.Goroutines} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				block := task.New("tasks.block", func(context.Context, none) (int, error) { <-release; return 0, nil })
				h := start(t, plan{opts: worker.Options{Pool: kind, Concurrency: 1}, tasks: []task.Definition{block}})
				for range 5 {
					h.send(block.S(none{}))
				}
				synctest.Wait()
				for _, want := range []int{3, 5} {
					if err := h.worker.Resize(t.Context(), want); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if busy := h.worker.Stats().Pool.Busy; busy != want {
						t.Errorf("%d slots are busy, want %d", busy, want)
					}
				}
				close(release)
			})
		})
	}
}

func TestAWorkerWhoseResourcesAreAwayTakesNoTaskAndStops(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		away := &pool.Resource[int]{Name: "store", Open: func(context.Context) (int, error) { return 0, errors.New("away") }}
		needy := task.New("tasks.needy", func(ctx context.Context, _ none) (int, error) { return away.Get(ctx) }, task.Needs(away))
		h := start(t, plan{opts: opts, tasks: []task.Definition{needy}})
		for range 5 {
			h.send(needy.S(none{}))
		}
		time.Sleep(time.Minute)
		if s := h.worker.Stats(); s.Settled != 0 || s.Pool.Started != 0 {
			t.Errorf("stats = %+v, want nothing done", s)
		}
		if err := h.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		h.wantWaiting(queue, 5)
	})
}
