package pgdial

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-399731e2/taskq/internal/mask"
)

// State returns the server's code of five characters, "" when the error is not the server's.
func State(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// Plain returns the error in one line and without secrets: pgx writes one line for each address that it tried.
func Plain(err error) error {
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
