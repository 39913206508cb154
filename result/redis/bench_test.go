package redis_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/result/resulttest"
	"github.com/seed-399731e2/taskq/task"
)

// BenchmarkStore compares storing with the same bytes written and published without a look at what is there, which is the best there is,
// and with Celery's commands: a look, then a transaction.
func BenchmarkStore(b *testing.B) {
	address := testserver.Redis(b)
	store, client := benchStore(b, address), benchClient(b, address)
	const doc = `{"status":"SUCCESS","result":3,"traceback":null,"children":[],"date_done":"2026-11-22T12:17:29.988725+00:00","task_id":"1"}`
	write := func(key string) []rueidis.Completed {
		return []rueidis.Completed{
			client.B().Setex().Key(key).Seconds(86400).Value(doc).Build(), client.B().Publish().Channel(key).Message(doc).Build(),
		}
	}
	for _, goroutines := range []int{1, 50, 500} {
		var best float64
		b.Run(fmt.Sprintf("unguarded/%d", goroutines), func(b *testing.B) {
			best = rate(b, goroutines, func(ctx context.Context, i int64) error {
				return first(client.DoMulti(ctx, write(fmt.Sprint("unguarded-", goroutines, "-", b.N, "-", i))...))
			})
		})
		b.Run(fmt.Sprintf("celery/%d", goroutines), func(b *testing.B) {
			rate(b, goroutines, func(ctx context.Context, i int64) error {
				key := fmt.Sprint("celery-", goroutines, "-", b.N, "-", i)
				if err := client.Do(ctx, client.B().Get().Key(key).Build()).Error(); err != nil && !rueidis.IsRedisNil(err) {
					return err
				}
				transaction := append([]rueidis.Completed{client.B().Multi().Build()}, write(key)...)
				return first(client.DoMulti(ctx, append(transaction, client.B().Exec().Build())...))
			})
		})
		b.Run(fmt.Sprintf("ours/%d", goroutines), func(b *testing.B) {
			ours := rate(b, goroutines, func(ctx context.Context, i int64) error {
				return store.Store(ctx, task.Meta{ID: fmt.Sprint(goroutines, "-", b.N, "-", i), State: task.Success, Result: codec.Raw("3"), Children: []task.Ref{}, DoneAt: time.Now()})
			})
			if best > 0 {
				b.ReportMetric(100*ours/best, "%ofbest")
			}
		})
	}
}

func first(replies []rueidis.RedisResult) error {
	for _, r := range replies {
		if r.Error() != nil {
			return r.Error()
		}
	}
	return nil
}

func benchClient(b *testing.B, address string) rueidis.Client {
	b.Helper()
	options, err := rueidis.ParseURL(address)
	if err != nil {
		b.Fatal("the test's URL is none")
	}
	options.DisableCache, options.ForceSingleClient, options.AlwaysPipelining, options.PipelineMultiplex = true, true, true, -1
	client, err := rueidis.NewClient(options)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	return client
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

func BenchmarkChords(b *testing.B) {
	resulttest.BenchmarkChords(b, benchStore(b, testserver.Redis(b)))
}
