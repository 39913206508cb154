package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/limit"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func TestALostLockEndsTheTaskWhichRunsAgainWhenItMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := limitmem.New()
		var causes []error
		unique := task.New("tasks.unique", func(ctx context.Context, _ none) (string, error) {
			if len(causes) > 0 {
				return "done", nil
			}
			<-ctx.Done()
			causes = append(causes, context.Cause(ctx))
			return "", ctx.Err()
		}, task.Unique(task.PerTask(), 30*time.Second, task.Both))
		h := start(t, plan{limits: store, tasks: []task.Definition{unique}})
		id := h.send(unique.S(none{}))
		synctest.Wait()
		key := limit.TaskKey(limit.KindUnique, "tasks.unique", "")
		if err := store.Release(t.Context(), key, id); err != nil { // as if its time had been over while the process was stopped
			t.Fatal(err)
		}
		if _, err := store.Acquire(t.Context(), limit.Claim{Key: key, Owner: "other", Places: 1, TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		wantValue(t, h.outcome(id), "done")
		if took := time.Since(began); took < time.Minute || took > 75*time.Second {
			t.Errorf("it ran again after %s, want the minute of the other one", took)
		}
		if !slices.Equal(causes, []error{task.ErrLockLost}) {
			t.Errorf("causes = %v", causes)
		}
	})
}

// absent is a limit store that can be away.
type absent struct {
	limit.Store
	away  atomic.Bool
	asked atomic.Int64
}

func (a *absent) check() error {
	a.asked.Add(1)
	if a.away.Load() {
		return fmt.Errorf("absent: %w", limit.ErrUnavailable)
	}
	return nil
}

func (a *absent) Acquire(ctx context.Context, c limit.Claim) (limit.Grant, error) {
	if err := a.check(); err != nil {
		return limit.Grant{}, err
	}
	return a.Store.Acquire(ctx, c)
}

func (a *absent) Extend(ctx context.Context, key, owner string, ttl time.Duration) error {
	if err := a.check(); err != nil {
		return err
	}
	return a.Store.Extend(ctx, key, owner, ttl)
}

func (a *absent) Release(ctx context.Context, key, owner string) error {
	if err := a.check(); err != nil {
		return err
	}
	return a.Store.Release(ctx, key, owner)
}

func TestWhileTheStoreIsAwayNothingRunsUnprotectedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		store := &absent{Store: limitmem.New()}
		store.away.Store(true)
		unique := uniqueSlow(&running, task.Both)
		h := start(t, plan{opts: worker.Options{Concurrency: 4}, limits: store, tasks: []task.Definition{unique, add()}})
		var ids []string
		for i := range 100 {
			ids = append(ids, h.send(unique.S(fmt.Sprint(i))))
		}
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
		time.Sleep(time.Minute)
		if n := running.all.Load(); n != 0 {
			t.Errorf("%d ran while nobody could tell whether they might", n)
		}
		if n := store.asked.Load(); n > 100 {
			t.Errorf("the store was asked %d times while it was away", n)
		}
		store.away.Store(false)
		for _, id := range ids {
			if m := h.outcome(id); m.State != task.Success {
				t.Fatalf("outcome = %s %v", m.State, m.Err())
			}
		}
		if running.all.Load() != 100 {
			t.Errorf("%d ran, want 100", running.all.Load())
		}
	})
}

func TestAStoreThatIsAwayForLongerThanTheTimeOfAPlaceLosesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &absent{Store: limitmem.New()}
		lost := make(chan error, 1)
		unique := task.New("tasks.unique", func(ctx context.Context, _ none) (none, error) {
			<-ctx.Done()
			lost <- context.Cause(ctx)
			return none{}, nil // it has cleaned up, and says that it is done
		}, task.Unique(task.PerTask(), 30*time.Second, task.Running))
		h := start(t, plan{limits: store, tasks: []task.Definition{unique}})
		id := h.send(unique.S(none{}))
		time.Sleep(time.Minute)
		store.away.Store(true)
		began := time.Now()
		if cause := <-lost; !errors.Is(cause, task.ErrLockLost) {
			t.Errorf("cause = %v", cause)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the task was told after %s, when somebody else may have had its place", took)
		}
		if m := h.outcome(id); m.State != task.Success {
			t.Errorf("outcome = %s", m.State)
		}
		store.away.Store(false)
	})
}

func TestAKeyThatCouldNotBeGivenBackIsGivenBackLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		store := &absent{Store: limitmem.New()}
		unique := slow(&running, task.Unique(task.PerTask(), time.Hour, task.Both))
		h := start(t, plan{limits: store, tasks: []task.Definition{unique}})
		id := h.send(unique.S(""))
		synctest.Wait()
		store.away.Store(true)
		h.outcome(id)
		time.Sleep(time.Minute)
		store.away.Store(false)
		time.Sleep(time.Minute)
		if got := held(t, store, unique.Spec(), unique.S("")); got != "" {
			t.Errorf("the key is still held by %s", got)
		}
	})
}

