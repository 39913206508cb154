package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// gated is a store that keeps nothing before it is opened.
type gated struct {
	result.Backend
	open chan struct{}
}

func newGated() gated { return gated{resultmem.New(resultmem.Config{}), make(chan struct{})} }

func (g gated) Store(ctx context.Context, m task.Meta) error {
	select {
	case <-g.open:
		return g.Backend.Store(ctx, m)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noting is a task that notes what it was called with.
func noting(ran *[]int, opts ...task.Option) *task.Task[int, int] {
	return task.New("tasks.noting", func(_ context.Context, n int) (int, error) {
		*ran = append(*ran, n) // one slot
		return n, nil
	}, opts...)
}

func TestASlotIsFreeWhileAnOutcomeIsBeingStored(t *testing.T) {
	t.Parallel()
	for _, kind := range []pool.Kind{pool.Goroutines, pool.Threads} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var ran []int
				double, store := noting(&ran), newGated()
				h := start(t, plan{opts: worker.Options{Pool: kind, Concurrency: 1, PrefetchMultiplier: 5}, results: store, tasks: []task.Definition{double}})
				var ids []string
				for i := range 8 {
					ids = append(ids, h.send(double.S(i)))
				}
				synctest.Wait()
				if want := []int{0, 1, 2, 3, 4}; !slices.Equal(ran, want) { // the broker sends no more
					t.Errorf("ran %v while no outcome was stored, want %v", ran, want)
				}
				if s := h.worker.Stats(); s.Settled != 0 || s.Running != 5 || s.Pool.Busy != 0 {
					t.Errorf("stats = %+v, want 5 unsettled tasks and an idle slot", s)
				}
				close(store.open)
				for i, id := range ids {
					wantValue(t, h.outcome(id), i)
				}
				synctest.Wait()
				h.wantWaiting(queue, 0)
			})
		})
	}
}

func TestTheSoloPoolStoresAnOutcomeBeforeItsNextTask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ran []int
		double, store := noting(&ran), newGated()
		h := start(t, plan{opts: worker.Options{Pool: pool.Solo, PrefetchMultiplier: 5}, results: store, tasks: []task.Definition{double}})
		for i := range 3 {
			h.send(double.S(i))
		}
		synctest.Wait()
		if len(ran) != 1 {
			t.Errorf("ran %v before the first outcome was stored", ran)
		}
		close(store.open)
	})
}

// What is acknowledged early is bounded by no prefetch.
func TestWhatIsSettledBesideTheSlotsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ran []int
		double, store := noting(&ran, task.AckEarly()), newGated()
		h := start(t, plan{opts: worker.Options{Concurrency: 1}, results: store, tasks: []task.Definition{double}})
		const sent = 200
		var last string
		for i := range sent {
			last = h.send(double.S(i))
		}
		synctest.Wait()
		if len(ran) != 128+1 {
			t.Errorf("%d ran, want 128 beside the slot and one on it", len(ran))
		}
		close(store.open)
		wantValue(t, h.outcome(last), sent-1)
	})
}

// away is a store that refuses until it is back.
type away struct {
	result.Backend
	back chan struct{}
}

func (a away) Store(ctx context.Context, m task.Meta) error {
	select {
	case <-a.back:
		return a.Backend.Store(ctx, m)
	default:
		return result.ErrUnavailable
	}
}

func TestWhileTheStoreIsAwaySlotsWaitForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ran []int
		double, store := noting(&ran), away{resultmem.New(resultmem.Config{}), make(chan struct{})}
		h := start(t, plan{opts: worker.Options{Concurrency: 1, PrefetchMultiplier: 9}, results: store, tasks: []task.Definition{double}})
		h.send(double.S(0))
		synctest.Wait() // it is known to be away
		var ids []string
		for i := range 5 {
			ids = append(ids, h.send(double.S(i+1)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []int{0, 1}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v: one more, whose slot waits", ran, want)
		}
		close(store.back)
		for i, id := range ids {
			wantValue(t, h.outcome(id), i+1)
		}
	})
}

