package cli

import (
	"io"
	"strings"
	"unicode/utf8"
)

// box is a line of a tree that is drawn with lines: its label, and more cells, which are aligned with those of the other lines.
type box struct {
	label    string
	cells    []string
	children []box
	next     []box // stand below it, not to its right: a chain of a hundred tasks fits on a screen
}

// drawBoxes writes a tree.
func drawBoxes(w io.Writer, root box) error {
	var rows [][]string
	collect(&rows, root, "", "", "")
	var widths []int
	for _, row := range rows {
		for i, cell := range row[:len(row)-1] { // the last cell pushes nothing
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// collect makes the rows of a box and of those that belong to it. first stands in front of its own line, rest in front of those of its
// children, after in front of what is next.
func collect(rows *[][]string, b box, first, rest, after string) {
	row := append([]string{first + oneLine(b.label)}, b.cells...)
	for i := range row[1:] {
		row[i+1] = oneLine(row[i+1])
	}
	*rows = append(*rows, row)
	for i, child := range b.children {
		branch, trunk := "├─ ", "│  "
		if i == len(b.children)-1 {
			branch, trunk = "└─ ", "   "
		}
		collect(rows, child, rest+branch, rest+trunk, rest+trunk)
	}
	for _, next := range b.next {
		collect(rows, next, after+"→ ", after+"  ", after)
	}
}
