//go:build unix

package accessrecord_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// BenchmarkWorker drains a queue of visits into PostgreSQL, one by one and collected. "bare" is what the queue can give: the client
// library alone, with prefetch 256, acknowledgements of 128 at once and decoded bodies. "limit" is that while as many rows are inserted,
// one by one on 8 connections: what could be had if nothing lay between the two.
func BenchmarkWorker(b *testing.B) {
	collected := map[string]task.BatchPolicy{accessrecord.TaskName: {Size: 500, Wait: time.Second}}
	b.Run("bare", func(b *testing.B) {
		address := testserver.AMQPVhost(b)
		fill(b, address, b.N)
		conn, err := amqp091.Dial(address)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		done := measure(b)
		consume(b, conn, b.N)
		done()
	})
	b.Run("limit", benchmarkLimit)
	b.Run("single", func(b *testing.B) { benchmarkWorker(b, worker.Options{Concurrency: 8, PrefetchMultiplier: 32}) })
	b.Run("batch", func(b *testing.B) { benchmarkWorker(b, worker.Options{Concurrency: 2, Batches: collected}) })
}

// measure starts the clock; what it returns reports the rate, and what this process has cost, the servers apart.
func measure(b *testing.B) (done func()) {
	b.Helper()
	before := testserver.CPUTime(b)
	b.ResetTimer()
	return func() {
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "visits/s")
		b.ReportMetric(float64((testserver.CPUTime(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/visit")
	}
}

// fill sends n visits to the default queue.
func fill(b *testing.B, address string, n int) {
	b.Helper()
	app, err := taskq.New(taskq.Config{BrokerURL: address, ResultBackend: "disabled://"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = app.Close(context.WithoutCancel(b.Context())) }()
	call := accessrecord.Remote(task.IgnoreResult()).S(accessrecord.Call{Data: accessrecord.Sample()})
	for n > 0 {
		calls := make([]task.Signature, min(n, 1000))
		for i := range calls {
			calls[i] = call
		}
		if _, err := app.SendBatch(b.Context(), calls); err != nil {
			b.Fatal(err)
		}
		n -= len(calls)
	}
}

func benchmarkLimit(b *testing.B) {
	address, database := testserver.AMQPVhost(b), testserver.Postgres(b)
	fill(b, address, b.N)
	recorder, err := accessrecord.New(accessrecord.Config{Database: database})
	if err == nil {
		err = recorder.Migrate(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	conn, err := amqp091.Dial(address)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := measure(b)
	var both sync.WaitGroup
	for range 8 {
		db := connect(b, database)
		both.Go(func() { insert(b, db, &left) })
	}
	consume(b, conn, b.N)
	both.Wait()
	done()
}

// insert inserts rows as long as some are left.
func insert(b *testing.B, db *pgx.Conn, left *atomic.Int64) {
	b.Helper()
	for v := accessrecord.Sample(); left.Add(-1) >= 0; {
		_, err := db.Exec(b.Context(), `INSERT INTO access_record (path, query_str, address, user_agent, referer, atime, source)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, v.Path, v.QueryStr, v.Address, v.UserAgent, v.Referer, v.ATime, v.Source)
		if err != nil {
			b.Error(err)
			return
		}
	}
}

func consume(b *testing.B, conn *amqp091.Connection, n int) {
	b.Helper()
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Qos(256, 0, false)
	}
	if err != nil {
		b.Fatal(err)
	}
	deliveries, err := ch.ConsumeWithContext(b.Context(), "celery", "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := 1; i <= n; i++ {
		d := <-deliveries
		var body []json.RawMessage
		if err := json.Unmarshal(d.Body, &body); err != nil {
			b.Fatal(err)
		}
		if i%128 == 0 || i == n {
			if err := d.Ack(true); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchmarkWorker(b *testing.B, opts worker.Options) {
	b.Helper()
	address, database := testserver.AMQPVhost(b), testserver.Postgres(b)
	fill(b, address, b.N)
	log := slog.New(slog.DiscardHandler)
	app, err := taskq.New(taskq.Config{BrokerURL: address, ResultBackend: "disabled://", Worker: opts, Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = app.Close(context.WithoutCancel(b.Context())) }()
	recorder, err := accessrecord.New(accessrecord.Config{Database: database, Logger: log})
	if err == nil {
		err = recorder.Migrate(b.Context())
	}
	if err == nil {
		err = app.Register(recorder.Task())
	}
	if err != nil {
		b.Fatal(err)
	}
	w, err := app.NewWorker(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	done := measure(b)
	go func() { ended <- w.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for w.Stats().Settled < uint64(b.N) {
		<-tick.C
	}
	done()
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if rows := query[int](b, connect(b, database), `SELECT count(*) FROM access_record`); rows != b.N {
		b.Errorf("%d rows, want %d", rows, b.N)
	}
}
