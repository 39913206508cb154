package worker

import (
	"slices"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/task"
)

// failedTask is what an errback is about.
type failedTask struct {
	workflow.Origin
	request task.FailedRequest
	meta    task.Meta
}

// failedRequest is the request as an errback gets it.
func (e *execution) failedRequest() task.FailedRequest {
	r := task.FailedRequest{
		ID: e.req.ID, Task: e.req.Name, RootID: e.req.RootID, ParentID: e.req.ParentID, Group: e.req.Group, Retries: e.req.Retries,
	}
	if e.req.Codec != nil {
		r.Args, _ = encode(e.req.Codec, e.req.Args)
		r.Kwargs, _ = encode(e.req.Codec, e.req.Kwargs)
	}
	return r
}

// informed gives an errback in the newer form what it takes in place of the id.
func (e *execution) informed(s task.Signature, failed failedTask) task.Signature {
	spec := e.w.taskOf(s.Task)
	if s.Immutable || len(s.Args) == 0 || !runnable(spec) || !takesFailedCall(spec) {
		return s
	}
	var exc any
	if err := (codec.JSON{}).Unmarshal(failed.meta.Result, &exc); err != nil { // all exceptions are in JSON
		return s
	}
	request := map[string]any{
		"id": failed.request.ID, "task": failed.request.Task, "args": failed.request.Args, "kwargs": failed.request.Kwargs,
		"root_id": failed.request.RootID, "parent_id": failed.request.ParentID, "group": failed.request.Group, "retries": failed.request.Retries,
	}
	s.Args = slices.Concat([]any{request, exc, failed.meta.Traceback}, s.Args[1:])
	return s
}

// takesFailedCall reports whether the parameters of a task are those of Celery's newer errbacks.
func takesFailedCall(spec *task.Spec) bool {
	names := []string{"request", "exc", "traceback"}
	if len(spec.Params) < len(names) {
		return false
	}
	for i, name := range names {
		if spec.Params[i].Name != name {
			return false
		}
	}
	return true
}
