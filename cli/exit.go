package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/outbox"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// Exit statuses, those of sysexits.h and timeout(1) where they have one.
const (
	Failure       = 1   // the task failed, the worker was shut down cold
	Usage         = 64  // wrong flags or arguments
	Unavailable   = 69  // the broker or the result store cannot be reached
	CannotCreate  = 73  // a file cannot be created
	Misconfigured = 78  // a setting cannot be used
	TimedOut      = 124 // --timeout is over
	Interrupted   = 130
)

// exitError is an error with its exit status.
type exitError struct {
	code int
	err  error
}

// Exit gives err an exit status. Main prints the error's text, unless it is empty.
func Exit(code int, err error) error { return &exitError{code, err} }

// Error returns the cause's text.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

// ExitCode returns the exit status for an error of a command: 0 for nil, and 1 for errors that have none of their own.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if e, ok := errors.AsType[*config.Error](err); ok {
		if e.Origin.From == config.FromFlag {
			return Usage
		}
		return Misconfigured
	}
	_, clash := errors.AsType[*broker.DeclareError](err)
	_, path := errors.AsType[*fs.PathError](err)
	switch {
	case clash, errors.Is(err, broker.ErrAccess), errors.Is(err, result.ErrAccess), errors.Is(err, task.ErrNoResults),
		errors.Is(err, broker.ErrNoQueue), errors.Is(err, broker.ErrUnroutable), errors.Is(err, outbox.ErrAccess), errors.Is(err, outbox.ErrNoTable),
		errors.Is(err, limit.ErrAccess), errors.Is(err, limit.ErrNoStore), errors.Is(err, worker.ErrStateDB) && !path:
		return Misconfigured
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, result.ErrUnavailable), errors.Is(err, outbox.ErrUnavailable),
		errors.Is(err, limit.ErrUnavailable):
		return Unavailable
	case errors.Is(err, broker.ErrInvalid) && errors.Is(err, errors.ErrUnsupported): // a chord, without a store that counts
		return Misconfigured
	case errors.Is(err, broker.ErrInvalid):
		return Usage
	case path, errors.Is(err, fs.ErrPermission):
		return CannotCreate
	}
	return Failure
}

// explain turns an error into one sentence for the user, with the remedy and without secrets.
func explain(s *Session, err error) error {
	if err == nil {
		return nil
	}
	text := sentence(s, err)
	if s != nil {
		text = s.Config.Scrub(text)
	}
	return Exit(ExitCode(err), &told{text: maskURLs(text), err: err})
}

// told is an error in the words for the user.
type told struct {
	text string
	err  error
}

func (e *told) Error() string { return e.text }

func (e *told) Unwrap() error { return e.err }

func sentence(s *Session, err error) string {
	text := cause(err.Error())
	if path, ok := errors.AsType[*fs.PathError](err); ok && ExitCode(err) == CannotCreate && !errors.Is(err, worker.ErrStateDB) {
		return fmt.Sprintf("the store cannot be opened: %s: %s; make the place writable, or name another one with --broker sqlite:///path or XDG_STATE_HOME",
			path.Path, path.Err)
	}
	clash, isClash := errors.AsType[*broker.DeclareError](err)
	switch {
	case isClash && s != nil:
		return s.clashSentence(clash)
	case s != nil && (errors.Is(err, broker.ErrNoQueue) || errors.Is(err, broker.ErrUnroutable)):
		return s.missingSentence(text, err)
	case errors.Is(err, task.ErrNoResults):
		return "no result store is configured (result_backend is disabled); name one with --result-backend or TASKQ_RESULT_BACKEND"
	case errors.Is(err, result.ErrAccess), errors.Is(err, result.ErrUnavailable):
		if s != nil && s.Config.Given("result_backend") {
			return fmt.Sprintf("%s (from %s)", text, s.Config.Origin("result_backend"))
		}
	case errors.Is(err, outbox.ErrAccess), errors.Is(err, outbox.ErrUnavailable), errors.Is(err, outbox.ErrNoTable):
		if s != nil && s.Config.Given("outbox_url") {
			return fmt.Sprintf("%s (from %s)", text, s.Config.Origin("outbox_url"))
		}
	case errors.Is(err, limit.ErrAccess), errors.Is(err, limit.ErrUnavailable):
		if s != nil && s.Config.Given("limit_store") {
			return fmt.Sprintf("%s (from %s)", text, s.Config.Origin("limit_store"))
		}
	case errors.Is(err, broker.ErrAccess), errors.Is(err, broker.ErrUnavailable):
		if s != nil && s.Config.Given("broker_url") {
			return fmt.Sprintf("%s (from %s)", text, s.Config.Origin("broker_url"))
		}
	}
	return text
}

// cause is an error's text without the names of the packages in front.
func cause(text string) string {
	for {
		shorter := text
		for _, name := range []string{"taskq", "task", "worker", "broker", "amqp", "sqlite", "sqlitedb", "rpc", "redis", "postgres", "outbox", "pool"} {
			shorter = strings.TrimPrefix(shorter, name+": ")
		}
		if shorter == text {
			return text
		}
		text = shorter
	}
}

// maskURLs hides passwords in URLs that are part of a text.
func maskURLs(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		if strings.Contains(word, "://") {
			words[i] = config.MaskURL(word)
		}
	}
	return strings.Join(words, " ")
}

// plainPath leaves the name of the system call out of an error about a file.
func plainPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}
