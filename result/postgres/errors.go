package postgres

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/result"
)

// failed says what failed, what kind of failure it is, and how it is mended.
func (b *Backend) failed(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case b.waiters.Err() != nil:
		return b.waiters.Err()
	}
	if absent(err) {
		b.layout.Store(nil) // somebody changed the tables: look again before the next try
	}
	if remedy, kind := diagnose(err); remedy != "" {
		return fmt.Errorf("postgres: %s: %w: %w: %s", what, kind, pgdial.Plain(err), remedy)
	} else if kind != nil {
		return fmt.Errorf("postgres: %s: %w: %w", what, kind, pgdial.Plain(err))
	}
	return fmt.Errorf("postgres: %s: %w", what, pgdial.Plain(err))
}

// diagnose returns the kind of a failure, and the remedy where there is one.
func diagnose(err error) (remedy string, kind error) {
	state := pgdial.State(err)
	switch {
	case errors.Is(err, result.ErrAccess), errors.Is(err, result.ErrInvalid):
		return "", nil // it says so already
	case state == "42501":
		return "grant the user SELECT, INSERT, UPDATE and DELETE on the tables django_celery_results_taskresult, " +
			"django_celery_results_groupresult, django_celery_results_chordcounter, taskq_chords, taskq_chord_parts and taskq_claims, " +
			"as far as they are there, and USAGE on their sequences", result.ErrAccess
	case state == "42P10":
		return "the column task_id needs its unique constraint", result.ErrAccess
	case state == "2200H":
		return "the column id has no number left: ALTER TABLE " + taskTable + " ALTER COLUMN id TYPE bigint, and its sequence AS bigint",
			result.ErrAccess
	case strings.HasPrefix(state, "28"): // invalid authorization
		return "correct user and password in the URL, or permit it in pg_hba.conf", result.ErrAccess
	case state == "3D000":
		return "create the database, or correct its name in the URL", result.ErrAccess
	case refused(err):
		return "", result.ErrInvalid
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return "start PostgreSQL there or correct the URL", result.ErrUnavailable
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return "", result.ErrUnavailable
	}
	return "", nil
}

// refused reports whether the database took the row and found it wrong: no other time can mend that.
func refused(err error) bool {
	state := pgdial.State(err)
	return state != "2200H" && (strings.HasPrefix(state, "22") || strings.HasPrefix(state, "54"))
}

// absent reports whether a table or column is not there.
func absent(err error) bool {
	switch pgdial.State(err) {
	case "42P01", "42703", "3F000", "23502": // undefined table, undefined column, no schema; a column that wants a value
		return true
	}
	return false
}
