package outbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-399731e2/taskq/internal/pgdial"
)

// Errors of an outbox. Test with errors.Is.
var (
	// ErrNoTable is wrapped by errors about a table that was never made.
	ErrNoTable = errors.New("the table is missing")
	// ErrUnavailable is wrapped by errors about a database that cannot be reached.
	ErrUnavailable = errors.New("outbox database is unavailable")
	// ErrAccess is wrapped by errors about credentials and rights: trying again does not help.
	ErrAccess = errors.New("access to the outbox refused")
)

// explain says what kind of failure it is, and how it is mended, in one line without secrets.
func explain(err error, t Table) error {
	if err == nil {
		return nil
	}
	switch state := pgdial.State(err); {
	case errors.Is(err, ErrNoTable), errors.Is(err, ErrAccess), errors.Is(err, ErrUnavailable):
		return err // it says so already
	case state == "42P01", state == "3F000", state == "42703": // undefined table, schema or column
		return noTable(t, err)
	case state == "42501":
		return mayNot(t, pgdial.Plain(err))
	case strings.HasPrefix(state, "28"), state == "3D000":
		return fmt.Errorf("%w: correct user, password and database in the URL, or permit it in pg_hba.conf: %w", ErrAccess, pgdial.Plain(err))
	case strings.HasPrefix(state, "57P"), strings.HasPrefix(state, "08"), strings.HasPrefix(state, "53"):
		return fmt.Errorf("%w: %w", ErrUnavailable, pgdial.Plain(err))
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fmt.Errorf("%w: start PostgreSQL there or correct the URL: %w", ErrUnavailable, pgdial.Plain(err))
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("%w: %w", ErrUnavailable, pgdial.Plain(err))
	}
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrUnavailable, pgdial.Plain(err))
	}
	return pgdial.Plain(err)
}

func mayNot(t Table, err error) error {
	return fmt.Errorf("%w: grant INSERT on %s to who sends, and SELECT, UPDATE and DELETE, too, to who relays: %w", ErrAccess, t, err)
}

func noTable(t Table, err error) error {
	remedy := fmt.Errorf("%w: %s; run \"taskq outbox migrate\" with a user who may create it", ErrNoTable, t)
	if err == nil {
		return remedy
	}
	return fmt.Errorf("%w: %w", remedy, pgdial.Plain(err))
}
