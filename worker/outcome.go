package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/task"
)

// meta is the outcome as the result store keeps it; the execution is claimed.
func (e *execution) meta(v verdict) task.Meta {
	e.updates.end()
	m := e.known(v.state)
	if v.state == task.Retried {
		m.Children = append(m.Children, task.Ref{ID: e.req.ID}) // the next try, as in Celery
	}
	if v.state == task.Success {
		m.Result = e.result
	}
	if v.state.Exceptional() {
		m.Result = e.w.exception(v.err)
		if e.hasTraceback(v.err) {
			m.Traceback = e.w.traceback(e.req, v.cause())
		}
	}
	if m.State.Ready() {
		m.DoneAt = time.Now().UTC()
	}
	return m
}

// hasTraceback reports whether an error has come out of the task, as in Celery: not when the task never ran, was given up or terminated, or
// asked for the rejection of its message.
func (e *execution) hasTraceback(err error) bool {
	_, givenUp := errors.AsType[*overtime](err)
	_, isRevoked := errors.AsType[*revoked](err)
	return !e.started.IsZero() && !givenUp && !isRevoked && !isReject(err)
}

// cause is why the task ended as it did; a retry without a reason is its own, as in Celery.
func (v verdict) cause() error {
	if v.err == nil {
		return &task.RemoteError{Type: "Retry", Module: "celery.exceptions", Message: fmt.Sprintf("Retry in %gs", v.retryIn.Seconds())}
	}
	return v.err
}

// known is what there is to store of the task in any state.
func (e *execution) known(state task.State) task.Meta {
	m := task.Meta{
		ID: e.req.ID, State: state, GroupID: e.req.Group, ParentID: e.req.ParentID,
		ReplyTo: e.req.ReplyTo, CorrelationID: e.req.CorrelationID, Children: e.trail.Refs(),
	}
	if m.CorrelationID == "" {
		m.CorrelationID = m.ID
	}
	if e.w.cfg.ResultExtended {
		m.Extended = extended(e.req)
	}
	return m
}

// report logs the outcome: one line for each task, in the phrases that the command line turns into Celery's.
func (e *execution) report(ctx context.Context, v verdict, traceback string) {
	runtime := time.Since(e.started).Seconds()
	if v.state == task.Success {
		if e.w.log.Enabled(ctx, slog.LevelInfo) { // or the hot way pays for what nobody reads
			e.w.log.LogAttrs(ctx, slog.LevelInfo, "task succeeded", slog.String("task", e.req.DisplayName()), slog.String("id", e.req.ID),
				slog.Float64("runtime", runtime), slog.String("result", e.repr))
		}
		return
	}
	log := e.w.log.With("task", e.req.DisplayName(), "id", e.req.ID)
	switch {
	case v.state == task.Retried && v.err == nil:
		log.InfoContext(ctx, "task retried", "retry_in", v.retryIn.Seconds())
	case v.state == task.Retried:
		log.InfoContext(ctx, "task retried", "retry_in", v.retryIn.Seconds(), "error", e.w.exceptionRepr(v.err))
	case v.state == task.Revoked && !e.started.IsZero():
		log.InfoContext(ctx, "task terminated", "runtime", runtime)
	case v.state == task.Failure && v.disposition == broker.Reject && isReject(v.err):
		log.WarnContext(ctx, "task rejected", "requeue", false, "error", v.err)
	case v.state == task.Failure && !e.started.IsZero():
		log.ErrorContext(ctx, "task failed", "runtime", runtime, "error", e.w.exceptionRepr(v.err), "traceback", traceback)
	case v.disposition == broker.Requeue:
		log.WarnContext(ctx, "task rejected", "requeue", true, "error", v.err)
	case v.replacement != nil:
		log.InfoContext(ctx, "task replaced", "with", v.replacement.Task)
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
