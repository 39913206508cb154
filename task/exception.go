package task

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strconv"
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

// RemoteError is a task's failure as its caller sees it, whatever language the task ran in.
type RemoteError struct {
	Type      string // the exception's class: "ValueError"
	Module    string // "builtins"
	Message   string // the class's arguments as text: "boom"
	Args      []any  // the class's arguments
	Traceback string // as the worker wrote it; may be empty
}

// Error returns the class and the message, as Python prints them.
func (e *RemoteError) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// Is matches the sentinels of this package that stand for the same exception in Celery.
func (e *RemoteError) Is(target error) bool {
	switch e.Type {
	case "SoftTimeLimitExceeded":
		return target == ErrSoftTimeLimit
	case "TimeLimitExceeded":
		return target == ErrTimeLimit
	case "TaskRevokedError":
		return target == ErrRevoked
	case "NotRegistered":
		return target == ErrNotRegistered
	case "WorkerLostError":
		return target == ErrWorkerLost
	case "MaxRetriesExceededError":
		return target == ErrMaxRetries
	}
	return false
}

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

func (x Exception) remote(traceback string) *RemoteError {
	e := &RemoteError{Type: x.Type, Module: x.Module, Args: x.Message, Traceback: traceback}
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

// frameworkExceptions are the classes behind the sentinels; the modules are those that Celery itself uses.
func frameworkException(err error) (Exception, bool) {
	for _, x := range []struct {
		err          error
		class, where string
	}{
		{ErrSoftTimeLimit, "SoftTimeLimitExceeded", "billiard.exceptions"},
		{ErrTimeLimit, "TimeLimitExceeded", "billiard.exceptions"},
		{ErrWorkerLost, "WorkerLostError", "billiard.exceptions"},
		{ErrRevoked, "TaskRevokedError", "celery.exceptions"},
		{ErrNotRegistered, "NotRegistered", "celery.exceptions"},
		{ErrMaxRetries, "MaxRetriesExceededError", "celery.exceptions"},
		{context.DeadlineExceeded, "TimeoutError", "builtins"},
		{fs.ErrNotExist, "FileNotFoundError", "builtins"},
		{fs.ErrPermission, "PermissionError", "builtins"},
		{fs.ErrExist, "FileExistsError", "builtins"},
		{strconv.ErrSyntax, "ValueError", "builtins"},
		{strconv.ErrRange, "ValueError", "builtins"},
		{errors.ErrUnsupported, "NotImplementedError", "builtins"},
	} {
		if errors.Is(err, x.err) {
			return Exception{Type: x.class, Module: x.where, Message: []any{err.Error()}}, true
		}
	}
	return Exception{}, false
}

// ExceptionFrom returns the exception that stands for err: what a Raiser in its chain says, the class of a known sentinel, or the
// name and package of its Go type ("PathError", "io/fs"); errors without a type of their own are plain Exceptions.
func ExceptionFrom(err error) Exception {
	if raiser, ok := errors.AsType[Raiser](err); ok {
		return raiser.PythonException()
	}
	if p, ok := errors.AsType[*PanicError](err); ok {
		return Exception{Type: "Panic", Module: "taskq", Message: []any{fmt.Sprint(p.Value)}}
	}
	if exc, ok := frameworkException(err); ok {
		return exc
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		t := reflect.TypeOf(e)
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.PkgPath() {
		case "errors", "fmt", "", reflect.TypeFor[PanicError]().PkgPath():
			continue
		}
		return Exception{Type: t.Name(), Module: t.PkgPath(), Message: []any{err.Error()}}
	}
	return Exception{Type: "Exception", Module: "builtins", Message: []any{err.Error()}}
}
