package outbox

import (
	"fmt"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/pgdial"
)

// DefaultTable is the name of the table unless Config says otherwise.
const DefaultTable = "taskq_outbox"

// maxTable is how long the table's name may be, in bytes: those of the indexes are made of it.
const maxTable = pgdial.MaxName - len("_not_before_idx")

// Table names an outbox. The zero value is DefaultTable where the search path of the connection finds it.
type Table struct {
	// Schema of the table; "" leaves it to the search path.
	Schema string
	// Name of the table; "" means DefaultTable.
	Name string
}

// Validate refuses names that are surely a mistake; all others are quoted.
func (t Table) Validate() error {
	if err := checkName("schema", t.Schema, pgdial.MaxName); t.Schema != "" && err != nil {
		return err
	}
	return checkName("table", t.name(), maxTable)
}

func checkName(what, name string, limit int) error {
	if err := pgdial.CheckName(name, limit); err != nil {
		return fmt.Errorf("outbox: %s %q: %w: %w", what, name, broker.ErrInvalid, err)
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
func (t Table) String() string { return pgdial.Quote(t.Schema, t.name()) }
