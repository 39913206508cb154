package accessrecord

import (
	"context"
	"errors"
	"log/slog"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// encodedCall is Call with its visit still encoded, so that it can be decoded strictly, whatever the codec.
type encodedCall struct {
	Data codec.Raw `task:"data"`
}

// visitCall is one call of a batch.
type visitCall = task.BatchCall[encodedCall, string]

// newTask makes the task: typed for those who send it, decoding by itself where it runs. Each visit is stored alone unless the worker is
// told to collect them.
func (r *Recorder) newTask() *task.Task[Call, string] {
	t := Remote(
		task.Doc("Stores a page visit."),
		task.Needs(r.store.hooks()...),
		// Only RetryAfter retries, and for ever: a visit outlasts its database's absence.
		task.Retry(task.RetryPolicy{Max: -1, If: func(error) bool { return false }}),
	)
	runs := task.NewBatch(TaskName, r.handle, task.BatchSize(1)).Spec()
	t.Spec().Handler, t.Spec().Batch = runs.Handler, runs.Batch
	return t
}

// handle stores the visits of a batch. Those that cannot be stored fail alone.
func (r *Recorder) handle(ctx context.Context, calls []*visitCall) error {
	decoder := r.store.decoder()
	var entries []*entry
	for _, c := range calls {
		req := c.Request()
		if req.ID == "" {
			c.Fail(errors.New("accessrecord: store visit: the call has no task id"))
			continue
		}
		visit, err := decoder.decode(encoding(req.Arguments), c.Args.Data)
		if err != nil {
			c.Fail(err)
			continue
		}
		entries = append(entries, &entry{id: req.ID, visit: visit, call: c})
	}
	if len(entries) > 0 {
		r.store.insert(ctx, entries)
	}
	for _, e := range entries {
		if e.err != nil {
			e.call.Fail(e.err)
			continue
		}
		e.call.Succeed(Stored)
		log := e.call.Context()
		r.cfg.Logger.LogAttrs(log, slog.LevelInfo, "access record stored", slog.String("task", TaskName), slog.String("id", e.id))
		if r.cfg.Logger.Enabled(log, slog.LevelDebug) {
			r.cfg.Logger.LogAttrs(log, slog.LevelDebug, "access record data", slog.String("id", e.id), slog.Any("data", e.visit))
		}
	}
	return nil
}

func encoding(a task.Arguments) codec.Codec {
	if a.Codec == nil {
		return codec.JSON{}
	}
	return a.Codec
}
