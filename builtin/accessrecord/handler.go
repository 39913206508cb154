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

// newTask makes the task: typed for those who send it, decoding by itself where it runs.
func (r *Recorder) newTask() *task.Task[Call, string] {
	t := Remote(
		task.Doc("Stores a page visit."),
		task.Needs(r.store.hooks()...),
		// Only RetryAfter retries, and for ever: a visit outlasts its database's absence.
		task.Retry(task.RetryPolicy{Max: -1, If: func(error) bool { return false }}),
	)
	t.Spec().Handler = task.New(TaskName, r.handle).Spec().Handler
	return t
}

func (r *Recorder) handle(ctx context.Context, call encodedCall) (string, error) {
	req := task.FromContext(ctx)
	if req == nil || req.ID == "" {
		return "", errors.New("accessrecord: store visit: the context carries no task id (task.WithRequest)")
	}
	visit, err := r.store.decoder().decode(encoding(req.Arguments), call.Data)
	if err != nil {
		return "", err
	}
	if err := r.store.insert(ctx, req.ID, visit); err != nil {
		return "", err
	}
	r.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "access record stored", slog.String("task", TaskName), slog.String("id", req.ID))
	r.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "access record data", slog.String("id", req.ID), slog.Any("data", visit))
	return Stored, nil
}

func encoding(a task.Arguments) codec.Codec {
	if a.Codec == nil {
		return codec.JSON{}
	}
	return a.Codec
}
