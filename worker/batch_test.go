package worker_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/pool"
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

func TestLimitsOfABatchTaskCountItsCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		sum := s.task(task.MaxConcurrent(2), task.BatchWait(time.Second))
		h := start(t, plan{tasks: []task.Definition{sum}})
		var ids []string
		for i := range 6 {
			ids = append(ids, h.send(sum.S(pair{i, i})))
		}
		for i, id := range ids {
			wantValue(t, h.outcome(id), 2*i)
		}
		sizes, _ := s.seen()
		total := 0
		for _, n := range sizes {
			if total += n; n > 2 {
				t.Errorf("batches of %v, want none of more than 2", sizes)
			}
		}
		if total != 6 {
			t.Errorf("%d calls ran, want 6", total)
		}
	})
}
