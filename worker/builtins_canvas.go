package worker

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/task"
)

// What Celery's built-in tasks that send others return is which ones, as the result tuple that result_from_tuple and the children of the
// outcome tell as well: celery.chunks, of which a step of a workflow is made, and celery.group, celery.chord and celery.chain, which only old
// clients send. celery.chain is no real task in Celery; here it is the like of the others.

// chunked are the arguments of celery.chunks.
type chunked struct {
	Task codec.Raw   `task:"task"`
	It   []codec.Raw `task:"it"`
	N    int         `task:"n"`
}

// chunks sends a group of celery.starmap with up to n items each (celery/canvas.py, chunks).
func (w *Worker) chunks(ctx context.Context, c chunked) (any, error) {
	req := task.FromContext(ctx)
	if c.N < 1 {
		return nil, task.Raise("ValueError", fmt.Sprintf("%s: chunks of %d items: at least 1 is needed", req.Name, c.N))
	}
	if _, err := wire.DecodeSignature(c.Task, req.Codec); err != nil {
		return nil, noSignature(req, "task", err)
	}
	group := task.Signature{Task: "celery.group", Type: "group"}
	for part := range slices.Chunk(c.It, c.N) {
		it, err := req.Codec.Marshal(part)
		if err != nil {
			return nil, err
		}
		group.Tasks = append(group.Tasks, task.Signature{
			Task: "celery.starmap", Kwargs: map[string]any{"task": c.Task, "it": codec.Raw(it)}, Immutable: true,
		})
	}
	return w.startWorkflow(ctx, group, nil)
}

// grouped are the arguments of celery.group.
type grouped struct {
	Tasks       codec.Raw   `task:"tasks"`
	Result      codec.Raw   `task:"result,optional"`
	GroupID     string      `task:"group_id,optional"`
	PartialArgs []codec.Raw `task:"partial_args,optional"`
	AddToParent *bool       `task:"add_to_parent,optional"`
}

func (w *Worker) group(ctx context.Context, g grouped) (any, error) {
	s := task.Signature{Task: "celery.group", Type: "group"}
	s.ID, s.Detached = g.GroupID, g.AddToParent != nil && !*g.AddToParent
	var err error
	if s.Tasks, err = signatures(ctx, "tasks", g.Tasks); err != nil {
		return nil, err
	}
	return w.startWorkflow(ctx, s, g.PartialArgs)
}

// chord takes header, body and partial_args of celery.chord; what it takes besides is about polling, which the store of this worker does
// not need.
func (w *Worker) chord(ctx context.Context, req *task.Request) (any, error) {
	var c struct {
		Header      codec.Raw   `task:"header"`
		Body        codec.Raw   `task:"body"`
		PartialArgs []codec.Raw `task:"partial_args,optional"`
	}
	a := req.Arguments
	a.Args, a.Kwargs = a.Args[:min(len(a.Args), 3)], map[string]codec.Raw{}
	for _, name := range []string{"header", "body", "partial_args"} {
		if raw, ok := req.Kwargs[name]; ok {
			a.Kwargs[name] = raw
		}
	}
	if err := a.Decode(&c); err != nil {
		return nil, err
	}
	header, err := signatures(ctx, "header", c.Header)
	if err != nil {
		return nil, err
	}
	body, err := wire.DecodeSignature(c.Body, req.Codec)
	if err != nil {
		return nil, noSignature(req, "body", err)
	}
	return w.startWorkflow(ctx, task.Signature{Task: req.Name, Type: "chord", Tasks: header, Body: &body}, c.PartialArgs)
}

func (w *Worker) chain(ctx context.Context, req *task.Request) (any, error) {
	tasks, err := signatures(ctx, "tasks", req.Kwargs["tasks"])
	if err != nil {
		return nil, err
	}
	return w.startWorkflow(ctx, task.Signature{Task: req.Name, Type: "chain", Tasks: tasks}, req.Args)
}

// signatures reads an argument that is a list of them.
func signatures(ctx context.Context, argument string, raw codec.Raw) ([]task.Signature, error) {
	req := task.FromContext(ctx)
	list, err := wire.DecodeSignatures(raw, req.Codec)
	if err == nil && len(list) == 0 && argument != "tasks" {
		return list, nil
	}
	if err != nil {
		return nil, noSignature(req, argument, err)
	}
	return list, nil
}

// startWorkflow sends what a workflow starts with, and returns the result tuple of what comes of it. A call that runs twice sends the same
// ids.
func (w *Worker) startWorkflow(ctx context.Context, s task.Signature, args []codec.Raw) (any, error) {
	req := task.FromContext(ctx)
	plan := workflow.New(workflow.After(req))
	front := make([]any, len(args))
	for i, raw := range args {
		front[i] = raw
	}
	ref, err := plan.Start(s, front...)
	if err != nil {
		return nil, task.Permanent(&workflowError{req.Name, err})
	}
	if err := executionFrom(ctx).carryOut(ctx, plan); err != nil {
		if isFinal(err) {
			return nil, task.Permanent(&workflowError{req.Name, err})
		}
		return nil, task.Requeue(err) // the worker stops
	}
	if !s.Detached {
		task.TrailFrom(ctx).Add(first(ref))
	}
	raw, err := wire.EncodeRef(alone(ref))
	if err != nil {
		return nil, err
	}
	var tuple any
	err = codec.JSON{}.Unmarshal(raw, &tuple)
	return tuple, err
}

// first is what a workflow starts with, of steps that come one after the other.
func first(ref task.Ref) task.Ref {
	for ref.Parent != nil {
		ref = *ref.Parent
	}
	return ref
}

// alone is a reference without what came before, which may be a long way.
func alone(ref task.Ref) task.Ref {
	ref.Parent, ref.Members = nil, slices.Clone(ref.Members)
	for i, member := range ref.Members {
		ref.Members[i] = alone(member)
	}
	return ref
}

type executionKey struct{}

// executionFrom is the execution that a built-in task runs in.
func executionFrom(ctx context.Context) *execution {
	e, _ := ctx.Value(executionKey{}).(*execution)
	return e
}
