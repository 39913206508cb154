package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/limit"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// crowd counts how many calls run at once.
type crowd struct {
	now, most, all atomic.Int64
}

func (c *crowd) enter() (leave func()) {
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	c.all.Add(1)
	return func() { c.now.Add(-1) }
}

// slow is a task whose calls take a second.
func slow(c *crowd, opts ...task.Option) *task.Task[string, none] {
	return task.New("tasks.slow", func(ctx context.Context, _ string) (none, error) {
		defer c.enter()()
		select {
		case <-time.After(time.Second):
			return none{}, nil
		case <-ctx.Done():
			return none{}, ctx.Err()
		}
	}, opts...)
}

func TestNoMoreRunAtOnceThanMay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		opts []task.LimitOption
		most int64 // of both workers together
	}{
		{"each worker", nil, 4},
		{"cluster", []task.LimitOption{task.ClusterWide()}, 2},
		{"key", []task.LimitOption{task.ClusterWide(), task.PerArgument("arg")}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var running crowd
				server, store := mem.NewServer(), limitmem.New()
				var houses []*house
				for range 2 {
					limited := slow(&running, task.MaxConcurrent(2, c.opts...))
					houses = append(houses, start(t, plan{
						opts: worker.Options{Concurrency: 8}, server: server, limits: store, tasks: []task.Definition{limited, add()},
					}))
				}
				for i := range 60 {
					houses[0].send(slow(&running).S(fmt.Sprint(i % 3)))
				}
				began := time.Now()
				for running.all.Load() < 60 && time.Since(began) < time.Hour {
					time.Sleep(time.Second)
				}
				time.Sleep(2 * time.Second)
				if most := running.most.Load(); most != c.most {
					t.Errorf("%d ran at once, want %d", most, c.most)
				}
				if took := time.Since(began); running.all.Load() != 60 || took > 4*60*time.Second/time.Duration(c.most) {
					t.Errorf("%d ran in %s", running.all.Load(), took)
				}
			})
		})
	}
}

func TestWhatWaitsForAPlaceHoldsUpNobodyElse(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		var running crowd
		hours := task.New("tasks.hours", func(ctx context.Context, _ none) (none, error) {
			defer running.enter()()
			<-ctx.Done()
			return none{}, ctx.Err()
		}, task.MaxConcurrent(1))
		opts.Concurrency++
		if opts.Pool == pool.Solo {
			return // it has no slot besides the one
		}
		h := start(t, plan{opts: opts, tasks: []task.Definition{hours, add()}})
		for range 500 {
			h.send(hours.S(none{}))
		}
		for i := range 50 {
			wantValue(t, h.outcome(h.send(add().S(pair{i, 1}))), i+1)
		}
		received := h.worker.Stats().Received
		time.Sleep(time.Minute)
		if more := h.worker.Stats().Received - received; more > 6500 || running.all.Load() != 1 {
			t.Errorf("%d times a place was asked for in a minute, %d ran", more, running.all.Load())
		}
	})
}

func TestWhatWaitsForItsTurnHoldsNoPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		both := slow(&running, task.MaxConcurrent(1), task.RateLimit("1/h", task.PerArgument("arg")))
		h := start(t, plan{opts: worker.Options{Concurrency: 4}, tasks: []task.Definition{both}})
		h.outcome(h.send(both.S("a")))
		h.send(both.S("a"))
		synctest.Wait()
		began := time.Now()
		h.outcome(h.send(both.S("b")))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the place of a call that waits for its turn was free after %s", took)
		}
	})
}

func uniqueSlow(c *crowd, mode task.UniqueMode, opts ...task.Option) *task.Task[string, none] {
	return slow(c, append(opts, task.Unique(task.AllArguments(), time.Minute, mode))...)
}

func TestADuplicateThatDidNotAskIsRevokedUnlessItsOwnKeyIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		unique := uniqueSlow(&running, task.Both)
		h := start(t, plan{opts: worker.Options{Concurrency: 4}, limits: limitmem.New(), tasks: []task.Definition{unique}})
		first := h.send(unique.S("a"))
		synctest.Wait()
		second, other := h.send(unique.S("a")), h.send(unique.S("b"))
		m := h.outcome(second)
		remote, _ := errors.AsType[*task.RemoteError](m.Err())
		if m.State != task.Revoked || remote == nil || remote.Type != "TaskRevokedError" || remote.Message != "duplicate of "+first {
			t.Errorf("the duplicate's outcome = %s %v", m.State, m.Err())
		}
		for _, id := range []string{first, other} {
			if m := h.outcome(id); m.State != task.Success {
				t.Errorf("outcome = %s %v", m.State, m.Err())
			}
		}
		if m := h.outcome(h.send(unique.S("a"))); m.State != task.Success || running.all.Load() != 3 {
			t.Errorf("after the first had ended: %s, %d ran", m.State, running.all.Load())
		}
	})
}

