//go:build unix

package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/result/postgres"
	"github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/result/rpc"
	resultsqlite "github.com/seed-399731e2/taskq/result/sqlite"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// BenchmarkStores measures what outcomes cost a worker on RabbitMQ: a queue that has been filled is drained without results, and then with each
// store; "of-off" is how fast that was in comparison. What is sent before the clock runs, so take a number of tasks: -benchtime 20000x.
func BenchmarkStores(b *testing.B) {
	for _, kind := range []pool.Kind{pool.Goroutines, pool.Solo} {
		for _, store := range []string{"off", "mem", "sqlite", "rpc", "redis", "postgres"} {
			b.Run(fmt.Sprintf("%s/%s", kind, store), func(b *testing.B) {
				d := newDrain(b, kind)
				off := d.run(nil)
				results := d.open(store)
				b.ReportAllocs()
				b.ResetTimer()
				took := d.run(results)
				b.ReportMetric(float64(b.N)/took.real.Seconds(), "tasks/s")
				b.ReportMetric(off.real.Seconds()/took.real.Seconds(), "of-off")
				b.ReportMetric(float64(took.cpu.Microseconds())/float64(b.N), "µs-cpu/task")
			})
		}
	}
}

// cost is what a drain took.
type cost struct{ real, cpu time.Duration }

// drain is a queue on RabbitMQ, and a worker that empties it.
type drain struct {
	b       *testing.B
	broker  *amqp.Broker
	kind    pool.Kind
	replies string // a queue
}

func newDrain(b *testing.B, kind pool.Kind) *drain {
	b.Helper()
	br, err := amqp.Open(b.Context(), amqp.Config{URL: testserver.AMQP(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { br.Close(context.Background()) })
	d := &drain{b: b, broker: br, kind: kind, replies: "replies"}
	for _, name := range []string{queue, d.replies} {
		if err := br.Declare(b.Context(), broker.TaskQueue(broker.Queue{Name: name})); err != nil {
			b.Fatal(err)
		}
	}
	return d
}

// open opens a store; "off" is none.
func (d *drain) open(name string) (store result.Backend) {
	var err error
	switch ctx := d.b.Context(); name {
	case "off":
		return nil
	case "mem":
		store = resultmem.New(resultmem.Config{})
	case "rpc":
		store = rpc.New(rpc.Config{Broker: d.broker})
	case "redis":
		store, err = redis.Open(ctx, redis.Config{URL: testserver.Redis(d.b)})
	case "postgres":
		store, err = postgres.Open(ctx, postgres.Config{URL: testserver.Postgres(d.b)})
	case "sqlite":
		var db *sqlitedb.DB
		if db, err = sqlitedb.Open(ctx, filepath.Join(d.b.TempDir(), "taskq.db")); err == nil {
			d.b.Cleanup(func() { db.Close() })
			store, err = resultsqlite.Open(ctx, resultsqlite.Config{DB: db})
		}
	}
	if err != nil {
		d.b.Fatal(err)
	}
	d.b.Cleanup(func() { store.Close(context.Background()) })
	return store
}

// run fills the queue, and returns how long a worker took from its first task to the acknowledgement of the last one.
func (d *drain) run(results result.Backend) cost {
	b := d.b
	b.StopTimer()
	var began atomic.Int64
	nop := task.New("tasks.nop", func(context.Context, pair) (int, error) {
		if began.Load() == 0 {
			began.CompareAndSwap(0, time.Now().UnixNano())
		}
		return 3, nil
	})
	d.fill(nop.S(pair{1, 2}))
	var registry task.Registry
	if err := registry.Add(nop); err != nil {
		b.Fatal(err)
	}
	opts := worker.Options{Pool: d.kind, Queues: []string{queue}, PrefetchMultiplier: 64}
	if d.kind == pool.Goroutines {
		opts.Concurrency = 10
	}
	w, err := worker.New(worker.Config{
		Options: opts, Broker: d.broker, Results: results, Registry: &registry, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	cpu := testserver.CPUTime(b)
	b.StartTimer()
	go func() { ended <- w.Run(ctx) }()
	for w.Stats().Settled < uint64(b.N) {
		<-time.After(time.Millisecond)
	}
	took := cost{time.Since(time.Unix(0, began.Load())), testserver.CPUTime(b) - cpu}
	b.StopTimer()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	return took
}

// fill sends the tasks, as a caller who waits for their outcomes does.
func (d *drain) fill(call task.Signature) {
	var sending errgroup.Group
	sending.SetLimit(64)
	for range d.b.N {
		sending.Go(func() error {
			call := call
			call.ID, call.ReplyTo = uuid.NewString(), d.replies
			msg, err := wire.Encode(wire.Outgoing{Signature: call, Now: time.Now(), Origin: "test"})
			if err != nil {
				return err
			}
			return d.broker.Publish(d.b.Context(), broker.Address{RoutingKey: queue}, msg)
		})
	}
	if err := sending.Wait(); err != nil {
		d.b.Fatal(err)
	}
	runtime.GC()
}
