package task

import (
	"fmt"
	"strings"
)

// Exception is an exception as Celery stores it: {"exc_type", "exc_message", "exc_module"}. A Python caller gets the class Module.Type
// when it has imported it, else a class made up of that name; called with Message as its arguments (celery/backends/base.py,
// exception_to_python).
type Exception struct {
	Type    string `json:"exc_type"`
	Message []any  `json:"exc_message"`
	Module  string `json:"exc_module"`
}

// Raiser is an error that says which exception a Python caller shall see.
type Raiser interface {
	error
	PythonException() Exception
}

// RemoteError is a task's failure as its caller sees it, whatever language the task ran in. errors.Is finds in it the Go error that
// stands for the exception: what the application's Exceptions say, the sentinels of this package for Celery's own exceptions, and
// those of the standard library for some of Python's (see Exceptions).
type RemoteError struct {
	Type      string // the exception's class: "ValueError"
	Module    string // "builtins"
	Message   string // the class's arguments as text: "boom"
	Args      []any  // the class's arguments
	Traceback string // as the worker wrote it; may be empty
	// Known says which errors the exception stands for, besides those that are known everywhere.
	Known Exceptions
}

// Error returns the class and the message, as Python prints them.
func (e *RemoteError) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// Is reports whether target stands for the exception.
func (e *RemoteError) Is(target error) bool { return e.Known.stands(target, e) }

// PythonException implements Raiser: a failure that is passed on stays what it was.
func (e *RemoteError) PythonException() Exception {
	args := e.Args
	if args == nil {
		args = []any{e.Message}
	}
	return Exception{Type: e.Type, Module: e.Module, Message: args}
}

// Raise returns an error that a Python caller sees as the builtin exception class, "ValueError" say.
func Raise(class, message string) error {
	return &RemoteError{Type: class, Module: "builtins", Message: message}
}

func (x Exception) remote(traceback string, known Exceptions) *RemoteError {
	e := &RemoteError{Type: x.Type, Module: x.Module, Args: x.Message, Traceback: traceback, Known: known}
	switch len(x.Message) {
	case 0:
	case 1:
		e.Message = fmt.Sprint(x.Message[0])
	default:
		texts := make([]string, len(x.Message))
		for i, m := range x.Message {
			texts[i] = Repr(m)
		}
		e.Message = "(" + strings.Join(texts, ", ") + ")"
	}
	return e
}
