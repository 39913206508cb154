package codec

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
)

// formatError is a value that cannot be read or written, and where it is.
type formatError struct {
	format string // "" is JSON
	path   string // "visits[2].atime"; "" is the top
	text   string
	err    error // what a type's own method returned; nil when text says it all
}

// Error implements error.
func (e *formatError) Error() string {
	var b strings.Builder
	b.WriteString(cmp.Or(e.format, "json"))
	b.WriteString(": ")
	if e.path != "" {
		b.WriteString(e.path)
		b.WriteString(": ")
	}
	b.WriteString(e.text)
	if e.err != nil {
		b.WriteString(e.err.Error())
	}
	return b.String()
}

// Unwrap returns what a type's own method returned.
func (e *formatError) Unwrap() error { return e.err }

// inMember and inElement add the place to an error on its way up.
func inMember(err error, key string) error { return inPlace(err, clip(key)) }

func inElement(err error, i int) error { return inPlace(err, "["+strconv.Itoa(i)+"]") }

func inPlace(err error, segment string) error {
	e, ok := errors.AsType[*formatError](err)
	if !ok {
		return err
	}
	switch {
	case e.path == "":
		e.path = segment
	case e.path[0] == '[':
		e.path = segment + e.path
	default:
		e.path = segment + "." + e.path
	}
	return err
}
