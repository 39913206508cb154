package limittest

import (
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/limit"
)

// Benchmark measures places that are taken and given back, and turns, per second: of one caller, of 50 with a key each, and of 50 that
// share one.
func Benchmark(b *testing.B, s limit.Store) {
	b.Helper()
	for _, callers := range []int{1, 50} {
		for _, keys := range []int{1, callers} {
			name := fmt.Sprintf("%d callers/%d keys", callers, keys)
			b.Run("acquire and release/"+name, func(b *testing.B) {
				perSecond(b, callers, keys, func(key, owner string) error {
					if _, err := s.Acquire(b.Context(), limit.Claim{Key: key, Owner: owner, Places: callers, TTL: time.Minute}); err != nil {
						return err
					}
					return s.Release(b.Context(), key, owner)
				})
			})
			b.Run("reserve/"+name, func(b *testing.B) {
				perSecond(b, callers, keys, func(key, _ string) error {
					_, err := s.Reserve(b.Context(), key, limit.Rate{Every: time.Microsecond}, time.Hour)
					return err
				})
			})
			if callers == 1 {
				break
			}
		}
	}
}

// perSecond runs fn from so many goroutines.
func perSecond(b *testing.B, callers, keys int, fn func(key, owner string) error) {
	b.Helper()
	b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
	if callers == 1 {
		for i := 0; b.Loop(); i++ {
			if err := fn("bench", "one"); err != nil {
				b.Fatal(err)
			}
		}
	} else {
		var next atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			n := int(next.Add(1))
			key, owner := "bench "+strconv.Itoa(n%keys), strconv.Itoa(n)
			for pb.Next() {
				if err := fn(key, owner); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
}
