package accessrecord

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
)

// columns are those of a visit, in the order of the fields of Visit.
const columns = "path, query_str, address, user_agent, referer, atime, source"

// maxTable is how long the table's name may be, in bytes: those of indexes are made of it.
const maxTable = pgdial.MaxName - len("_address_idx")

// tables are the names that a store uses, plain and quoted.
type tables struct {
	schema, table  string // plain; schema may be ""
	visits, ledger string // quoted, with schema

	insert string // the statement that stores a visit
}

func newTables(schema, table string) (tables, error) {
	if err := checkName("schema", schema, pgdial.MaxName); schema != "" && err != nil {
		return tables{}, err
	}
	if err := checkName("table", table, maxTable); err != nil {
		return tables{}, err
	}
	t := tables{
		schema: schema, table: table,
		visits: pgdial.Quote(schema, table), ledger: pgdial.Quote(schema, table+"_task_ids"),
	}
	t.insert = t.insertion()
	return t, nil
}

func checkName(what, name string, limit int) error {
	if err := pgdial.CheckName(name, limit); err != nil {
		return fmt.Errorf("accessrecord: %s %q: %w", what, name, err)
	}
	return nil
}

func quote(name string) string { return pgdial.Quote("", name) }

// insertion is the statement that stores a visit unless the ledger knows the task id, in one round trip. The ledger is a table of its
// own, so that the visits' one may belong to somebody else.
func (t tables) insertion() string {
	return "WITH fresh AS (INSERT INTO " + t.ledger + " (task_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING task_id) " +
		"INSERT INTO " + t.visits + " (" + columns + ") SELECT $2, $3, $4, $5, $6, $7, $8 FROM fresh"
}

// enter notes task ids in the ledger and returns those that were not there. Whoever notes the same ones at the same time waits, and has
// them returned if this transaction fails.
func (t tables) enter() string {
	return "INSERT INTO " + t.ledger + " (task_id) SELECT id FROM unnest($1::text[]) AS ids (id) ORDER BY id ON CONFLICT DO NOTHING RETURNING task_id"
}

// copy is the statement that reads visits in the text format.
func (t tables) copy() string {
	return "COPY " + t.visits + " (" + columns + ") FROM STDIN (ENCODING 'UTF8')"
}

// list is the statement that reads visits. The columns of somebody else's table may be of other types than text, inet, say, or hold no value:
// concat has each as it is shown, and no value as an empty text.
func (t tables) list() string {
	return "SELECT id, concat(path), concat(query_str), concat(address), concat(user_agent), concat(referer), atime, concat(source) " +
		"FROM " + t.visits + " ORDER BY atime DESC, id DESC LIMIT $1"
}

// layout is what a store must know of the visits' table.
type layout struct {
	limits map[string]int // characters by column
	naive  bool           // atime is without time zone
}

// time returns the time that a column of this layout means.
func (l *layout) time(t time.Time, location *time.Location) time.Time {
	if l.naive {
		t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), location)
	}
	return t.UTC()
}

var errNoTable = errors.New(`the tables are missing: run "taskq accessrecord migrate" with a user who may create them`)

// inspect reads the layout of the visits' table. It returns errNoTable when a table is missing, and an error that names the
// column when visits cannot be stored in the table.
func inspect(ctx context.Context, c *pgx.Conn, t tables) (*layout, error) {
	rows, err := c.Query(ctx, `SELECT a.attname, format_type(a.atttypid, NULL),
			CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END,
			a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
		FROM pg_attribute a
		WHERE a.attrelid = to_regclass($1) AND to_regclass($2) IS NOT NULL AND a.attnum > 0 AND NOT a.attisdropped`, t.visits, t.ledger)
	if err != nil {
		return nil, err
	}
	l := &layout{limits: map[string]int{}}
	wanted := strings.Split(columns, ", ")
	var name, kind string
	var width int
	var needed, found bool
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &width, &needed}, func() error {
		found = true
		i := slices.Index(wanted, name)
		switch {
		case i < 0 && needed:
			return fmt.Errorf("table %s: column %q needs a value and has no default", t.visits, name)
		case i < 0:
			return nil
		}
		wanted = slices.Delete(wanted, i, i+1)
		if width > 0 && strings.HasPrefix(kind, "character") {
			l.limits[name] = width
		}
		l.naive = l.naive || kind == "timestamp without time zone"
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, errNoTable
	case len(wanted) > 0:
		return nil, fmt.Errorf("table %s has no column %s", t.visits, strings.Join(wanted, ", "))
	}
	return l, nil
}
