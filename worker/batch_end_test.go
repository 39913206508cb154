package worker_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func TestExpiredCallsAreLeftOutOfABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		sum := s.task(task.AckEarly())
		h := start(t, plan{tasks: []task.Definition{sum}})
		late := sum.S(pair{})
		late.Expires = time.Now().Add(5 * time.Second)
		expired := h.send(late)
		wantValue(t, h.outcome(h.send(sum.S(pair{1, 2}))), 3)
		if meta := h.outcome(expired); meta.State != task.Revoked {
			t.Errorf("outcome = %s, want REVOKED", meta.State)
		}
		if sizes, _ := s.seen(); !slices.Equal(sizes, []int{1}) {
			t.Errorf("batches of %v, want one of 1", sizes)
		}
		synctest.Wait()
		if st := h.worker.Stats(); st.Settled != 2 {
			t.Errorf("stats = %+v, want both settled", st)
		}
	})
}

func TestEarlyAcknowledgementIsWhenASlotTakesTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		early := task.NewBatch("tasks.early", func(context.Context, []*task.BatchCall[none, none]) error { <-hold; return nil },
			task.AckEarly(), task.BatchSize(3), task.BatchWait(time.Minute))
		h := start(t, plan{opts: worker.Options{Concurrency: 1}, tasks: []task.Definition{early}})
		for range 5 {
			h.send(early.S(none{}))
		}
		synctest.Wait()
		if st := h.worker.Stats(); st.Settled != 3 {
			t.Errorf("%d settled while the first batch runs, want its 3", st.Settled)
		}
		close(hold)
	})
}

func TestAWarmShutdownEndsTheRunningBatchAndGivesBackTheCollected(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		hold := make(chan struct{})
		slow := task.NewBatch("tasks.slow", func(context.Context, []*task.BatchCall[none, none]) error { <-hold; return nil },
			task.BatchSize(3), task.BatchWait(time.Hour))
		h := start(t, plan{opts: opts, tasks: []task.Definition{slow}})
		var ids []string
		for range 5 {
			ids = append(ids, h.send(slow.S(none{})))
		}
		synctest.Wait()
		h.cancel()
		synctest.Wait()
		h.wantWaiting(queue, 2) // at once, while the three run
		close(hold)
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		for _, id := range ids[:3] {
			if meta := h.outcome(id); meta.State != task.Success {
				t.Errorf("outcome = %s, want SUCCESS", meta.State)
			}
		}
		h.wantWaiting(queue, 2)
	})
}

func TestAColdShutdownGivesTheCallsOfABatchBack(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		opts.ShutdownTimeout = time.Second
		slow := task.NewBatch("tasks.slow", func(ctx context.Context, calls []*adding) error {
			calls[0].Succeed(1)
			<-ctx.Done()
			return ctx.Err()
		}, task.BatchSize(3))
		h := start(t, plan{opts: opts, tasks: []task.Definition{slow}})
		done := h.send(slow.S(pair{}))
		for range 2 {
			h.send(slow.S(pair{}))
		}
		synctest.Wait()
		if err := h.stop(); !errors.Is(err, worker.ErrAbandoned) {
			t.Errorf("stop = %v, want ErrAbandoned", err)
		}
		wantValue(t, h.outcome(done), 1)
		h.wantWaiting(queue, 2)
	})
}

func TestTheShortestTimeLimitHoldsForTheBatch(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		soft := task.NewBatch("tasks.soft", func(ctx context.Context, calls []*adding) error {
			calls[0].Succeed(1)
			<-ctx.Done()
			<-calls[1].Context().Done() // it ends with the batch's
			return ctx.Err()
		}, task.BatchSize(3), task.SoftTimeLimit(time.Hour))
		h := start(t, plan{opts: opts, tasks: []task.Definition{soft}})
		began := time.Now()
		first := h.send(soft.S(pair{}))
		second := h.send(soft.S(pair{}, task.SoftTimeLimit(3*time.Second)))
		third := h.send(soft.S(pair{}))
		wantValue(t, h.outcome(first), 1)
		h.wantFailure(third, "SoftTimeLimitExceeded")
		h.wantFailure(second, "SoftTimeLimitExceeded")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the batch took %s, want 3 s", took)
		}
	})
}

