package postgres

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-399731e2/taskq/internal/mask"
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
		return fmt.Errorf("postgres: %s: %w: %w: %s", what, kind, plain(err), remedy)
	} else if kind != nil {
		return fmt.Errorf("postgres: %s: %w: %w", what, kind, plain(err))
	}
	return fmt.Errorf("postgres: %s: %w", what, plain(err))
}

// diagnose returns the kind of a failure, and the remedy where there is one.
func diagnose(err error) (remedy string, kind error) {
	state := sqlState(err)
	switch {
	case errors.Is(err, result.ErrAccess), errors.Is(err, result.ErrInvalid):
		return "", nil // it says so already
	case state == "42501":
		return "grant the user SELECT, INSERT, UPDATE and DELETE on the tables django_celery_results_taskresult and " +
			"django_celery_results_groupresult, and USAGE on their sequences", result.ErrAccess
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
	state := sqlState(err)
	return state != "2200H" && (strings.HasPrefix(state, "22") || strings.HasPrefix(state, "54"))
}

// absent reports whether a table or column is not there.
func absent(err error) bool {
	switch sqlState(err) {
	case "42P01", "42703", "3F000", "23502": // undefined table, undefined column, no schema; a column that wants a value
		return true
	}
	return false
}

// sqlState returns the server's code of five characters, "" when the error is not the server's.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// plain returns the error in one line and without secrets: pgx writes one line for each address that it tried.
func plain(err error) error {
	if err == nil {
		return nil
	}
	var tries []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.Join(strings.Fields(line), " "); !slices.Contains(tries, line) { // with TLS and without says the same twice
			tries = append(tries, line)
		}
	}
	text := mask.Text(strings.Join(tries, " "))
	if text == err.Error() {
		return err
	}
	return &told{text, err}
}

// told is an error in other words.
type told struct {
	text string
	err  error
}

func (e *told) Error() string { return e.text }

func (e *told) Unwrap() error { return e.err }
