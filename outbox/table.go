package outbox

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/broker"
)

// DefaultTable is the name of the table unless Config says otherwise.
const DefaultTable = "taskq_outbox"

// maxTable is how long the table's name may be, in bytes: names of PostgreSQL have 63, and those of the indexes are made of it.
const maxTable = 63 - len("_not_before_idx")

// Table names an outbox. The zero value is DefaultTable where the search path of the connection finds it.
type Table struct {
	// Schema of the table; "" leaves it to the search path.
	Schema string
	// Name of the table; "" means DefaultTable.
	Name string
}

// Validate refuses names that are surely a mistake; all others are quoted.
func (t Table) Validate() error {
	if err := checkName("schema", t.Schema, 63); t.Schema != "" && err != nil {
		return err
	}
	return checkName("table", t.name(), maxTable)
}

func checkName(what, name string, limit int) error {
	switch {
	case name == "" || len(name) > limit:
		return fmt.Errorf("outbox: %s %q: %w: want 1 to %d bytes", what, name, broker.ErrInvalid, limit)
	case strings.Contains(name, "."):
		return fmt.Errorf("outbox: %s %q: %w: it has a dot; give the schema and the table apart", what, name, broker.ErrInvalid)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `"`):
		return fmt.Errorf("outbox: %s %q: %w: quotes and control characters are not allowed", what, name, broker.ErrInvalid)
	}
	return nil
}

func (t Table) name() string {
	if t.Name == "" {
		return DefaultTable
	}
	return t.Name
}

// String is the table's name as it is written in SQL.
func (t Table) String() string { return t.in(t.name()) }

// in is the name of something in the table's schema.
func (t Table) in(name string) string {
	if t.Schema == "" {
		return quote(name)
	}
	return quote(t.Schema) + "." + quote(name)
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
