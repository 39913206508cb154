package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Format is how a command prints its data.
type Format string

// The formats of -o.
const (
	TableFormat Format = "table"
	JSONFormat  Format = "json"
)

func addFormat(flags *pflag.FlagSet) {
	flags.StringP("output", "o", string(TableFormat), "`format` of the output: table or json")
	flags.Bool("json", false, "the same as -o json")
}

func formatOf(c Command, cmd *cobra.Command) (Format, error) {
	if !c.Tabular {
		return TableFormat, nil
	}
	name, err := cmd.Flags().GetString("output")
	if err != nil {
		return "", err
	}
	if asJSON, err := cmd.Flags().GetBool("json"); err == nil && asJSON {
		name = string(JSONFormat)
	}
	switch format := Format(strings.ToLower(name)); format {
	case TableFormat, JSONFormat:
		return format, nil
	}
	return "", Exit(Usage, fmt.Errorf("--output: %q is neither table nor json", name))
}

// Table is what a command prints: Data as JSON, or Rows as a table.
type Table struct {
	Header []string
	Rows   [][]string
	Data   any
}

// Print writes the table in the format that the user chose.
func (s *Session) Print(t Table) error {
	if s.format == JSONFormat {
		return s.printJSON(t.Data)
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	if len(t.Header) > 0 {
		fmt.Fprintln(w, strings.Join(t.Header, "\t"))
	}
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = oneLine(cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// JSON reports whether the user asked for JSON.
func (s *Session) JSON() bool { return s.format == JSONFormat }

func (s *Session) printJSON(v any) error {
	enc := json.NewEncoder(s.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// oneLine keeps a cell in its place.
func oneLine(cell string) string {
	return strings.NewReplacer("\n", " ", "\t", " ", "\r", " ", "\x1b", "?").Replace(cell)
}

func printLine(w io.Writer, text string) error {
	_, err := fmt.Fprintln(w, text)
	return err
}
