package docstest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestThePageOfPerformanceNamesBenchmarksThatExist(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile("^\\|.*\\| `([a-z/.]+)` \\| (`Benchmark.*) \\|$")
	name := regexp.MustCompile("`(Benchmark[A-Za-z0-9]+)`")
	count := 0
	for _, line := range readPage(t, "docs/performance.md").prose {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		tests := packageTests(t, m[1])
		for _, b := range name.FindAllStringSubmatch(m[2], -1) {
			count++
			if !strings.Contains(tests, "\nfunc "+b[1]+"(b *testing.B)") {
				t.Errorf("docs/performance.md: %s has no %s", m[1], b[1])
			}
		}
	}
	if count < 30 {
		t.Errorf("only %d benchmarks were found", count)
	}
}

// packageTests are the test files of a package, one after the other.
func packageTests(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}
