package report

import (
	"strings"
	"unicode/utf8"
)

// column is one column of a table.
type column struct {
	head  string
	right bool // numbers
}

// table is rows of cells as they were measured; escaping is the business of who prints them.
type table struct {
	columns []column
	rows    [][]string
}

// withoutEmpty leaves out the columns in which no row has anything.
func (t table) withoutEmpty() table {
	var kept []int
	for i := range t.columns {
		for _, row := range t.rows {
			if row[i] != none && row[i] != "" {
				kept = append(kept, i)
				break
			}
		}
	}
	small := table{rows: make([][]string, len(t.rows))}
	for _, i := range kept {
		small.columns = append(small.columns, t.columns[i])
		for r, row := range t.rows {
			small.rows[r] = append(small.rows[r], row[i])
		}
	}
	return small
}

// markdown is the table for a page.
func (t table) markdown() string {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	heads, rules := make([]string, len(t.columns)), make([]string, len(t.columns))
	for i, c := range t.columns {
		heads[i], rules[i] = c.head, "---"
		if c.right {
			rules[i] = "--:"
		}
	}
	line(heads)
	b.WriteString("|" + strings.Join(rules, "|") + "|\n")
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = escape(cell)
		}
		line(cells)
	}
	return b.String()
}

// text is the table for a terminal.
func (t table) text() string {
	widths := make([]int, len(t.columns))
	heads := make([]string, len(t.columns))
	for i, c := range t.columns {
		heads[i] = c.head
	}
	all := append([][]string{heads}, t.rows...)
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(plain(cell)))
		}
	}
	var b strings.Builder
	for _, row := range all {
		cells := make([]string, len(row))
		for i, cell := range row {
			cell = plain(cell)
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if cells[i] = cell + pad; t.columns[i].right {
				cells[i] = pad + cell
			}
		}
		b.WriteString(strings.TrimRight(strings.Join(cells, "  "), " ") + "\n")
	}
	return b.String()
}

// plain is a text in one line.
func plain(text string) string { return strings.Join(strings.Fields(text), " ") }

// escape is a text that came from a run, as Markdown shows it unchanged within a table.
func escape(text string) string {
	return strings.NewReplacer("\\", `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "&", "&amp;", "<", "&lt;",
		">", "&gt;").Replace(plain(text))
}
