package resulttest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// BenchmarkChords measures how many parts of chords a store notes in a second, and how long the last part of a large one takes, which
// reads all others.
func BenchmarkChords(b *testing.B, j result.Joiner) {
	b.Helper()
	for _, goroutines := range []int{1, 16} {
		b.Run(fmt.Sprintf("join/%d", goroutines), func(b *testing.B) { benchmarkJoin(b, j, goroutines) })
	}
	b.Run("last-of-1000", func(b *testing.B) { benchmarkLast(b, j, 1000) })
}

// benchmarkJoin notes the parts of one chord after the other, each of 100 tasks.
func benchmarkJoin(b *testing.B, j result.Joiner, goroutines int) {
	b.Helper()
	const size = 100
	var headers []task.Ref
	for range b.N/size + 1 {
		headers = append(headers, benchmarkHeader(b, j, size))
	}
	var next atomic.Int64
	b.SetParallelism(max(1, goroutines/2))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1) - 1)
			if _, err := j.JoinChord(b.Context(), part(headers[i/size], i%size)); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "joins/s")
}

func benchmarkLast(b *testing.B, j result.Joiner, size int) {
	b.Helper()
	header := benchmarkHeader(b, j, size)
	for i := range size - 1 {
		if _, err := j.JoinChord(b.Context(), part(header, i)); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for b.Loop() { // the last one is told again
		joined, err := j.JoinChord(b.Context(), part(header, size-1))
		if err != nil || joined == nil || len(joined.Parts) != size {
			b.Fatalf("joined = %v, %v", joined, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/last")
}

func benchmarkHeader(b *testing.B, j result.Joiner, size int) task.Ref {
	b.Helper()
	header := task.Ref{ID: uuid.NewString(), Group: true}
	for range size {
		header.Members = append(header.Members, task.Ref{ID: uuid.NewString()})
	}
	if err := j.OpenChord(b.Context(), header); err != nil {
		b.Fatal(err)
	}
	return header
}
