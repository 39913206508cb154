//go:build !race

// The race detector allocates, too.

package taskq_test

import "testing"

// Budgets of allocations: they are counted exactly, so that one more for each task is seen at once. A change that needs more raises
// the budget and says why; one that needs fewer lowers it.
func TestSendingKeepsToItsAllocations(t *testing.T) { // not parallel: allocations are counted for the whole process
	for _, c := range []struct {
		name      string
		benchmark func(*testing.B)
		budget    int64
	}{
		{"a call", BenchmarkSend, 41},
		{"a batch of 100", BenchmarkSendBatch100, 4200},
	} {
		if got := testing.Benchmark(c.benchmark).AllocsPerOp(); got > c.budget || got == 0 {
			t.Errorf("%s: %d allocations, want %d at the most, and some", c.name, got, c.budget)
		}
	}
}
