package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// accept looks at what became of earlier deliveries, decodes this one, looks its task up, asks the gates and hands it to a slot.
// Whatever is wrong with the message, it is settled here and the worker goes on.
func (w *Worker) accept(ctx context.Context, a *arrival) {
	if !w.admit(ctx, a) {
		return
	}
	req, err := wire.Decode(a.Delivery, w.cfg.Accept, w.cfg.Limits)
	if err != nil {
		w.refuse(ctx, a, err)
		return
	}
	req.Hostname = w.cfg.Hostname
	e := &execution{w: w, delivery: a, req: req, received: time.Now()}
	w.running.add(e)
	e.lookUp()
	e.Followers, err = w.readFollowers(req)
	if !runnable(e.spec) {
		w.unregistered(ctx, e)
		return
	}
	if err != nil {
		w.unsupported(ctx, e, err)
		return
	}
	if w.log.Enabled(ctx, slog.LevelInfo) { // asked before the line is made: it costs more than most of what is here
		w.log.LogAttrs(ctx, slog.LevelInfo, "task received",
			slog.String("task", req.DisplayName()), slog.String("id", req.ID), slog.String("queue", req.Queue))
	}
	if w.gate(ctx, e) {
		w.submit(ctx, e)
	}
}

// lookUp finds the request's task, and what the message leaves to it. A message that asks for the outcome has it stored, whatever the
// task says (celery/app/trace.py, get_actual_ignore_result).
func (e *execution) lookUp() {
	e.spec = e.w.taskOf(e.req.Name)
	if e.spec != nil && !e.req.KeepResult {
		e.req.IgnoreResult = e.req.IgnoreResult || e.spec.Call.IgnoreResult
	}
}

// refuse settles a message that is no task message of ours: to the dead letters when the queue has some. When the message says who
// waits for it, that caller learns why.
func (w *Worker) refuse(ctx context.Context, a *arrival, err error) {
	bad, ok := errors.AsType[*wire.MalformedError](err)
	if !ok {
		bad = &wire.MalformedError{Err: err}
	}
	w.log.ErrorContext(ctx, "message refused", "error", bad, "queue", a.Queue, "task", bad.Task, "id", bad.ID)
	e := &execution{w: w, delivery: a, req: &task.Request{
		ID: bad.ID, Name: bad.Task, ReplyTo: bad.ReplyTo, CorrelationID: bad.CorrelationID, Queue: a.Queue,
		RootID: bad.RootID, ParentID: bad.ParentID, Group: bad.GroupID, GroupIndex: bad.GroupIndex,
		Arguments: task.Arguments{Codec: bad.Codec}, Embed: bad.Embed, Envelope: bad.Envelope,
	}}
	if bad.Codec != nil {
		e.Followers, _ = w.readFollowers(e.req) // what can be read is told
	}
	w.running.add(e)
	v := verdict{err: bad, disposition: broker.Reject, reason: deadletter.Malformed}
	if bad.Kind == wire.Refused {
		v.reason = deadletter.Refused
	}
	if bad.ID != "" && bad.Task != "" {
		v.state = task.Failure
	}
	e.claim()
	e.finish(v)
}

// unregistered settles a call of a task that this worker does not have: it fails for its caller, and the message goes to the dead
// letters when the queue has some.
func (w *Worker) unregistered(ctx context.Context, e *execution) {
	w.log.ErrorContext(ctx, "task unregistered: received a task of a name that this worker does not have; did you register it, or does the message belong to another queue?",
		"task", e.req.Name, "id", e.req.ID, "queue", e.req.Queue)
	e.claim()
	e.finish(verdict{state: task.Failure, err: &notRegisteredError{e.req.Name}, disposition: broker.Reject, reason: deadletter.Unregistered})
}

// unsupported refuses a call that other tasks depend on in a way that cannot be kept: to run it and forget those would break the
// workflow without a word. What can be done for a failure is done.
func (w *Worker) unsupported(ctx context.Context, e *execution, err error) {
	err = &workflowError{e.req.Name, err}
	w.log.ErrorContext(ctx, "task refused", "task", e.req.Name, "id", e.req.ID, "error", err)
	e.claim()
	v := verdict{state: task.Failure, err: err, disposition: broker.Reject, reason: deadletter.Malformed}
	if errors.Is(err, errors.ErrUnsupported) {
		v.reason = deadletter.Refused
	}
	e.finish(v)
}

// notRegisteredError is the failure of a call of an unknown task; its message is the bare name, as in Celery.
type notRegisteredError struct{ name string }

func (e *notRegisteredError) Error() string {
	return fmt.Sprintf("%s: %s", task.ErrNotRegistered, e.name)
}

func (e *notRegisteredError) Unwrap() error { return task.ErrNotRegistered }

// PythonException implements task.Raiser.
func (e *notRegisteredError) PythonException() task.Exception {
	return task.Exception{Type: "NotRegistered", Module: "celery.exceptions", Message: []any{e.name}}
}

// workflowError is the failure of a task with followers that cannot be read, or cannot be called.
type workflowError struct {
	name string
	err  error
}

func (e *workflowError) Error() string {
	return fmt.Sprintf("task %s: what is to follow it: %v", e.name, e.err)
}

func (e *workflowError) Unwrap() error { return e.err }

// PythonException implements task.Raiser.
func (e *workflowError) PythonException() task.Exception {
	if errors.Is(e.err, errors.ErrUnsupported) {
		return task.Exception{Type: "NotImplementedError", Module: "builtins", Message: []any{e.Error()}}
	}
	return task.Exception{Type: "InvalidTaskError", Module: "celery.exceptions", Message: []any{e.Error()}}
}
