package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker/mem"
	limitmem "github.com/seed-399731e2/taskq/limit/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// starts are when calls of a task started, by the key that the test gives them.
type starts struct {
	mu sync.Mutex
	at map[string][]time.Time
}

func (s *starts) note(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[string][]time.Time{}
	}
	s.at[key] = append(s.at[key], time.Now())
}

func (s *starts) of(key string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	times := slices.Clone(s.at[key])
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// wantRate checks that in every window there were no more starts than the rate allows, and so many at once besides.
func wantRate(t *testing.T, times []time.Time, every time.Duration, burst int) {
	t.Helper()
	for i, from := range times {
		for j := i; j < len(times); j++ {
			window := times[j].Sub(from)
			if got, most := j-i+1, int(window/every)+burst; got > most {
				t.Fatalf("%d starts within %s, want no more than %d", got, window, most)
			}
		}
	}
}

// work is a task whose calls note when they start.
func work(s *starts, opts ...task.Option) *task.Task[string, none] {
	return task.New("tasks.work", func(_ context.Context, key string) (none, error) { s.note(key); return none{}, nil }, opts...)
}

func TestARateIsKeptAndHoldsUpNobodyElse(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		var s starts
		limited := work(&s, task.RateLimit("20/s"))
		h := start(t, plan{opts: opts, tasks: []task.Definition{limited, add()}})
		began := time.Now()
		var ids []string
		for range 200 {
			ids = append(ids, h.send(limited.S("")))
		}
		for i := range 20 { // behind them in the queue
			wantValue(t, h.outcome(h.send(add().S(pair{i, 1}))), i+1)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("tasks without a limit had to wait for %s", took)
		}
		for _, id := range ids {
			if m := h.outcome(id); m.State != task.Success {
				t.Fatalf("outcome = %s %v", m.State, m.Err())
			}
		}
		times := s.of("")
		wantRate(t, times, 50*time.Millisecond, 1)
		if took := times[len(times)-1].Sub(times[0]); len(times) != 200 || took > 11*time.Second {
			t.Errorf("%d calls took %s, want 200 in 10 s", len(times), took)
		}
	})
}

func TestASlowRateIsKeptBeyondTheHorizonOfItsTurns(t *testing.T) {
	t.Parallel()
	for _, rate := range []struct {
		text  string
		every time.Duration
		calls int
		most  time.Duration
	}{
		{"10/m", 6 * time.Second, 50, 6 * time.Minute},
		{"2/h", 30 * time.Minute, 6, 5 * time.Hour},
		{"20/s", 50 * time.Millisecond, 1500, 3 * time.Minute},
	} {
		t.Run(rate.text, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s starts
				limited := work(&s, task.RateLimit(rate.text))
				h := start(t, plan{tasks: []task.Definition{limited}})
				var ids []string
				for range rate.calls {
					ids = append(ids, h.send(limited.S("")))
				}
				for _, id := range ids {
					h.outcome(id)
				}
				times := s.of("")
				wantRate(t, times, rate.every, 1)
				if took := times[len(times)-1].Sub(times[0]); len(times) != rate.calls || took > rate.most {
					t.Errorf("%d calls took %s, want %d in less than %s", len(times), took, rate.calls, rate.most)
				}
			})
		})
	}
}

func TestWhatIsBeyondTheHorizonComesOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s starts
		limited := work(&s, task.RateLimit("20/s"))
		h := start(t, plan{tasks: []task.Definition{limited}})
		for range 4000 {
			h.send(limited.S(""))
		}
		time.Sleep(time.Second)
		for received := h.worker.Stats().Received; len(s.of("")) < 4000; {
			time.Sleep(time.Second)
			now := h.worker.Stats().Received
			if now-received > 200 {
				t.Fatalf("%d came within a second, at 20/s", now-received)
			}
			received = now
		}
		if n := h.worker.Stats().Received; n > 4*4000 {
			t.Errorf("4000 calls came %d times", n)
		}
	})
}

func TestABurstMayStartAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s starts
		limited := work(&s, task.RateLimit("1/s", task.Burst(5)))
		h := start(t, plan{tasks: []task.Definition{limited}})
		for range 10 {
			h.send(limited.S(""))
		}
		synctest.Wait()
		if got := len(s.of("")); got != 5 {
			t.Errorf("%d calls started at once, want the burst of 5", got)
		}
		time.Sleep(10 * time.Second)
		wantRate(t, s.of(""), time.Second, 5)
		if got := len(s.of("")); got != 10 {
			t.Errorf("%d calls started, want 10", got)
		}
	})
}

func TestRatesPerKeyAreCountedApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s starts
		limited := work(&s, task.RateLimit("1/s", task.PerArgument("arg")))
		h := start(t, plan{tasks: []task.Definition{limited}})
		for i := range 100 {
			h.send(limited.S(fmt.Sprint(i % 10)))
		}
		time.Sleep(9*time.Second + time.Millisecond)
		for i := range 10 {
			times := s.of(fmt.Sprint(i))
			wantRate(t, times, time.Second, 1)
			if len(times) != 10 {
				t.Errorf("key %d: %d starts in 9 s, want 10", i, len(times))
			}
		}
	})
}

func TestEachWorkerCountsForItselfUnlessTheRateIsClusterWide(t *testing.T) {
	t.Parallel()
	for _, cluster := range []bool{false, true} {
		t.Run(fmt.Sprint(cluster), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var all starts
				store := limitmem.New()
				opts := []task.LimitOption{}
				if cluster {
					opts = append(opts, task.ClusterWide())
				}
				var houses []*house
				server := mem.NewServer()
				for i := range 2 {
					limited := task.New("tasks.work", func(context.Context, none) (none, error) {
						all.note("")
						all.note(fmt.Sprint(i))
						return none{}, nil
					}, task.RateLimit("20/s", opts...))
					houses = append(houses, start(t, plan{server: server, limits: store, tasks: []task.Definition{limited}}))
				}
				for range 400 {
					houses[0].send(task.Signature{Task: "tasks.work"})
				}
				time.Sleep(5 * time.Second)
				if total := len(all.of("")); total < 95 || cluster && total > 102 {
					t.Errorf("%d starts in 5 s", total)
				}
				if cluster {
					wantRate(t, all.of(""), 50*time.Millisecond, 2)
					return
				}
				for i := range 2 {
					wantRate(t, all.of(fmt.Sprint(i)), 50*time.Millisecond, 12) // startSlack may be made up for
				}
			})
		})
	}
}

// A worker that was away finds the turns of a minute in its queue, and starts them no faster than it may.
func TestTurnsThatAreLateStartNoFasterThanTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s starts
		server := mem.NewServer()
		first := start(t, plan{server: server, tasks: []task.Definition{work(&s, task.RateLimit("20/s"))}})
		limited := work(&s, task.RateLimit("20/s"))
		for range 1000 {
			first.send(limited.S(""))
		}
		time.Sleep(time.Second)
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		before := len(s.of(""))
		start(t, plan{server: server, tasks: []task.Definition{limited}})
		time.Sleep(5 * time.Minute)
		times := s.of("")
		if len(times) != 1000 {
			t.Errorf("%d calls started, want 1000", len(times))
		}
		wantRate(t, times[before:], 50*time.Millisecond, 12)
	})
}

func TestWhatWaitsForItsRateStillExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s starts
		limited := work(&s, task.RateLimit("1/m"))
		h := start(t, plan{tasks: []task.Definition{limited}})
		h.outcome(h.send(limited.S("")))
		began := time.Now()
		m := h.outcome(h.send(limited.S("", task.ExpiresIn(10*time.Second))))
		if took := time.Since(began); m.State != task.Revoked || took > 11*time.Second {
			t.Errorf("outcome after %s = %s, want REVOKED after 10 s", took, m.State)
		}
		if got := len(s.of("")); got != 1 {
			t.Errorf("%d calls started", got)
		}
	})
}
