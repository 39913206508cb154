package mem_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/limit/limittest"
	"github.com/seed-399731e2/taskq/limit/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPassesTheSuite(t *testing.T) {
	t.Parallel()
	var stores sync.Map // by test: there is no other process, so a test's handles are one
	limittest.Run(t, limittest.Harness{
		Open: func(t *testing.T) limit.Store {
			t.Helper()
			s, _ := stores.LoadOrStore(t.Name(), mem.New())
			return s.(limit.Store)
		},
		Counted: func(*testing.T) (limit.Store, func() int) {
			s := mem.New()
			return s, s.Kept
		},
	})
}

func TestVirtualTimeIsKeptToTheNanosecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := mem.New()
		acquire := func(owner string) bool {
			t.Helper()
			g, err := s.Acquire(t.Context(), limit.Claim{Key: "k", Owner: owner, Places: 1, TTL: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			return g.Held
		}
		if !acquire("a") {
			t.Error("a did not get the place")
		}
		time.Sleep(time.Hour - 1)
		if acquire("b") {
			t.Error("b got the place before its end")
		}
		time.Sleep(time.Nanosecond)
		if !acquire("b") {
			t.Error("b did not get the place at its end")
		}
		start := time.Now()
		for i := range 100 {
			wait, err := s.Reserve(t.Context(), "k", limit.Rate{Every: time.Second, Burst: 10}, time.Hour)
			if want := max(0, time.Duration(i-9)*time.Second-time.Since(start)); err != nil || wait != want {
				t.Fatalf("turn %d is in %s, %v; want %s", i, wait, err, want)
			}
			time.Sleep(time.Duration(i%3) * 100 * time.Millisecond)
		}
	})
}

func BenchmarkStore(b *testing.B) { limittest.Benchmark(b, mem.New()) }
