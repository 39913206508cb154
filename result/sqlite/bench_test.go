package sqlite_test

import (
	"context"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/result/resulttest"
	"github.com/seed-399731e2/taskq/result/sqlite"
	"github.com/seed-399731e2/taskq/task"
)

// BenchmarkStore keeps outcomes of eight tasks at a time, as a worker with as many slots does.
func BenchmarkStore(b *testing.B) {
	store := openForBench(b)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range 8 {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				meta := task.Meta{ID: strconv.FormatInt(n, 10), State: task.Success, Result: codec.Raw("3"), DoneAt: time.Now()}
				if err := store.Store(b.Context(), meta); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "outcomes/s")
}

func BenchmarkChords(b *testing.B) { resulttest.BenchmarkChords(b, openForBench(b)) }

func openForBench(b *testing.B) *sqlite.Backend {
	b.Helper()
	db, err := sqlitedb.Open(b.Context(), filepath.Join(b.TempDir(), "taskq.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	store, err := sqlite.Open(b.Context(), sqlite.Config{DB: db})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close(context.WithoutCancel(b.Context())) })
	return store
}
