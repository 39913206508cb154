package postgres_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result/postgres"
	"github.com/seed-399731e2/taskq/result/resulttest"
)

// oneByOne is the statement for one outcome, sent by each caller for itself.
const oneByOne = `WITH stored AS (INSERT INTO django_celery_results_taskresult AS t
		(task_id, status, content_type, content_encoding, result, meta, date_created, date_done)
	VALUES ($1, 'SUCCESS', 'application/json', 'utf-8', '{"sum": 3}', '{"children": []}', now(), now())
	ON CONFLICT (task_id) DO UPDATE SET status = excluded.status, result = excluded.result WHERE t.status <> 'SUCCESS' RETURNING task_id)
	SELECT pg_notify('taskq_results', task_id)::text FROM stored`

// BenchmarkStore stores outcomes as a worker's slots do: each waits for its own.
func BenchmarkStore(b *testing.B) {
	for _, slots := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("together/%d", slots), func(b *testing.B) {
			store := opened(b, postgres.Config{URL: testserver.Postgres(b)})
			check(b, store)
			b.SetParallelism(slots)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := store.Store(b.Context(), success(uuid.NewString(), `{"sum": 3}`)); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
		b.Run(fmt.Sprintf("one-by-one/%d", slots), func(b *testing.B) {
			url := testserver.Postgres(b)
			check(b, opened(b, postgres.Config{URL: url}))
			pool, err := pgxpool.New(b.Context(), url)
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Close()
			b.SetParallelism(slots)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := pool.Exec(b.Context(), oneByOne, uuid.NewString()); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}

func BenchmarkChords(b *testing.B) {
	resulttest.BenchmarkChords(b, opened(b, postgres.Config{URL: testserver.Postgres(b)}))
}