func TestABatchThatOutlastsItsHardLimitIsGivenUpWithItsSlot(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		hold := make(chan struct{})
		var returned atomic.Int32
		counts := func(next task.Handler) task.Handler {
			return task.HandlerFunc(func(ctx context.Context, req *task.Request) (any, error) {
				defer returned.Add(1)
				return next.Handle(ctx, req)
			})
		}
		stuck := task.NewBatch("tasks.stuck", func(_ context.Context, calls []*adding) error {
			<-hold
			for _, c := range calls {
				c.Succeed(1) // too late
			}
			return nil
		}, task.BatchSize(3), task.TimeLimit(5*time.Second), task.With(counts))
		h := start(t, plan{opts: opts, tasks: []task.Definition{stuck, add()}})
		var ids []string
		for range 3 {
			ids = append(ids, h.send(stuck.S(pair{})))
		}
		for _, id := range ids {
			h.wantFailure(id, "TimeLimitExceeded")
		}
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3) // the slot was replaced
		synctest.Wait()
		if st := h.worker.Stats(); st.Pool.Stuck != 1 || st.Running != 0 {
			t.Errorf("stats = %+v, want one stuck slot and nothing that runs", st)
		}
		if n := returned.Load(); n != 3 {
			t.Errorf("%d handlers have returned, want all: only the batch's function is stuck", n)
		}
		close(hold)
	})
}

// A suspect shares its batch with nobody, so that nobody is suspected with it.
func TestASuspectRunsInABatchOfOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		sum := s.task()
		h := start(t, plan{opts: worker.Options{DeadLetters: true}, tasks: []task.Definition{sum}, before: func(h *house) {
			h.declare(broker.Queue{Name: "celery.quarantine"})
			msg, err := wire.Encode(wire.Outgoing{Signature: withID(sum.S(pair{1, 2}), "suspect"), Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			msg.Headers["x-taskq-deliveries"] = int32(2)
			if err := h.broker.Publish(t.Context(), broker.Address{RoutingKey: "celery.quarantine"}, msg); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				h.send(sum.S(pair{}))
			}
		}})
		wantValue(t, h.outcome("suspect"), 3)
		if sizes, times := s.seen(); !slices.Equal(sizes, []int{1}) || times[0] > time.Second {
			t.Errorf("batches of %v at %v, want one of 1 at once", sizes, times)
		}
	})
}

// What is collected must not keep a suspect from its turn.
func TestWhatIsCollectedRunsBeforeASuspect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		sum := s.task(task.BatchWait(time.Hour))
		h := start(t, plan{opts: worker.Options{DeadLetters: true}, tasks: []task.Definition{sum, add()}})
		held := h.send(sum.S(pair{1, 1}))
		time.Sleep(time.Minute)
		msg, err := wire.Encode(wire.Outgoing{Signature: withID(add().S(pair{1, 2}), "suspect"), Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		msg.Headers["x-taskq-deliveries"] = int32(2)
		if err := h.broker.Publish(t.Context(), broker.Address{RoutingKey: "celery.quarantine"}, msg); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		wantValue(t, h.outcome("suspect"), 3)
		wantValue(t, h.outcome(held), 2)
		if took := time.Since(began); took > 6*time.Second { // the quarantines are looked at every 5 s
			t.Errorf("the suspect waited %s", took)
		}
	})
}

func TestRevokedCallsAreLeftOutOfABatch(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		var s sums
		sum := s.task()
		h := start(t, plan{opts: opts, tasks: []task.Definition{sum}})
		h.send(sum.S(pair{}, task.ID("collected")))
		other := h.send(sum.S(pair{1, 2}))
		synctest.Wait()
		h.revoke("collected")
		wantValue(t, h.outcome(other), 3)
		h.wantRevoked("collected", "revoked")
		if sizes, _ := s.seen(); !slices.Equal(sizes, []int{1}) {
			t.Errorf("batches of %v, want one of 1", sizes)
		}
	})
}

func TestARunningCallIsTerminatedWithoutItsBatch(t *testing.T) {
	for _, signal := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(signal, func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				hold := make(chan struct{})
				slow := task.NewBatch("tasks.slow", func(ctx context.Context, calls []*adding) error {
					<-hold
					for _, c := range calls {
						if c.Context().Err() == nil {
							c.Succeed(len(calls))
						}
					}
					return ctx.Err()
				}, task.BatchSize(3))
				h := start(t, plan{opts: opts, tasks: []task.Definition{slow}})
				first, second, third := h.send(slow.S(pair{})), h.send(slow.S(pair{})), h.send(slow.S(pair{}))
				synctest.Wait()
				h.revoke(second, task.Terminate(signal))
				if st := h.worker.Stats(); st.Pool.Stuck != 0 || st.Running != 3 {
					t.Errorf("while the batch runs: stats = %+v", st)
				}
				close(hold)
				wantValue(t, h.outcome(first), 3)
				wantValue(t, h.outcome(third), 3)
				h.wantRevoked(second, "terminated")
				synctest.Wait()
				if st := h.worker.Stats(); st.Pool.Stuck != 0 || st.Running != 0 {
					t.Errorf("in the end: stats = %+v", st)
				}
			})
		})
	}
}
