package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// Brief is a measure in a line.
func Brief(m result.Measure) string {
	if m.Failed != "" {
		return "FAILED: " + m.Failed
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if m.Rate > 0 {
		add("%.0f/s", m.Rate)
	}
	if m.Waits != nil {
		add("p50 %s p99 %s p99.9 %s", m.Waits.P50, m.Waits.P99, m.Waits.P999)
	}
	if m.Unit != "" {
		add("%.3g %s", m.Figure, m.Unit)
	}
	for _, name := range slices.Sorted(maps.Keys(m.CPU)) {
		add("%s %.0f µs", name, m.CPU[name])
	}
	if m.Allocs > 0 {
		add("%.1f allocs", m.Allocs)
	}
	if m.Memory > 0 {
		add("%.1f MB", float64(m.Memory)/1e6)
	}
	if m.Tasks > 0 {
		add("of %d", m.Tasks)
	}
	if m.Twice > 0 {
		add("%d twice", m.Twice)
	}
	return strings.Join(parts, ", ")
}
