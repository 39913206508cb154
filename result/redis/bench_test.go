package redis_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/task"
)

// BenchmarkStore compares storing with what Redis and its client can do at best: the same bytes, written and published without a look
// at what is there.
func BenchmarkStore(b *testing.B) {
	address := testserver.Redis(b)
	store := benchStore(b, address)
	options, err := rueidis.ParseURL(address)
	if err != nil {
		b.Fatal("the test's URL is none")
	}
	options.DisableCache, options.ForceSingleClient, options.PipelineMultiplex = true, true, 1
	client, err := rueidis.NewClient(options)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	doc := `{"status":"SUCCESS","result":3,"traceback":null,"children":[],"date_done":"2026-11-22T12:17:29.988725+00:00","task_id":"` + fmt.Sprint(1<<60) + `"}`
	for _, goroutines := range []int{1, 50, 500} {
		var best, ours float64
		b.Run(fmt.Sprintf("raw/%d", goroutines), func(b *testing.B) {
			best = rate(b, goroutines, func(ctx context.Context, i int64) error {
				key := "celery-task-meta-" + strconv.FormatInt(i, 10)
				for _, r := range client.DoMulti(ctx, client.B().Setex().Key(key).Seconds(86400).Value(doc).Build(),
					client.B().Publish().Channel(key).Message(doc).Build()) {
					if r.Error() != nil {
						return r.Error()
					}
				}
				return nil
			})
		})
		b.Run(fmt.Sprintf("ours/%d", goroutines), func(b *testing.B) {
			ours = rate(b, goroutines, func(ctx context.Context, i int64) error {
				return store.Store(ctx, task.Meta{ID: strconv.FormatInt(1<<60+i, 10), State: task.Success, Result: codec.Raw("3"), Children: []task.Ref{}})
			})
			if best > 0 {
				b.ReportMetric(100*ours/best, "%ofraw")
			}
		})
	}
}

// BenchmarkWait measures how many outcomes per second reach those who wait for them, 1000 at a time.
func BenchmarkWait(b *testing.B) {
	address := testserver.Redis(b)
	worker, client := benchStore(b, address), benchStore(b, address)
	var next atomic.Int64
	rate(b, 1000, func(ctx context.Context, _ int64) error {
		id := strconv.FormatInt(next.Add(1), 10)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := worker.Store(ctx, task.Meta{ID: id, State: task.Success, Result: codec.Raw("3")}); err != nil {
				b.Error(err)
			}
		})
		_, err := client.Wait(ctx, id)
		wg.Wait()
		return err
	})
}

func benchStore(b *testing.B, address string) *redis.Backend {
	b.Helper()
	store, err := redis.Open(b.Context(), redis.Config{URL: address})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
	})
	return store
}

// rate runs fn from so many goroutines and returns how often per second.
func rate(b *testing.B, goroutines int, fn func(ctx context.Context, i int64) error) float64 {
	b.Helper()
	b.SetParallelism(max(1, goroutines/runtime.GOMAXPROCS(0)))
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := fn(b.Context(), n.Add(1)); err != nil {
				b.Error(err)
			}
		}
	})
	perSecond := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(perSecond, "/s")
	return perSecond
}
