package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

type adding = task.BatchCall[pair, int]

// sums is a batch task that adds, and remembers how large its batches were.
type sums struct {
	mu    sync.Mutex
	sizes []int
	times []time.Duration // since the test began
	began time.Time
}

func (s *sums) note(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes, s.times = append(s.sizes, n), append(s.times, time.Since(s.began))
}

func (s *sums) seen() ([]int, []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sizes), slices.Clone(s.times)
}

func (s *sums) task(opts ...task.Option) *task.Task[pair, int] {
	s.began = time.Now()
	return task.NewBatch("tasks.sum", func(_ context.Context, calls []*adding) error {
		s.note(len(calls))
		for _, c := range calls {
			c.Succeed(c.Args.X + c.Args.Y)
		}
		return nil
	}, append([]task.Option{task.BatchSize(5), task.BatchWait(10 * time.Second)}, opts...)...)
}

func TestABatchRunsWhenItIsFullOrItsFirstCallHasWaited(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		var s sums
		sum := s.task()
		h := start(t, plan{opts: opts, tasks: []task.Definition{sum}})
		var ids []string
		for i := range 12 { // two full ones, and two that wait
			ids = append(ids, h.send(sum.S(pair{i, i})))
		}
		synctest.Wait()
		if sizes, _ := s.seen(); !slices.Equal(sizes, []int{5, 5}) {
			t.Errorf("at once: batches of %v, want 5 and 5", sizes)
		}
		time.Sleep(9 * time.Second)
		ids = append(ids, h.send(sum.S(pair{12, 12}))) // does not start the clock anew
		for i, id := range ids {
			wantValue(t, h.outcome(id), 2*i)
		}
		sizes, times := s.seen()
		if !slices.Equal(sizes, []int{5, 5, 3}) || times[2] != 10*time.Second {
			t.Errorf("batches of %v at %v, want 5 and 5 at once, and 3 after 10 s", sizes, times)
		}
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		h.wantWaiting(queue, 0)
		if st := h.worker.Stats(); st.Received != 13 || st.Settled != 13 || st.Running != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestTheWorkerHoldsEnoughForFullBatchesOnEverySlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		hold := make(chan struct{})
		slow := task.NewBatch("tasks.slow", func(_ context.Context, calls []*task.BatchCall[none, none]) error {
			s.note(len(calls))
			<-hold
			return nil
		}, task.BatchSize(50), task.BatchWait(time.Minute))
		h := start(t, plan{opts: worker.Options{Concurrency: 3}, tasks: []task.Definition{slow}})
		for range 150 {
			h.send(slow.S(none{}))
		}
		synctest.Wait()
		if sizes, _ := s.seen(); !slices.Equal(sizes, []int{50, 50, 50}) {
			t.Errorf("batches of %v, want three of 50 side by side", sizes)
		}
		close(hold)
	})
}

func TestTheWorkerIsToldHowToCollect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		sum := s.task(task.BatchSize(1))
		h := start(t, plan{
			opts:  worker.Options{Concurrency: 1, Batches: map[string]task.BatchPolicy{"tasks.sum": {Size: 3, Wait: time.Second}}},
			tasks: []task.Definition{sum},
		})
		for range 4 {
			h.send(sum.S(pair{1, 1}))
		}
		time.Sleep(time.Minute)
		if sizes, _ := s.seen(); !slices.Equal(sizes, []int{3, 1}) {
			t.Errorf("batches of %v, want 3 and 1", sizes)
		}
	})
}

func TestBatchesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	var s sums
	for name, tt := range map[string]struct {
		policy task.BatchPolicy
		want   string
	}{
		"tasks.unknown": {task.BatchPolicy{Size: 5, Wait: 1}, "no task of that name"},
		"tasks.remote":  {task.BatchPolicy{Size: 5, Wait: 1}, "no task of that name"},
		"tasks.add":     {task.BatchPolicy{Size: 5, Wait: 1}, "takes one call at a time"},
		"tasks.sum":     {task.BatchPolicy{Wait: 1}, "a batch of 0 calls"},
	} {
		var registry task.Registry
		if err := registry.Add(add(), s.task(), task.Remote[none, none]("tasks.remote")); err != nil {
			t.Fatal(err)
		}
		_, err := worker.New(worker.Config{
			Broker: mem.NewServer().Open(), Registry: &registry,
			Options: worker.Options{Queues: []string{queue}, Batches: map[string]task.BatchPolicy{name: tt.policy}},
		})
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

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
		}, task.BatchSize(2), task.SoftTimeLimit(time.Hour))
		h := start(t, plan{opts: opts, tasks: []task.Definition{soft}})
		began := time.Now()
		first := h.send(soft.S(pair{}))
		second := h.send(soft.S(pair{}, task.SoftTimeLimit(3*time.Second)))
		wantValue(t, h.outcome(first), 1)
		h.wantFailure(second, "SoftTimeLimitExceeded")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the batch took %s, want 3 s", took)
		}
	})
}

func TestABatchThatOutlastsItsHardLimitIsGivenUpWithItsSlot(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		hold := make(chan struct{})
		stuck := task.NewBatch("tasks.stuck", func(_ context.Context, calls []*adding) error {
			<-hold
			for _, c := range calls {
				c.Succeed(1) // too late
			}
			return nil
		}, task.BatchSize(3), task.TimeLimit(5*time.Second))
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

func TestABatchUsesTheConnectionOfItsSlot(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		conns := &pool.Resource[int]{Name: "number", Open: func(ctx context.Context) (int, error) { return pool.SlotFrom(ctx).ID(), nil }}
		using := task.NewBatch("tasks.using", func(ctx context.Context, calls []*task.BatchCall[none, bool]) error {
			return conns.Use(ctx, func(id int) error {
				for _, c := range calls {
					c.Succeed(id == pool.SlotFrom(ctx).ID() && id == pool.SlotFrom(c.Context()).ID())
				}
				return nil
			})
		}, task.BatchSize(4), task.Needs(conns))
		h := start(t, plan{opts: opts, tasks: []task.Definition{using}})
		for range 4 {
			wantValue(t, h.outcome(h.send(using.S(none{}))), true)
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
				close(hold)
				wantValue(t, h.outcome(first), 3)
				wantValue(t, h.outcome(third), 3)
				h.wantRevoked(second, "terminated")
				synctest.Wait()
				if st := h.worker.Stats(); st.Pool.Stuck != 0 || st.Running != 0 {
					t.Errorf("stats = %+v", st)
				}
			})
		})
	}
}

func TestResizingKeepsEnoughForFullBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		hold := make(chan struct{})
		slow := task.NewBatch("tasks.slow", func(_ context.Context, calls []*task.BatchCall[none, none]) error {
			s.note(len(calls))
			<-hold
			return nil
		}, task.BatchSize(20), task.BatchWait(time.Minute))
		h := start(t, plan{opts: worker.Options{Concurrency: 1}, tasks: []task.Definition{slow}})
		for range 80 {
			h.send(slow.S(none{}))
		}
		synctest.Wait()
		if err := h.worker.Resize(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if sizes, _ := s.seen(); !slices.Equal(sizes, []int{20, 20, 20, 20}) {
			t.Errorf("batches of %v, want four of 20 side by side", sizes)
		}
		close(hold)
	})
}
