package pgdial

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Beginner is a connection or a pool of them.
type Beginner interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// Alone makes tables in one transaction. The lock makes others wait who make any of taskq's, and read committed lets them see then what
// was made: the database's default may be another level, whose snapshot is from before they waited.
func Alone(ctx context.Context, c Beginner, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('taskq migrations', 0))"); err != nil {
			return err
		}
		return do(tx)
	})
}

// Tables are those that a list of steps makes, each of which is recorded in the table taskq_migrations.
type Tables struct {
	Schema string   // of all of them; "" leaves it to the search path
	Name   string   // that the steps are recorded under
	Quoted []string // their names in SQL; when one of them is gone, all steps are done again
	// Steps are numbered from 1. They are added, never changed; where there are several tables, they leave alone those that are there.
	Steps []func(ctx context.Context, tx pgx.Tx) error
}

// Migrate does the steps that are missing, all or none.
func (t Tables) Migrate(ctx context.Context, c Beginner) error {
	return Alone(ctx, c, func(tx pgx.Tx) error {
		if err := t.createRecord(ctx, tx); err != nil {
			return err
		}
		done, err := t.version(ctx, tx)
		if err != nil {
			return err
		}
		for i := done; i < len(t.Steps); i++ {
			if err := t.Steps[i](ctx, tx); err != nil {
				return fmt.Errorf("step %d of %s: %w", i+1, t.Quoted[0], err)
			}
			if _, err := tx.Exec(ctx, "INSERT INTO "+t.record()+" (name, version) VALUES ($1, $2)", t.Name, i+1); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t Tables) record() string { return Quote(t.Schema, "taskq_migrations") }

// createRecord makes the schema, and the table that steps are recorded in, when they are missing: asked for without need, "IF NOT
// EXISTS" wants rights all the same.
func (t Tables) createRecord(ctx context.Context, tx pgx.Tx) error {
	if t.Schema != "" {
		var found bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", t.Schema).Scan(&found); err != nil {
			return err
		}
		if !found {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA "+Quote("", t.Schema)); err != nil {
				return err
			}
		}
	}
	if found, err := Exists(ctx, tx, t.record()); err != nil || found {
		return err
	}
	_, err := tx.Exec(ctx, "CREATE TABLE "+t.record()+` (
		name text NOT NULL, version int NOT NULL, done_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (name, version)
	)`)
	return err
}

// version returns the last step that was done.
func (t Tables) version(ctx context.Context, tx pgx.Tx) (done int, err error) {
	for _, table := range t.Quoted {
		found, err := Exists(ctx, tx, table)
		if err != nil {
			return 0, err
		}
		if !found {
			_, err := tx.Exec(ctx, "DELETE FROM "+t.record()+" WHERE name = $1", t.Name)
			return 0, err
		}
	}
	err = tx.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+t.record()+" WHERE name = $1", t.Name).Scan(&done)
	return done, err
}

// Exists reports whether there is a table of this quoted name.
func Exists(ctx context.Context, tx pgx.Tx, table string) (found bool, err error) {
	err = tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&found)
	return found, err
}

// MaxName is how long a name may be, in bytes.
const MaxName = 63

// CheckName refuses names that are surely a mistake; all others are quoted.
func CheckName(name string, limit int) error {
	switch {
	case name == "" || len(name) > limit:
		return fmt.Errorf("want 1 to %d bytes", limit)
	case strings.Contains(name, "."):
		return errors.New("it has a dot; give the schema and the table apart")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `"`):
		return errors.New("quotes and control characters are not allowed")
	}
	return nil
}

// Quote is the name in the schema as it is written in SQL; the schema "" leaves it to the search path.
func Quote(schema, name string) string {
	if schema == "" {
		return pgx.Identifier{name}.Sanitize()
	}
	return pgx.Identifier{schema, name}.Sanitize()
}