func TestAShutdownWaitsForWhatIsSettledBesideTheSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ran []int
		double, store := noting(&ran), newGated()
		h := start(t, plan{opts: worker.Options{Concurrency: 1, PrefetchMultiplier: 5}, results: store, tasks: []task.Definition{double}})
		for i := range 3 {
			h.send(double.S(i))
		}
		synctest.Wait()
		h.cancel()
		time.Sleep(time.Second)
		select {
		case err := <-h.ended:
			t.Fatalf("Run = %v while outcomes were being stored", err)
		default:
		}
		close(store.open)
		if err := h.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
		if s := h.worker.Stats(); s.Settled != 3 || s.Lost != 0 || s.Running != 0 {
			t.Errorf("stats = %+v, want all settled", s)
		}
		h.wantWaiting(queue, 0)
	})
}

// buffer is a result that its slot uses again.
type buffer struct{ Text string }

func TestWhatATaskReturnsIsEncodedBeforeItsSlotGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var shared buffer
		fill := task.New("tasks.fill", func(_ context.Context, text string) (*buffer, error) {
			shared.Text = text
			return &shared, nil
		})
		store := newGated()
		h := start(t, plan{opts: worker.Options{Concurrency: 1, PrefetchMultiplier: 5}, results: store, tasks: []task.Definition{fill}})
		var ids []string
		for i := range 4 {
			ids = append(ids, h.send(fill.S(strconv.Itoa(i))))
		}
		synctest.Wait()
		close(store.open)
		for i, id := range ids {
			wantValue(t, h.outcome(id), buffer{strconv.Itoa(i)})
		}
	})
}

// unspeakable is an error that cannot be told.
type unspeakable struct{}

func (unspeakable) Error() string { panic("no words") }

func TestAPanicWhileSettlingDoesNotEndTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fail := task.New("tasks.fail", func(context.Context, none) (int, error) { return 0, errors.Join(unspeakable{}) })
		h := start(t, plan{opts: worker.Options{Concurrency: 1, PrefetchMultiplier: 5}, tasks: []task.Definition{fail, add()}})
		h.send(fail.S(none{}))
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
		if err := h.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
		h.wantWaiting(queue, 1) // it was not settled
	})
}

// mute is a result that can be encoded and not be shown.
type mute struct{ unspeakable }

func (mute) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

func TestAResultThatCannotBeShownIsSettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hush := task.New("tasks.hush", func(context.Context, none) (mute, error) { return mute{}, nil })
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		h := start(t, plan{opts: worker.Options{Concurrency: 1, PrefetchMultiplier: 5}, tasks: []task.Definition{hush}, logger: log})
		wantValue(t, h.outcome(h.send(hush.S(none{}))), 1)
		if err := h.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
		h.wantWaiting(queue, 0)
	})
}

func TestGoroutinesThatHaveNothingToSettleEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ran []int
		double, store := noting(&ran), newGated()
		h := start(t, plan{opts: worker.Options{Concurrency: 1, PrefetchMultiplier: 20}, results: store, tasks: []task.Definition{double}})
		for i := range 20 {
			h.send(double.S(i))
		}
		synctest.Wait()
		if n := h.worker.Settlers(); n != 20 {
			t.Errorf("%d goroutines settle 20 tasks", n)
		}
		close(store.open)
		time.Sleep(time.Second)
		wantValue(t, h.outcome(h.send(double.S(20))), 20)
		if n := h.worker.Settlers(); n != 20 {
			t.Errorf("there are %d goroutines, of which one should have settled the next task", n)
		}
		time.Sleep(time.Minute)
		if n := h.worker.Settlers(); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
		wantValue(t, h.outcome(h.send(double.S(21))), 21)
	})
}
