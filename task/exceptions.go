package task

import (
	"errors"
	"fmt"
	"reflect"
)

// Exceptions say which Python exception stands for which Go error, in both directions: a task that fails with the error raises the
// exception in a Python caller, and the exception of a Python task matches the error with errors.Is in a Go caller. The first rule that
// fits counts. Behind them come Celery's own exceptions and those of Python that mean the same as an error of the standard library; nil
// Exceptions know these alone.
type Exceptions []ExceptionRule

// ExceptionRule is one exception and the Go error that it stands for.
type ExceptionRule struct {
	// Type is the class, Module where a Python caller has imported it from: "OutOfStock" and "shop.errors". An empty Module means
	// Python's builtin classes. The class is called with the error's text; an error that implements Raiser gives other arguments.
	Type, Module string
	// Err is the error that errors.Is looks for, in both directions.
	Err error
	// If says which errors are meant, in place of Err, where there is no sentinel to compare with: a Go error of some type, say. Such
	// a rule works in this one direction.
	If func(error) bool
}

// Validate refuses rules that name no class or no error.
func (x Exceptions) Validate() error {
	for i, rule := range x {
		if rule.Type == "" || (rule.Err == nil) == (rule.If == nil) {
			return fmt.Errorf("task: exception rule %d (%q): it needs a Type, and either Err or If", i, rule.Type)
		}
	}
	return nil
}

// From returns the exception that stands for err: what a Raiser in its chain says, what the rules say, the class of a known error, or the
// name and package of its Go type ("MyError", "example.com/shop"); errors without a type of their own are plain Exceptions.
func (x Exceptions) From(err error) Exception {
	if raiser, ok := errors.AsType[Raiser](err); ok {
		return raiser.PythonException()
	}
	for _, rule := range x {
		if rule.Err != nil && errors.Is(err, rule.Err) || rule.If != nil && rule.If(err) {
			return rule.exception(err)
		}
	}
	if p, ok := errors.AsType[*PanicError](err); ok {
		return Exception{Type: "Panic", Module: "taskq", Message: []any{fmt.Sprint(p.Value)}}
	}
	for _, known := range knownExceptions() {
		if errors.Is(err, known.Err) {
			return known.exception(err)
		}
	}
	if class, ok := typicalException(err); ok {
		return class.exception(err)
	}
	return namesake(err)
}

// namesake is the exception that is called as the error's Go type is.
func namesake(err error) Exception {
	for e := err; e != nil; e = errors.Unwrap(e) {
		t := reflect.TypeOf(e)
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.PkgPath() {
		case "errors", "fmt", "github.com/pkg/errors", "", reflect.TypeFor[PanicError]().PkgPath():
			continue
		}
		return Exception{Type: t.Name(), Module: t.PkgPath(), Message: []any{err.Error()}}
	}
	return ExceptionRule{Type: "Exception"}.exception(err)
}

func (r ExceptionRule) exception(err error) Exception {
	x := Exception{Type: r.Type, Module: r.module(), Message: []any{err.Error()}}
	if err == ErrSoftTimeLimit { //nolint:errorlint // one that wraps it says more
		x.Message = []any{} // as billiard raises it
	}
	return x
}

func (r ExceptionRule) module() string {
	if r.Module == "" {
		return builtins
	}
	return r.Module
}

// builtins is the module of Python's own classes.
const builtins = "builtins"

// stands reports whether target is a Go error that stands for the exception.
func (x Exceptions) stands(target error, e *RemoteError) bool {
	for _, rule := range x {
		if rule.Err == target && rule.Type == e.Type && rule.module() == e.Module { //nolint:errorlint // errors.Is unwraps, Is compares
			return true
		}
	}
	for _, known := range knownExceptions() {
		if known.Err == target && !known.oneWay && known.names(e) { //nolint:errorlint // as above
			return true
		}
	}
	return false
}