func TestTwoOfOneKeyNeverRunAtOnceAndTheLaterWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		server, store := mem.NewServer(), limitmem.New()
		var h *house
		for range 2 {
			h = start(t, plan{
				opts: worker.Options{Concurrency: 4}, server: server, limits: store, tasks: []task.Definition{uniqueSlow(&running, task.Running)},
			})
		}
		for range 10 {
			h.send(uniqueSlow(&running, task.Running).S("a"))
		}
		time.Sleep(time.Minute)
		if running.most.Load() != 1 || running.all.Load() != 10 {
			t.Errorf("%d ran, %d at once; want 10, one at a time", running.all.Load(), running.most.Load())
		}
	})
}

// held reports whether the key of a call is taken, and by whom.
func held(t *testing.T, store limit.Store, spec *task.Spec, s task.Signature) string {
	t.Helper()
	req, err := s.Request(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := spec.Unique.Key.Of(spec, req)
	if err != nil {
		t.Fatal(err)
	}
	const probe = "probe"
	g, err := store.Acquire(t.Context(), limit.Claim{Key: limit.TaskKey(limit.KindUnique, spec.Name, key), Owner: probe, Places: 1, TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if g.Held {
		if err := store.Release(t.Context(), limit.TaskKey(limit.KindUnique, spec.Name, key), probe); err != nil {
			t.Fatal(err)
		}
	}
	return g.Holder
}

// Every way to end gives the key back, and what comes again keeps it.
func TestEveryEndingGivesTheKeyBack(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		run  func(context.Context) error
		opts []task.Option
		call []task.SendOption
		stop bool
		kept bool // two seconds after it was sent
	}{
		"success":           {run: func(context.Context) error { return nil }},
		"failure":           {run: func(context.Context) error { return errors.New("boom") }},
		"panic":             {run: func(context.Context) error { panic("boom") }},
		"ignored":           {run: func(context.Context) error { return task.ErrIgnore }},
		"rejected":          {run: func(context.Context) error { return task.Reject(errors.New("no")) }},
		"reject on failure": {run: func(context.Context) error { return errors.New("boom") }, opts: []task.Option{task.RejectOnFailure()}},
		"early ack":         {run: func(context.Context) error { return nil }, opts: []task.Option{task.AckEarly()}},
		"soft limit":        {run: wait, opts: []task.Option{task.SoftTimeLimit(time.Second)}},
		"hard limit":        {run: wait, opts: []task.Option{task.TimeLimit(time.Second)}},
		"expired":           {run: wait, call: []task.SendOption{task.Expires(time.Unix(1, 0))}},
		"no tries left":     {run: func(context.Context) error { return errors.New("boom") }, opts: []task.Option{task.Retry(task.RetryPolicy{Max: 1, Delay: time.Millisecond})}},
		"retried":           {run: func(context.Context) error { return task.RetryAfter(nil, time.Hour) }, kept: true},
		"early, not due":    {run: wait, call: []task.SendOption{task.Countdown(time.Hour)}, kept: true},
		"running":           {run: wait, kept: true},
		"stopped":           {run: wait, stop: true, kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := limitmem.New()
				for _, mode := range []task.UniqueMode{task.Both, task.Queued} {
					if mode == task.Queued && name == "running" || mode == task.Queued && name == "stopped" {
						continue // it has given the key back
					}
					opts := append([]task.Option{task.Unique(task.PerTask(), 2*time.Hour, mode)}, c.opts...)
					unique := task.New(fmt.Sprint("tasks.unique", mode), func(ctx context.Context, _ none) (none, error) { return none{}, c.run(ctx) }, opts...)
					h := start(t, plan{opts: worker.Options{Pool: pool.Threads, Concurrency: 1}, limits: store, tasks: []task.Definition{unique}})
					s := unique.S(none{}, append(c.call, task.ID("mine"))...)
					req, _ := s.Request(nil)
					key, _ := unique.Spec().Unique.Key.Of(unique.Spec(), req)
					if _, err := store.Acquire(t.Context(), limit.Claim{ // as its sender did
						Key: limit.TaskKey(limit.KindUnique, unique.Name(), key), Owner: "mine", Places: 1, TTL: 2 * time.Hour,
					}); err != nil {
						t.Fatal(err)
					}
					h.send(s)
					time.Sleep(2 * time.Second)
					if c.stop {
						h.cancel()
						h.worker.Terminate()
						_ = h.stop()
					}
					want := ""
					if c.kept {
						want = "mine"
					}
					if got := held(t, store, unique.Spec(), s); got != want {
						t.Errorf("mode %d: the key is held by %q, want %q", mode, got, want)
					}
				}
			})
		})
	}
}

