package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page that shows the matrix, the marks around the table, and the version of Celery that it is about.
const (
	matrixPage    = "compatibility.md"
	matrixBegin   = "<!-- matrix: written by make compatibility -->\n"
	matrixEnd     = "<!-- end of matrix -->\n"
	matrixVersion = "5.2.6" // Debian's
	// matrixWrite is the variable that has the table written instead of compared.
	matrixWrite = "TASKQ_WRITE_COMPATIBILITY"
)

// compare holds the page against what was seen. With another Celery than Debian's the table is only printed.
func (m *matrix) compare(t *testing.T) {
	t.Helper()
	table := m.table()
	t.Logf("Celery %s\n%s", m.version, table)
	if t.Failed() || m.version != matrixVersion {
		return
	}
	path := filepath.Join("..", "..", "docs", matrixPage)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	before, rest, begins := strings.Cut(page, matrixBegin)
	shown, after, ends := strings.Cut(rest, matrixEnd)
	if !begins || !ends {
		t.Fatalf("docs/%s has no place for the matrix", matrixPage)
	}
	if shown == table {
		return
	}
	if os.Getenv(matrixWrite) == "" {
		t.Fatalf("docs/%s shows another matrix; run \"make compatibility\"", matrixPage)
	}
	if err := os.WriteFile(path, []byte(before+matrixBegin+table+matrixEnd+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// table writes the matrix in Markdown: a row for each feature, a column for each store and direction.
func (m *matrix) table() string {
	var b strings.Builder
	b.WriteString("| |")
	rule := "|---|"
	for _, backend := range matrixBackends() {
		for _, d := range directions {
			fmt.Fprintf(&b, " %s: %s |", backend.name, d.name)
			rule += ":-:|"
		}
	}
	b.WriteString("\n" + rule + "\n")
	section := ""
	for _, f := range features() {
		if f.section != section {
			section = f.section
			fmt.Fprintf(&b, "| **%s** |%s\n", section, strings.Repeat(" |", len(matrixBackends())*len(directions)))
		}
		fmt.Fprintf(&b, "| %s |", f.name)
		for _, backend := range matrixBackends() {
			for _, d := range directions {
				fmt.Fprintf(&b, " %s |", m.cell(f, backend, d.name))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (m *matrix) cell(f feature, backend matrixBackend, direction string) string {
	switch {
	case !f.asks(backend.name, backend.kept):
		return "–"
	case m.cells[cellKey(f, backend.name, direction)]:
		return "✓"
	}
	return "✗"
}
