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
}

// drawBoxes writes a tree.
func drawBoxes(w io.Writer, root box) error {
	var rows [][]string
	collect(&rows, root, "", "")
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

// collect makes the rows of a box and of those below it. first stands in front of its own line, rest in front of the others.
func collect(rows *[][]string, b box, first, rest string) {
	row := append([]string{first + oneLine(b.label)}, b.cells...)
	for i := range row[1:] {
		row[i+1] = oneLine(row[i+1])
	}
	*rows = append(*rows, row)
	for i, child := range b.children {
		if i < len(b.children)-1 {
			collect(rows, child, rest+"├─ ", rest+"│  ")
		} else {
			collect(rows, child, rest+"└─ ", rest+"   ")
		}
	}
}
