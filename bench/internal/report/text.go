package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// Text writes the tables of a run for a terminal.
func Text(w io.Writer, run result.Run) error {
	var b strings.Builder
	show := func(title string, t table) {
		if len(t.rows) > 0 {
			fmt.Fprintf(&b, "%s\n\n%s\n", title, t.text())
		}
	}
	show("Drain", measured(headline(run), "tasks"))
	for _, c := range chapters(run) {
		show(c.title, c.table)
	}
	tables := knobs(run)
	for _, knob := range slices.Sorted(maps.Keys(tables)) {
		show("Knob: "+knob, tables[knob])
	}
	if run.Mode == smoke {
		b.WriteString("A smoke run shows that the harness works. Its figures mean nothing.\n")
	} else {
		show("Targets", known(run))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// known is the table of those targets for which there are figures: a quick run has few.
func known(run result.Run) table {
	t := goals(run)
	t.rows = slices.DeleteFunc(t.rows, func(row []string) bool { return row[2] == none })
	return t
}