func TestAKeyIsFreeOnceAQueuedTaskStarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		store, unique := limitmem.New(), uniqueSlow(&running, task.Queued)
		h := start(t, plan{limits: store, opts: worker.Options{Pool: pool.Threads, Concurrency: 1}, tasks: []task.Definition{unique}})
		h.send(unique.S("a"))
		synctest.Wait()
		if running.now.Load() != 1 || held(t, store, unique.Spec(), unique.S("a")) != "" {
			t.Errorf("%d run, the key is held by %q", running.now.Load(), held(t, store, unique.Spec(), unique.S("a")))
		}
	})
}

func TestPlacesOfADeadWorkerAreTakenAfterTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		store := limitmem.New()
		limited := slow(&running, task.MaxConcurrent(1, task.ClusterWide(), task.FreeAfter(30*time.Second)))
		claim := limit.Claim{Key: limit.TaskKey(limit.KindPlaces, limited.Name(), ""), Owner: "dead", Places: 1, TTL: 30 * time.Second}
		if _, err := store.Acquire(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
		h := start(t, plan{limits: store, tasks: []task.Definition{limited}})
		began := time.Now()
		h.outcome(h.send(limited.S("")))
		if took := time.Since(began); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("the dead one's place was taken after %s", took)
		}
	})
}

func TestPlacesAreHeldForAsLongAsTheTaskTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		hour := task.New("tasks.hour", func(context.Context, none) (none, error) {
			defer running.enter()()
			time.Sleep(time.Hour)
			return none{}, nil
		}, task.MaxConcurrent(1, task.ClusterWide(), task.FreeAfter(time.Second)), task.Unique(task.Key{}, time.Second, task.Running))
		h := start(t, plan{limits: limitmem.New(), tasks: []task.Definition{hour}})
		one, two := h.send(hour.S(none{})), h.send(hour.S(none{}))
		h.outcome(one)
		h.outcome(two)
		if running.most.Load() != 1 || running.all.Load() != 2 {
			t.Errorf("%d ran, %d at once", running.all.Load(), running.most.Load())
		}
	})
}

func TestACallWhoseKeyCannotBeToldFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		odd := slow(&running, task.Unique(task.PerKey(func(*task.Request) (string, error) { return "", errors.New("no tenant") }), time.Hour, task.Both))
		h := start(t, plan{limits: limitmem.New(), tasks: []task.Definition{odd}})
		if m := h.outcome(h.send(odd.S(""))); m.State != task.Failure || !strings.Contains(fmt.Sprint(m.Err()), "no tenant") {
			t.Errorf("outcome = %s %v", m.State, m.Err())
		}
	})
}

func TestATaskThatIsGivenUpHoldsItsPlaceWhileItRunsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		release := make(chan struct{})
		deaf := task.New("tasks.deaf", func(context.Context, none) (none, error) {
			defer running.enter()()
			<-release
			return none{}, nil
		}, task.TimeLimit(time.Second), task.MaxConcurrent(1))
		h := start(t, plan{opts: worker.Options{Concurrency: 4}, tasks: []task.Definition{deaf}})
		h.outcome(h.send(deaf.S(none{})))
		second := h.send(deaf.S(none{}))
		time.Sleep(time.Minute)
		if running.all.Load() != 1 {
			t.Errorf("%d run at once", running.now.Load())
		}
		close(release)
		h.outcome(second)
	})
}

func TestTasksThatNeedALimitStoreAreRefusedWithoutOne(t *testing.T) {
	t.Parallel()
	var running crowd
	var registry task.Registry
	if err := registry.Add(uniqueSlow(&running, task.Both)); err != nil {
		t.Fatal(err)
	}
	_, err := worker.New(worker.Config{Options: worker.Options{Queues: []string{queue}}, Broker: mem.NewServer().Open(), Registry: &registry})
	if err == nil || !strings.Contains(err.Error(), "tasks.slow") || !strings.Contains(err.Error(), "limit_store") {
		t.Errorf("err = %v", err)
	}
}
