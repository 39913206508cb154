//go:build !race

// The race detector allocates, too.

package wire_test

import "testing"

// Budgets of allocations: they are counted exactly, so that one more for each task is seen at once. A change that needs more raises
// the budget and says why; one that needs fewer lowers it.
func TestMessagesKeepToTheirAllocations(t *testing.T) { // not parallel: allocations are counted for the whole process
	for _, c := range []struct {
		name      string
		benchmark func(*testing.B)
		budget    int64
	}{
		{"a message is decoded", BenchmarkDecode, 4},
		{"with its arguments", BenchmarkDecodeWithArguments, 30},
		{"a call is encoded", BenchmarkEncode, 58},
		{"an outcome is encoded", BenchmarkEncodeResult, 7},
	} {
		if got := testing.Benchmark(c.benchmark).AllocsPerOp(); got > c.budget || got == 0 {
			t.Errorf("%s: %d allocations, want %d at the most, and some", c.name, got, c.budget)
		}
	}
}
