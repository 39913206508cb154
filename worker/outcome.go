package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// meta is the outcome as the result store keeps it. A result that cannot be encoded is a failure, as in Celery.
func (e *execution) meta(v verdict, result any) (task.Meta, verdict) {
	m := task.Meta{
		ID: e.req.ID, State: v.state, GroupID: e.req.Group, ParentID: e.req.ParentID,
		ReplyTo: e.req.ReplyTo, CorrelationID: e.req.CorrelationID, Children: e.trail.Refs(),
	}
	if v.state == task.Retried {
		m.Children = append(m.Children, task.Ref{ID: e.req.ID}) // the next try, as in Celery
	}
	if m.CorrelationID == "" {
		m.CorrelationID = m.ID
	}
	if v.state == task.Success {
		encoded, err := codec.JSON{}.Marshal(result)
		if err != nil {
			v = verdict{state: task.Failure, err: &encodeError{err}, disposition: v.disposition}
			m.State = v.state
		}
		m.Result = encoded
	}
	if v.state.Exceptional() {
		m.Result = codec.Raw("null")
		if v.err != nil {
			m.Result = exception(v.err)
			m.Traceback = traceback(e.req, v.err)
		}
	}
	if m.State.Ready() {
		m.DoneAt = time.Now().UTC()
	}
	return m, v
}

// exception encodes an error as the exception that Python callers see.
func exception(err error) codec.Raw {
	raw, encodeErr := wire.EncodeException(err)
	if encodeErr != nil { // only when the error's own description cannot be encoded
		raw, _ = wire.EncodeException(errors.New(err.Error())) // text always can
	}
	return raw
}

// traceback is the text that a Python caller finds in result.traceback: a panic's stack, or what is known of an error.
func traceback(req *task.Request, err error) string {
	if remote, ok := errors.AsType[*task.RemoteError](err); ok && remote.Traceback != "" {
		return remote.Traceback
	}
	var b strings.Builder
	b.WriteString("Traceback (most recent call last):\n")
	fmt.Fprintf(&b, "  Go task %s[%s] on %s\n", req.Name, req.ID, req.Hostname)
	if p, ok := errors.AsType[*task.PanicError](err); ok {
		b.WriteString(p.Stack)
	}
	class := task.ExceptionFrom(err).Type + ": "
	b.WriteString(class + strings.TrimPrefix(err.Error(), class) + "\n")
	return b.String()
}

// exceptionRepr prints an exception as Python does: ValueError('boom').
func exceptionRepr(err error) string {
	exc := task.ExceptionFrom(err)
	args := make([]string, len(exc.Message))
	for i, a := range exc.Message {
		args[i] = task.Repr(a)
	}
	return exc.Type + "(" + strings.Join(args, ", ") + ")"
}

// report logs the outcome: one line for each task, in the phrases that the command line turns into Celery's.
func (e *execution) report(ctx context.Context, v verdict, result any, traceback string) {
	log := e.w.log.With("task", e.req.DisplayName(), "id", e.req.ID)
	runtime := time.Since(e.started).Seconds()
	switch {
	case v.state == task.Success:
		log.InfoContext(ctx, "task succeeded", "runtime", runtime, "result", task.ReprResult(result))
	case v.state == task.Retried && v.err == nil:
		log.InfoContext(ctx, "task retried", "retry_in", v.retryIn.Seconds())
	case v.state == task.Retried:
		log.InfoContext(ctx, "task retried", "retry_in", v.retryIn.Seconds(), "error", exceptionRepr(v.err))
	case v.state == task.Failure && v.disposition == broker.Reject && isReject(v.err):
		log.WarnContext(ctx, "task rejected", "requeue", false, "error", v.err)
	case v.state == task.Failure && !e.started.IsZero():
		log.ErrorContext(ctx, "task failed", "runtime", runtime, "error", exceptionRepr(v.err), "traceback", traceback)
	case v.disposition == broker.Requeue:
		log.WarnContext(ctx, "task rejected", "requeue", true, "error", v.err)
	case errors.Is(v.err, task.ErrIgnore):
		log.InfoContext(ctx, "task ignored")
	}
}

func isReject(err error) bool {
	_, ok := errors.AsType[*task.RejectError](err)
	return ok
}

// encodeError is the failure of a task whose result is no value that the codec knows.
type encodeError struct{ err error }

func (e *encodeError) Error() string { return "the result cannot be encoded: " + e.err.Error() }

func (e *encodeError) Unwrap() error { return e.err }

// PythonException implements task.Raiser.
func (e *encodeError) PythonException() task.Exception {
	return task.Exception{Type: "EncodeError", Module: "kombu.exceptions", Message: []any{e.Error()}}
}
