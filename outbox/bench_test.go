package outbox_test

import (
	"cmp"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/outbox"
)

// BenchmarkSend measures the caller's transaction: one row of its own, and one with a message in the outbox. The servers of the tests
// do without fsync; TASKQ_BENCH_POSTGRES names another one.
func BenchmarkSend(b *testing.B) {
	cfg := outbox.Config{URL: cmp.Or(os.Getenv("TASKQ_BENCH_POSTGRES"), testserver.Postgres(b))}
	opened(b, cfg)
	pool := connect(b, cfg.URL)
	if _, err := pool.Exec(b.Context(), "CREATE TABLE IF NOT EXISTS orders (id bigint GENERATED ALWAYS AS IDENTITY, name text)"); err != nil {
		b.Fatal(err)
	}
	for _, with := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "outbox"}[with], func(b *testing.B) {
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					err := pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error {
						if _, err := tx.Exec(b.Context(), "INSERT INTO orders (name) VALUES ('a')"); err != nil || !with {
							return err
						}
						return outbox.Insert(b.Context(), tx, outbox.Table{}, entry("d97074ce-2c94-4422-8b08-14409aa9abab"))
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}

// BenchmarkRelay measures how fast the relay sends what is in the outbox to RabbitMQ.
func BenchmarkRelay(b *testing.B) {
	cfg := outbox.Config{URL: cmp.Or(os.Getenv("TASKQ_BENCH_POSTGRES"), testserver.Postgres(b))}
	opened(b, cfg)
	pool := connect(b, cfg.URL)
	for left := b.N; left > 0; left -= min(left, 1000) {
		entries := make([]outbox.Entry, min(left, 1000))
		for i := range entries {
			entries[i] = entry(fmt.Sprint(left - i))
		}
		insert(b, pool, entries...)
	}
	rabbit := rabbit(b, testserver.AMQPVhost(b))
	b.ResetTimer()
	relay(b, cfg, rabbit)
	empty(b, pool)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
