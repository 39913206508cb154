package accessrecord

import (
	"errors"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/pool"
)

// refused reports whether the database took the visit and found it wrong: no other connection and no other time can mend that.
// It is Django's distinction of DataError and IntegrityError from everything else.
func refused(err error) bool {
	switch sqlClass(err) {
	case "22", // data exception
		"23", // integrity constraint violation
		"54": // program limit exceeded
		return true
	}
	return false
}

// missing reports whether a table or column is not there.
func missing(err error) bool {
	switch pgdial.State(err) {
	case "42P01", "42703", "3F000": // undefined table, undefined column, invalid schema name
		return true
	}
	return false
}

// uncopyable reports whether a table takes no COPY: a view, or one with row-level security.
func uncopyable(err error) bool {
	switch pgdial.State(err) {
	case "0A000", "42809": // feature not supported, wrong object type
		return true
	}
	return false
}

// forbidden reports whether the user lacks a right.
func forbidden(err error) bool { return pgdial.State(err) == "42501" }

// misused reports whether the slot's connection was used in a way that is wrong in the program.
func misused(err error) bool {
	for _, e := range []error{pool.ErrNoSlot, pool.ErrNotHooked, pool.ErrForeignSlot, pool.ErrConcurrentUse} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func sqlClass(err error) string {
	if state := pgdial.State(err); len(state) == 5 {
		return state[:2]
	}
	return ""
}
