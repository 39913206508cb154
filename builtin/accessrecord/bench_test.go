package accessrecord_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/pool"
)

const benchVisit = `{"path": "/articles/42/", "query_str": "page=2", "address": "203.0.113.7", "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
	"referer": "https://example.com/", "atime": "2021-07-03T12:34:56.789012", "source": "中国-广东-深圳"}`

func BenchmarkPostgresInsert(b *testing.B) {
	r, err := accessrecord.New(accessrecord.Config{Database: testserver.Postgres(b)})
	if err != nil {
		b.Fatal(err)
	}
	benchmarkInsert(b, r)
}

// BenchmarkPostgresBatch stores 500 visits at once.
func BenchmarkPostgresBatch(b *testing.B) {
	r, err := accessrecord.New(accessrecord.Config{Database: testserver.Postgres(b)})
	if err != nil {
		b.Fatal(err)
	}
	s := newSlots(b, pool.Goroutines, 2, r)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		visits := make([]sent, 500)
		for j := range visits {
			visits[j] = sent{fmt.Sprint(i, "-", j), benchVisit}
		}
		if err := errors.Join(s.together(b, visits...)...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(500*float64(b.N)/b.Elapsed().Seconds(), "visits/s")
}

func BenchmarkSQLiteInsert(b *testing.B) {
	r, err := accessrecord.New(accessrecord.Config{Database: "sqlite://" + b.TempDir() + "/visits.db"})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	benchmarkInsert(b, r)
}

// benchmarkInsert runs the whole task, decoding included, on four slots.
func benchmarkInsert(b *testing.B, r *accessrecord.Recorder) {
	b.Helper()
	p, err := pool.New(pool.Goroutines, pool.Config{Size: 4, Hooks: r.Task().Spec().Hooks})
	if err != nil {
		b.Fatal(err)
	}
	s := &slots{Pool: p, recorder: r}
	if err := s.one(b, "first", benchVisit); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.visit(b, fmt.Sprint(i), benchVisit)
	}
	s.jobs.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "visits/s")
	if err := s.Stop(context.WithoutCancel(b.Context())); err != nil {
		b.Fatal(err)
	}
	if len(s.failures) > 0 {
		b.Fatal(s.failures[0])
	}
}
