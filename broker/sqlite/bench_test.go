package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// body of a usual Celery call, some 300 bytes
func benchMessage() broker.Message {
	return broker.Message{
		ContentType: "application/json", ContentEncoding: "utf-8",
		Headers: broker.Table{
			"lang": "py", "task": "access_record", "id": "d5cb4bfb-5ed1-4a0c-9d18-1b3cb3a0e5c7", "retries": int32(0),
			"timelimit": []any{nil, nil}, "eta": nil, "expires": nil, "origin": "gen1@host",
		},
		Body: []byte(`[[` + strings.Repeat(`"argument", `, 20) + `1], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`),
	}
}

// BenchmarkTwoProcesses publishes here and works off in another process.
func BenchmarkTwoProcesses(b *testing.B) {
	path := filepath.Join(b.TempDir(), "taskq.db")
	here := open(b, path)
	closeLater(b, here)
	declareWork(b, here)
	worker := startChild(b, "sink", path, 10*time.Second)
	msg := benchMessage()
	var next atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if err := here.Publish(b.Context(), broker.Address{RoutingKey: queueName}, msg); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for range b.N {
		<-worker.lines
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}

// BenchmarkClaimAndSettle works off messages that wait, eight at a time, as a worker with as many slots does.
func BenchmarkClaimAndSettle(b *testing.B) {
	here := open(b, filepath.Join(b.TempDir(), "taskq.db"))
	closeLater(b, here)
	declareWork(b, here)
	batch := make([]broker.Posting, 500)
	for i := range batch {
		batch[i] = broker.Posting{To: broker.Address{RoutingKey: queueName}, Message: benchMessage()}
	}
	for left := b.N; left > 0; left -= len(batch) {
		if errs := here.PublishBatch(b.Context(), batch[:min(left, len(batch))]); errs != nil {
			b.Fatal(errs)
		}
	}
	c, err := here.Consume(b.Context(), broker.ConsumeConfig{Queues: []string{queueName}, Prefetch: 64})
	if err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 8 {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				d, err := c.Next(b.Context())
				if err == nil {
					err = d.Settle(b.Context(), broker.Ack)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}

// BenchmarkHandOver measures how long a single message takes to the other, idle process.
func BenchmarkHandOver(b *testing.B) {
	path := filepath.Join(b.TempDir(), "taskq.db")
	here := open(b, path)
	closeLater(b, here)
	declareWork(b, here)
	worker := startChild(b, "sink", path, 10*time.Second)
	var took []time.Duration
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for range b.N {
		<-pause.C
		publish(b, here, strconv.FormatInt(time.Now().UnixNano(), 10))
		line := <-worker.lines
		n, err := strconv.ParseInt(line[1], 10, 64)
		if err != nil {
			b.Fatal(line)
		}
		took = append(took, time.Duration(n))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}

// beSink acks everything, and says how old each message was in nanoseconds, if its body is a time.
func beSink(ctx context.Context, b broker.Broker) error {
	c, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{queueName}, Prefetch: 32})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				d, err := c.Next(ctx)
				if err != nil {
					return
				}
				age := time.Now().UnixNano() - nanos(d.Body)
				if err := d.Settle(ctx, broker.Ack); err != nil {
					fmt.Println("error", err)
					return
				}
				fmt.Println("age", age)
			}
		})
	}
	wg.Wait()
	return nil
}