// unsettled is a broker that takes every delivery back before it is settled.
type unsettled struct{ *mem.Broker }

func (b unsettled) Consume(ctx context.Context, cfg broker.ConsumeConfig) (broker.Consumer, error) {
	c, err := b.Broker.Consume(ctx, cfg)
	return unsettledConsumer{c}, err
}

type unsettledConsumer struct{ broker.Consumer }

func (c unsettledConsumer) Next(ctx context.Context) (*broker.Delivery, error) {
	d, err := c.Consumer.Next(ctx)
	if err != nil {
		return nil, err
	}
	lost := broker.NewDelivery(d.Message, func(context.Context, broker.Disposition) error { return broker.ErrStale })
	lost.Queue = d.Queue
	return lost, nil
}

func TestADeliveryThatIsLostLeavesItsKeyToWhoeverGetsItAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		store, unique := limitmem.New(), uniqueSlow(&running, task.Both)
		h := start(t, plan{limits: store, tasks: []task.Definition{unique}, wrap: func(b *mem.Broker) broker.Broker { return unsettled{b} }})
		id := h.send(unique.S("a"))
		h.outcome(id)
		synctest.Wait()
		if got := held(t, store, unique.Spec(), unique.S("a")); got != id {
			t.Errorf("the key is held by %q, want %q, which runs elsewhere by now", got, id)
		}
	})
}

func TestAKeyThatWasLostIsNotGivenBackByWhoHadIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := limitmem.New()
		unique := task.New("tasks.unique", func(ctx context.Context, _ none) (none, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			return none{}, nil
		}, task.Unique(task.PerTask(), 30*time.Second, task.Both))
		h := start(t, plan{limits: store, tasks: []task.Definition{unique}})
		id := h.send(unique.S(none{}))
		synctest.Wait()
		key := limit.TaskKey(limit.KindUnique, "tasks.unique", "")
		if err := store.Release(t.Context(), key, id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second + time.Millisecond)                                                                        // it learns of it
		if _, err := store.Acquire(t.Context(), limit.Claim{Key: key, Owner: id, Places: 1, TTL: time.Minute}); err != nil { // delivered again, elsewhere
			t.Fatal(err)
		}
		h.outcome(id)
		synctest.Wait()
		if got := held(t, store, unique.Spec(), unique.S(none{})); got != id {
			t.Errorf("the key is held by %q, want %q", got, id)
		}
	})
}

func TestATaskThatWasAcknowledgedEarlyFailsWhenItsLockIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := limitmem.New()
		unique := task.New("tasks.unique", func(ctx context.Context, _ none) (none, error) {
			<-ctx.Done()
			return none{}, ctx.Err()
		}, task.Unique(task.PerTask(), 30*time.Second, task.Running), task.AckEarly())
		h := start(t, plan{limits: store, tasks: []task.Definition{unique}})
		id := h.send(unique.S(none{}))
		synctest.Wait()
		if err := store.Release(t.Context(), limit.TaskKey(limit.KindUnique, "tasks.unique", ""), id); err != nil {
			t.Fatal(err)
		}
		if m := h.outcome(id); m.State != task.Failure || !strings.Contains(fmt.Sprint(m.Err()), "lock lost") {
			t.Errorf("outcome = %s %v", m.State, m.Err())
		}
	})
}

// A place is lost while the call waits for a slot: it does not start.
func TestATaskWhosePlaceIsLostBeforeItStartsWaitsForOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running crowd
		store := limitmem.New()
		unique := uniqueSlow(&running, task.Running)
		release := make(chan struct{})
		block := task.New("tasks.block", func(context.Context, none) (none, error) { <-release; return none{}, nil })
		h := start(t, plan{opts: worker.Options{Pool: pool.Threads, Concurrency: 1}, limits: store, tasks: []task.Definition{unique, block}})
		h.send(block.S(none{}))
		id := h.send(unique.S("a"))
		synctest.Wait()
		req, _ := unique.S("a").Request(nil)
		key, _ := unique.Spec().Unique.Key.Of(unique.Spec(), req)
		name := limit.TaskKey(limit.KindUnique, unique.Name(), key)
		if err := store.Release(t.Context(), name, id); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Acquire(t.Context(), limit.Claim{Key: name, Owner: "other", Places: 1, TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second) // it learns of it
		close(release)
		time.Sleep(10 * time.Second)
		if n := running.all.Load(); n != 0 {
			t.Errorf("%d ran beside the other one", n)
		}
		if m := h.outcome(id); m.State != task.Success {
			t.Errorf("outcome = %s", m.State)
		}
	})
}
