package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

type none = struct{}

type pair struct {
	X int `task:"x"`
	Y int `task:"y"`
}

var kinds = []pool.Kind{pool.Solo, pool.Threads, pool.Goroutines}

func add() *task.Task[pair, int] {
	return task.New("tasks.add", func(_ context.Context, p pair) (int, error) { return p.X + p.Y, nil })
}

// inEveryPool runs the test with virtual time in each pool; slots is 1 in the solo pool and else 2.
func inEveryPool(t *testing.T, test func(t *testing.T, opts worker.Options)) {
	t.Helper()
	t.Parallel()
	for _, kind := range kinds {
		opts := worker.Options{Pool: kind, Concurrency: 2}
		if kind == pool.Solo {
			opts.Concurrency = 1
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, opts) })
		})
	}
}

func TestRunsTasksAndStoresTheirResults(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		h := start(t, plan{opts: opts, tasks: []task.Definition{add()}})
		ids := map[string]int{}
		for i := range 50 {
			ids[h.send(add().S(pair{i, 1}))] = i + 1
		}
		for id, want := range ids {
			wantValue(t, h.outcome(id), want)
		}
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		h.wantWaiting(queue, 0)
		if s := h.worker.Stats(); s.Received != 50 || s.Settled != 50 || s.Lost != 0 || s.Running != 0 {
			t.Errorf("stats = %+v", s)
		}
	})
}

func TestHandlersSeeTheirRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := task.New("tasks.seen", func(ctx context.Context, _ none) (string, error) {
			r := task.FromContext(ctx)
			return fmt.Sprint(r.Name, " ", r.Retries, " ", r.Headers["tenant"], " ", r.Queue), nil
		})
		h := start(t, plan{tasks: []task.Definition{seen}})
		wantValue(t, h.outcome(h.send(seen.S(none{}, task.Header("tenant", "acme")))), "tasks.seen 0 acme celery")
	})
}

func TestFailuresAreStoredAndAcknowledged(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		fail := task.New("tasks.fail", func(context.Context, none) (int, error) { return 0, task.Raise("ValueError", "boom") })
		h := start(t, plan{opts: opts, tasks: []task.Definition{fail}})
		remote := h.wantFailure(h.send(fail.S(none{})), "ValueError")
		if remote.Message != "boom" || remote.Traceback == "" {
			t.Errorf("message %q, traceback %q", remote.Message, remote.Traceback)
		}
		synctest.Wait()
		h.wantWaiting(dead, 0)
	})
}

func TestPanicsAreFailuresWithAStack(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		oops := task.New("tasks.oops", func(context.Context, none) (int, error) { panic("oops") })
		h := start(t, plan{opts: opts, tasks: []task.Definition{oops, add()}})
		remote := h.wantFailure(h.send(oops.S(none{})), "Panic")
		if remote.Message != "oops" || len(remote.Traceback) < 100 {
			t.Errorf("message %q, traceback %q", remote.Message, remote.Traceback)
		}
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
	})
}

func TestResultsThatCannotBeEncodedAreFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		odd := task.New("tasks.odd", func(context.Context, none) (any, error) { return make(chan int), nil })
		h := start(t, plan{tasks: []task.Definition{odd}})
		h.wantFailure(h.send(odd.S(none{})), "EncodeError")
	})
}

func TestUnregisteredTasksFailAndGoToTheDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: []task.Definition{add()}})
		remote := h.wantFailure(h.send(task.Signature{Task: "no.such.task"}), "NotRegistered")
		if !errors.Is(remote, task.ErrNotRegistered) || remote.Message != "no.such.task" {
			t.Errorf("remote = %v", remote)
		}
		synctest.Wait()
		h.wantWaiting(dead, 1)
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
	})
}

func TestMalformedMessagesGoToTheDeadLettersAndTheWorkerGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: []task.Definition{add()}})
		bad := []broker.Message{
			{},
			{ContentType: "application/json", Body: []byte(`{"no": "task"}`)},
			{ContentType: "application/x-python-serialize", Body: []byte("\x80\x04K\x01."), Headers: broker.Table{"task": "t", "id": "1"}},
			{ContentType: "application/json", Body: []byte(`[[1], {}`), Headers: broker.Table{"task": "t", "id": "2"}},
			{ContentType: "application/json", Body: []byte(`[[1], {}, {}]`), Headers: broker.Table{"task": "tasks.add"}},
			{ContentType: "application/json", Body: []byte(`[[1], {}, {}]`), Headers: broker.Table{"task": "tasks.add", "id": "3", "eta": "soon"}},
		}
		for _, msg := range bad {
			h.publish(msg)
		}
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
		synctest.Wait()
		h.wantWaiting(dead, len(bad))
	})
}

func TestTheLastTaskOfAChainRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: []task.Definition{add()}})
		h.publish(broker.Message{
			ContentType: "application/json", ContentEncoding: "utf-8", Headers: broker.Table{"task": "tasks.add", "id": "1"},
			Body: []byte(`[[1, 2], {}, {"callbacks": null, "errbacks": [], "chain": [], "chord": null}]`),
		})
		wantValue(t, h.outcome("1"), 3)
	})
}

func TestRetriesKeepTheIDAndCount(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		var tries atomic.Int32
		flaky := task.New("tasks.flaky", func(ctx context.Context, n int) (int, error) {
			r := task.FromContext(ctx)
			if int(tries.Add(1)) != r.Retries+1 || r.Headers["tenant"] != "acme" {
				return 0, task.Permanent(fmt.Errorf("retries = %d, headers = %v", r.Retries, r.Headers))
			}
			if r.Retries < n {
				return 0, errors.New("not yet")
			}
			return r.Retries, nil
		}, task.Retry(task.RetryPolicy{Backoff: time.Second, NoJitter: true, Max: 5}))
		h := start(t, plan{opts: opts, tasks: []task.Definition{flaky}})
		began := time.Now()
		id := h.send(flaky.S(3, task.Header("tenant", "acme")))
		wantValue(t, h.outcome(id), 3)
		if took := time.Since(began); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("three retries with back-off took %s, want 1+2+4 s", took)
		}
	})
}

// Celery sends a retry to the exchange that the task came by, and so to all queues of it.
func TestARetryGoesToTheQueueThatTheTaskCameFrom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		once := task.New("tasks.once", func(ctx context.Context, _ none) (int, error) {
			if task.FromContext(ctx).Retries == 0 {
				return 0, task.RetryAfter(errors.New("not yet"), time.Minute)
			}
			return 1, nil
		})
		h := start(t, plan{tasks: []task.Definition{once}})
		if err := h.broker.Declare(t.Context(), broker.Topology{
			Exchanges: []broker.Exchange{{Name: "all", Kind: broker.Fanout}}, Queues: []broker.Queue{{Name: elsewhere}},
			Bindings: []broker.Binding{{Exchange: "all", Queue: queue}, {Exchange: "all", Queue: elsewhere}},
		}); err != nil {
			t.Fatal(err)
		}
		msg, err := wire.Encode(wire.Outgoing{Signature: withID(once.S(none{}), "1"), Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.broker.Publish(t.Context(), broker.Address{Exchange: "all", RoutingKey: "key"}, msg); err != nil {
			t.Fatal(err)
		}
		wantValue(t, h.outcome("1"), 1)
		h.wantWaiting(elsewhere, 1)
	})
}

func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		hopeless := task.New("tasks.hopeless", func(context.Context, none) (int, error) {
			tries.Add(1)
			return 0, task.RetryAfter(task.Raise("OSError", "down"), time.Minute)
		}, task.Retry(task.RetryPolicy{Max: 2, If: func(error) bool { return false }}))
		h := start(t, plan{tasks: []task.Definition{hopeless}})
		h.wantFailure(h.send(hopeless.S(none{})), "OSError")
		if tries.Load() != 3 {
			t.Errorf("%d tries, want 3", tries.Load())
		}
	})
}

func TestRetryingShowsTheState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		once := task.New("tasks.once", func(ctx context.Context, _ none) (int, error) {
			if task.FromContext(ctx).Retries == 0 {
				return 0, task.RetryAfter(errors.New("not yet"), time.Minute)
			}
			return 1, nil
		})
		h := start(t, plan{tasks: []task.Definition{once}})
		id := h.send(once.S(none{}))
		synctest.Wait()
		meta, err := h.results.Get(t.Context(), id)
		if err != nil || meta.State != task.Retried || meta.Err() == nil {
			t.Errorf("meta = %+v, %v; want RETRY with its reason", meta, err)
		}
		if len(meta.Children) != 1 || meta.Children[0].ID != id { // what Celery's results-rpc/retry_ok-1-RETRY has
			t.Errorf("children = %+v, want the next try", meta.Children)
		}
		wantValue(t, h.outcome(id), 1)
	})
}

func TestExpiredTasksAreRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		block := task.New("tasks.block", func(context.Context, none) (int, error) { <-hold; return 0, nil })
		h := start(t, plan{opts: worker.Options{Pool: pool.Solo}, tasks: []task.Definition{block, add()}})
		h.send(block.S(none{}))
		s := add().S(pair{1, 2})
		s.Expires = time.Now().Add(time.Minute)
		id := h.send(s) // prefetched, so that the broker cannot drop it
		time.Sleep(2 * time.Minute)
		close(hold)
		meta := h.outcome(id)
		if remote, _ := errors.AsType[*task.RemoteError](meta.Err()); meta.State != task.Revoked || remote == nil || remote.Message != "expired" || !errors.Is(remote, task.ErrRevoked) {
			t.Errorf("outcome = %s %v, want REVOKED expired", meta.State, meta.Err())
		}
	})
}

func TestTasksWaitForTheirTimeInTheBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ran atomic.Int64
		began := time.Now()
		when := task.New("tasks.when", func(context.Context, none) (int, error) {
			ran.Store(int64(time.Since(began)))
			return 0, nil
		})
		h := start(t, plan{opts: worker.Options{Pool: pool.Solo}, tasks: []task.Definition{when, add()}})
		var ids []string
		for range 10 { // more than the prefetch
			s := when.S(none{})
			s.ETA = began.Add(time.Hour)
			ids = append(ids, h.send(s))
		}
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3) // not behind them
		if time.Since(began) > time.Minute {
			t.Errorf("an ordinary task waited %s behind delayed ones", time.Since(began))
		}
		for _, id := range ids {
			h.outcome(id)
		}
		if got := time.Duration(ran.Load()); got < time.Hour || got > time.Hour+time.Second {
			t.Errorf("the task ran after %s, want an hour", got)
		}
	})
}

func TestRejectRequeueAndIgnore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reject := task.New("tasks.reject", func(context.Context, none) (int, error) { return 0, task.Reject(errors.New("not mine")) })
		var seen atomic.Int32
		requeue := task.New("tasks.requeue", func(ctx context.Context, _ none) (bool, error) {
			if seen.Add(1) == 1 {
				return false, task.Requeue(nil)
			}
			return task.FromContext(ctx).Redelivered, nil
		})
		ignore := task.New("tasks.ignore", func(context.Context, none) (int, error) { return 0, task.ErrIgnore })
		h := start(t, plan{tasks: []task.Definition{reject, requeue, ignore}})
		h.wantFailure(h.send(reject.S(none{})), "Reject")
		wantValue(t, h.outcome(h.send(requeue.S(none{}))), true)
		ignored := h.send(ignore.S(none{}))
		synctest.Wait()
		if meta, err := h.results.Get(t.Context(), ignored); err != nil || meta.State != task.Pending {
			t.Errorf("ignored task: %s, %v", meta.State, err)
		}
		h.wantWaiting(dead, 1)
		h.wantWaiting(queue, 0)
	})
}

func TestFailuresGoToTheDeadLettersWhenTheTaskSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fail := task.New("tasks.fail", func(context.Context, none) (int, error) { return 0, errors.New("boom") }, task.RejectOnFailure())
		h := start(t, plan{tasks: []task.Definition{fail}})
		h.wantFailure(h.send(fail.S(none{})), "Exception")
		synctest.Wait()
		h.wantWaiting(dead, 1)
	})
}

func TestTheMessageSaysWhetherTheResultIsKept(t *testing.T) {
	t.Parallel()
	quiet := task.New("tasks.quiet", func(ctx context.Context, _ none) (int, error) {
		if task.FromContext(ctx).Retries == 0 { // its retry must not ask for what the first message left to the task
			return 0, task.RetryAfter(errors.New("once more"), time.Second)
		}
		return 1, nil
	}, task.IgnoreResult())
	for name, tt := range map[string]struct {
		opts   []task.SendOption
		absent bool
		want   task.State
	}{
		"the task's own":   {want: task.Pending},
		"kept by the call": {opts: []task.SendOption{task.KeepResult()}, want: task.Success},
		"left to the task": {opts: []task.SendOption{task.KeepResult()}, absent: true, want: task.Pending},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, plan{tasks: []task.Definition{quiet}})
			msg, err := wire.Encode(wire.Outgoing{Signature: quiet.S(none{}, append(tt.opts, task.ID("i"))...), Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if tt.absent {
				delete(msg.Headers, "ignore_result")
			}
			h.publish(msg)
			time.Sleep(time.Minute)
			synctest.Wait()
			if meta, err := h.results.Get(t.Context(), "i"); err != nil || meta.State != tt.want {
				t.Errorf("%s: meta = %+v, %v; want %s", name, meta, err, tt.want)
			}
		})
	}
}

func TestIgnoredResultsAreNotStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: []task.Definition{add()}})
		id := h.send(add().S(pair{1, 2}, task.IgnoreResult()))
		synctest.Wait()
		if meta, err := h.results.Get(t.Context(), id); err != nil || meta.State != task.Pending {
			t.Errorf("meta = %+v, %v", meta, err)
		}
		if s := h.worker.Stats(); s.Settled != 1 {
			t.Errorf("settled = %d, want 1", s.Settled)
		}
	})
}
