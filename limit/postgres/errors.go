package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/limit"
)

// failed says what failed, what kind of failure it is, and how it is mended.
func (s *Store) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	if absent(err) {
		s.ready.Store(false) // somebody dropped them: they are made again with the next call
	}
	if s.life.Err() != nil && errors.Is(err, context.Canceled) {
		err = limit.ErrClosed // it was under way
	}
	remedy, kind := diagnose(err)
	switch {
	case kind == nil:
		return fmt.Errorf("postgres: %s: %w", what, pgdial.Plain(err))
	case remedy == "":
		return fmt.Errorf("postgres: %s: %w: %w", what, kind, pgdial.Plain(err))
	}
	return fmt.Errorf("postgres: %s: %w: %w: %s", what, kind, pgdial.Plain(err), remedy)
}

// diagnose returns the remedy for a failure, where there is one, and its kind, nil when it has one already.
func diagnose(err error) (remedy string, kind error) {
	for _, known := range []error{limit.ErrLost, limit.ErrClosed, limit.ErrInvalid, limit.ErrAccess, context.Canceled} {
		if errors.Is(err, known) {
			return "", nil
		}
	}
	state := pgdial.State(err)
	switch {
	case state == "42501": // insufficient privilege
		return "let a user with the right CREATE on the schema start once, and grant this one SELECT, INSERT, UPDATE and DELETE on " +
			placesTable + " and " + turnsTable + " and SELECT on " + versionTable, limit.ErrAccess
	case strings.HasPrefix(state, "28"): // invalid authorization
		return "correct user and password in the URL, or permit it in pg_hba.conf", limit.ErrAccess
	case state == "3D000":
		return "create the database, or correct its name in the URL", limit.ErrAccess
	case state == "", absent(err):
	case strings.HasPrefix(state, "08"), strings.HasPrefix(state, "25"), strings.HasPrefix(state, "40"), strings.HasPrefix(state, "53"),
		strings.HasPrefix(state, "55"), strings.HasPrefix(state, "57"), strings.HasPrefix(state, "58"):
		// connections, a server that only reads, conflicts, resources, locks, an operator, the system: another time it may work
	default:
		return "", nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return "start PostgreSQL there or correct the URL", limit.ErrUnavailable
	}
	return "", limit.ErrUnavailable // what the server has not said is of its connection
}
