package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// builtins are the tasks that every worker of Celery has (celery/app/builtins.py), which its clients count on. They are no tasks of the
// program: nothing lists them, and one that the program registers under such a name goes before.
func (w *Worker) builtins() []task.Definition {
	return []task.Definition{
		task.New("celery.map", w.each(single)),
		task.New("celery.starmap", w.each(several)),
		task.New("celery.chunks", w.chunks),
		task.New("celery.group", w.group),
		task.Raw("celery.chain", task.HandlerFunc(w.chain)),
		task.Raw("celery.chord", task.HandlerFunc(w.chord)),
		task.Raw(chordUnlock, task.HandlerFunc(w.unlock), task.IgnoreResult(),
			task.Retry(task.RetryPolicy{Max: -1, If: func(error) bool { return false }})), // it asks for each
		task.Raw("celery.accumulate", task.HandlerFunc(accumulate)),
		task.New("celery.backend_cleanup", w.cleanUp),
	}
}

// addBuiltins makes them ready to run.
func (w *Worker) addBuiltins() {
	w.builtin = map[string]*task.Spec{}
	for _, t := range w.builtins() {
		spec := t.Spec()
		w.builtin[spec.Name] = spec
		w.handlers[spec] = task.Wrap(spec.Handler, w.cfg.Middleware)
	}
}

// taskOf is the task of a name: the program's or, where that has none to run, the one built in; nil when there is neither.
func (w *Worker) taskOf(name string) *task.Spec {
	spec := w.cfg.Registry.Lookup(name)
	if builtin := w.builtin[name]; builtin != nil && !runnable(spec) {
		return builtin
	}
	return spec
}

func runnable(spec *task.Spec) bool { return spec != nil && spec.Handler != nil }

// mapped are the arguments of celery.map and celery.starmap.
type mapped struct {
	Task codec.Raw   `task:"task"`
	It   []codec.Raw `task:"it"`
}

// each calls a task once for each item, one after the other, in the slot of the call that it is part of, and returns the list of the
// results. As in Celery the signature says which task and no more: its own arguments and options do not count, nor do the retries and
// limits of the task. Its middleware (task.With) is around each item, that of the worker around the whole call.
func (w *Worker) each(arguments func(codec.Raw, codec.Codec) ([]codec.Raw, error)) func(context.Context, mapped) (any, error) {
	return func(ctx context.Context, m mapped) (any, error) {
		req := task.FromContext(ctx)
		s, err := wire.DecodeSignature(m.Task, req.Codec)
		if err != nil {
			return nil, noSignature(req, "task", err)
		}
		spec := w.taskOf(s.Task)
		if !runnable(spec) {
			return nil, &notRegisteredError{s.Task}
		}
		results := make([]any, len(m.It))
		for i, item := range m.It {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			call := *req // the item's children are the call's, and so are its id, progress and headers
			call.Name, call.ArgsRepr, call.KwargsRepr = spec.Name, "", ""
			call.Arguments = task.Arguments{Codec: req.Codec, Kwargs: map[string]codec.Raw{}}
			if call.Args, err = arguments(item, req.Codec); err != nil {
				return nil, err
			}
			if results[i], err = spec.Handler.Handle(task.WithRequest(ctx, &call), &call); err != nil {
				return nil, calledDirectly(err)
			}
		}
		return results, nil
	}
}

// noSignature is the failure of a call with an argument that is no signature.
func noSignature(req *task.Request, argument string, err error) error {
	return &task.ArgumentError{Text: fmt.Sprintf("%s: argument %s: %v", req.Name, argument, err)}
}

// single makes an item the one argument.
func single(item codec.Raw, _ codec.Codec) ([]codec.Raw, error) { return []codec.Raw{item}, nil }

// several makes an item all of the arguments.
func several(item codec.Raw, c codec.Codec) (args []codec.Raw, err error) {
	if err := c.Unmarshal(item, &args); err != nil || args == nil {
		return nil, &task.ArgumentError{Text: "argument after * must be a list"}
	}
	return args, nil
}

// calledDirectly is what the error of a task means for the call that it is a part of: to be tried again is not for a part to ask, so it
// fails with the reason (celery/app/task.py, retry). That the message is to be ignored or rejected holds for the whole call.
func calledDirectly(err error) error {
	again, ok := errors.AsType[*task.RetryError](err)
	switch {
	case !ok:
		return err
	case again.Err != nil:
		return task.Permanent(again.Err)
	}
	return task.Permanent(errors.New("one of several tasks in one call cannot be tried again by itself"))
}

// cleanUp has the result store delete what has expired. Most stores here do so by themselves, and have nothing to do for it.
func (w *Worker) cleanUp(ctx context.Context, _ struct{}) (any, error) {
	store, ok := w.cfg.Results.(result.Cleaner)
	if !ok {
		w.log.InfoContext(ctx, "result store cleans up by itself: there was nothing to do", "task", "celery.backend_cleanup")
		return nil, nil
	}
	return nil, store.Cleanup(ctx)
}

// accumulate returns all of its arguments, or the one at index (Celery's Task.replace makes it the body of a group).
func accumulate(_ context.Context, req *task.Request) (any, error) {
	args, kwargs, err := plainArguments(req.Arguments)
	if err != nil {
		return nil, err
	}
	given := kwargs["index"]
	if given == nil {
		return args, nil
	}
	i, ok := given.(int64)
	if !ok {
		return nil, &task.ArgumentError{Text: "tuple indices must be integers or slices, not " + task.Repr(given)}
	}
	if i < 0 {
		i += int64(len(args)) // from the end
	}
	if i < 0 || i >= int64(len(args)) {
		return nil, task.Raise("IndexError", "tuple index out of range")
	}
	return args[i], nil
}
