package worker

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// exception encodes an error as the exception that Python callers see.
func (w *Worker) exception(err error) codec.Raw {
	raw, encodeErr := wire.EncodeException(err, w.cfg.Exceptions)
	if encodeErr != nil { // only when the error's own description cannot be encoded
		raw, _ = wire.EncodeException(errors.New(err.Error()), nil) // text always can
	}
	return raw
}

// exceptionRepr prints an exception as Python does: ValueError('boom').
func (w *Worker) exceptionRepr(err error) string {
	exc := w.cfg.Exceptions.From(err)
	args := make([]string, len(exc.Message))
	for i, a := range exc.Message {
		args[i] = task.Repr(a)
	}
	return exc.Type + "(" + strings.Join(args, ", ") + ")"
}

// traceback is the text that a Python caller finds in result.traceback, laid out as Python does: where the task ran, the Go functions
// that the error came through when it carries a stack, and the error.
func (w *Worker) traceback(req *task.Request, err error) string {
	if remote, ok := errors.AsType[*task.RemoteError](err); ok && remote.Traceback != "" {
		return remote.Traceback
	}
	var b strings.Builder
	b.WriteString("Traceback (most recent call last):\n")
	fmt.Fprintf(&b, "  Go task %s[%s] on %s\n", req.Name, req.ID, req.Hostname)
	for _, f := range slices.Backward(frames(stack(err))) {
		fmt.Fprintf(&b, "  File %q, line %d, in %s\n", f.File, f.Line, f.Function)
	}
	exc := w.cfg.Exceptions.From(err)
	class := exc.Type
	if exc.Module != "builtins" {
		class = exc.Module + "." + class
	}
	fmt.Fprintf(&b, "%s: %s\n", class, strings.TrimPrefix(err.Error(), exc.Type+": "))
	return b.String()
}

// stack is that of the innermost error that carries one, nearest to where things went wrong: as the program counters of runtime.Callers,
// returned by a method StackTrace or Callers. A panic has one, and so do the errors of some packages for errors, whose own types for a
// counter make it a matter of reflection.
func stack(err error) []uintptr {
	var innermost []uintptr
	for err != nil {
		v := reflect.ValueOf(err)
		for _, method := range []reflect.Value{v.MethodByName("StackTrace"), v.MethodByName("Callers")} {
			if pcs := counters(method); pcs != nil {
				innermost = pcs
			}
		}
		if several, ok := err.(interface{ Unwrap() []error }); ok && len(several.Unwrap()) > 0 {
			err = several.Unwrap()[0]
			continue
		}
		err = errors.Unwrap(err)
	}
	return innermost
}

// counters calls a method that returns program counters; nil when it is none.
func counters(method reflect.Value) []uintptr {
	if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 {
		return nil
	}
	if out := method.Type().Out(0); out.Kind() != reflect.Slice || out.Elem().Kind() != reflect.Uintptr {
		return nil
	}
	list := method.Call(nil)[0]
	pcs := make([]uintptr, list.Len())
	for i := range pcs {
		pcs[i] = uintptr(list.Index(i).Uint())
	}
	return pcs
}

// frames are the functions of a stack that say something about a task, innermost first: without the runtime's part of a panic, and
// without what is outside of the task's handler.
func frames(stack []uintptr) []runtime.Frame {
	if len(stack) == 0 {
		return nil
	}
	var own []runtime.Frame
	panicked := false
	for next, more := runtime.CallersFrames(stack), true; more; {
		var f runtime.Frame
		f, more = next.Next()
		switch {
		case f.Function == "runtime.gopanic" && !panicked:
			own, panicked = nil, true // so far it was about catching the panic
		case strings.HasSuffix(f.Function, "/worker.(*execution).call"), strings.HasSuffix(f.Function, "/worker.(*batch).call"), f.Function == "runtime.goexit":
			return own
		case !strings.HasPrefix(f.Function, "runtime.") || len(own) > 0: // the first ones make a panic out of a nil pointer, say
			own = append(own, f)
		}
	}
	return own
}
