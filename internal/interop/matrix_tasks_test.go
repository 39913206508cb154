package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// matrixTasks are the tasks of testdata/matrix.py in Go.
func matrixTasks(app *taskq.App) []task.Definition {
	return []task.Definition{
		task.Raw("matrix.echo", task.HandlerFunc(matrixEcho)),
		task.New("matrix.add", func(_ context.Context, p struct {
			X int `task:"x"`
			Y int `task:"y"`
		},
		) (int, error) {
			return p.X + p.Y, nil
		}),
		task.Raw("matrix.fail", task.HandlerFunc(matrixFail)),
		task.Raw("matrix.request", task.HandlerFunc(matrixRequest)),
		task.New("matrix.retry", matrixRetry, task.Retry(task.RetryPolicy{Max: 3, If: func(error) bool { return false }})),
		task.New("matrix.slow", func(ctx context.Context, seconds float64) (string, error) {
			select {
			case <-time.After(time.Duration(seconds * float64(time.Second))):
				return "slept", nil
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}),
		task.Raw("matrix.note", task.HandlerFunc(matrixNote)),
		task.New("matrix.progress", matrixProgress),
		task.New("matrix.spawn", func(ctx context.Context, p struct {
			Queue string `task:"queue"`
			N     int    `task:"n"`
		},
		) (int, error) {
			for i := range p.N {
				child := task.Signature{Task: "matrix.echo", Args: []any{i}, CallOptions: task.CallOptions{Queue: p.Queue}}
				if _, err := app.Send(ctx, child); err != nil {
					return 0, err
				}
			}
			return p.N, nil
		}),
		task.New("matrix.unencodable", func(context.Context, struct{}) (any, error) { return make(chan int), nil }),
	}
}

func matrixEcho(_ context.Context, req *task.Request) (any, error) {
	args, kwargs := []any{}, map[string]any{}
	for _, raw := range req.Args {
		args = append(args, matrixValue(req, raw))
	}
	for k, raw := range req.Kwargs {
		kwargs[k] = matrixValue(req, raw)
	}
	return []any{args, kwargs}, nil
}

func matrixValue(req *task.Request, raw codec.Raw) (v any) {
	c := req.Codec
	if c == nil {
		c = codec.JSON{}
	}
	if err := c.Unmarshal(raw, &v); err != nil {
		return err.Error()
	}
	return v
}

// exception is an error of a class that the Python side has.
func matrixException(kind string, args ...any) error {
	module := "builtins"
	if kind == "Closed" {
		module = "matrix"
	}
	return &task.RemoteError{Type: kind, Module: module, Message: fmt.Sprint(args...), Args: append([]any{}, args...)}
}

func matrixFail(_ context.Context, req *task.Request) (any, error) {
	kind, _ := matrixValue(req, req.Args[0]).(string)
	args := []any{}
	for _, raw := range req.Args[1:] {
		args = append(args, matrixValue(req, raw))
	}
	return nil, matrixException(kind, args...)
}

func matrixRetry(ctx context.Context, p struct {
	Times int    `task:"times"`
	Kind  string `task:"kind,optional"`
},
) (int, error) {
	retries := task.FromContext(ctx).Retries
	if retries >= p.Times {
		return retries, nil
	}
	var cause error
	if p.Kind != "" {
		cause = matrixException(p.Kind, "again")
	}
	return 0, task.RetryAfter(cause, 300*time.Millisecond)
}

func matrixNote(_ context.Context, req *task.Request) (any, error) {
	args := []any{}
	for _, raw := range req.Args {
		args = append(args, matrixValue(req, raw))
	}
	path, ok := args[len(args)-1].(string)
	if !ok {
		return nil, errors.New("the last argument is no path")
	}
	args = args[:len(args)-1]
	line, err := json.Marshal(map[string]any{
		"args": args, "parent_id": orNull(req.ParentID), "root_id": orNull(req.RootID), "retries": req.Retries,
		"group": req.Group != "", // Celery 5.2 gives links no index there, later ones and taskq do
	})
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the test's own
	if err != nil {
		return nil, err
	}
	_, err = f.Write(append(line, '\n'))
	return args, errors.Join(err, f.Close())
}

func groupIndex(req *task.Request) any {
	if req.GroupIndex < 0 {
		return nil
	}
	return req.GroupIndex
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// matrixProgress shows a state of its own until the file is there.
func matrixProgress(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := task.SetState(ctx, "PROGRESS", map[string]int{"done": 3, "of": 7}); err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(path); err == nil {
			return "done", nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

func matrixRequest(_ context.Context, req *task.Request) (any, error) {
	headers := map[string]any{}
	for _, name := range []string{"x-tenant", "x-number", "x-flag"} {
		if v, ok := req.Headers[name]; ok {
			headers[name] = v
		}
	}
	return map[string]any{
		"id": req.ID, "correlation_id": req.CorrelationID, "root_id": orNull(req.RootID), "parent_id": orNull(req.ParentID),
		"group": orNull(req.Group), "group_index": groupIndex(req), "retries": req.Retries,
		"eta": !req.ETA.IsZero(), "expires": !req.Expires.IsZero(), "timelimit": []any{limitOf(req.TimeLimit), limitOf(req.SoftTimeLimit)},
		"shadow": orNull(req.Shadow), "ignore_result": req.IgnoreResult, "argsrepr": req.ArgsRepr, "kwargsrepr": req.KwargsRepr,
		"origin": req.Origin[:3], "priority": int(req.Priority), "exchange": req.Exchange, "routing_key": req.RoutingKey,
		"redelivered": req.Redelivered, "callbacks": taskNames(req, req.Embed.Callbacks), "errbacks": taskNames(req, req.Embed.Errbacks),
		"headers": headers, "app_id": orNull(req.Properties.AppID),
	}, nil
}

func limitOf(d time.Duration) any {
	if d == 0 {
		return nil
	}
	return d.Seconds()
}

func taskNames(req *task.Request, raw codec.Raw) []string {
	names := []string{}
	if raw == nil {
		return names
	}
	signatures, _ := matrixValue(req, raw).([]any)
	for _, s := range signatures {
		if dict, ok := s.(map[string]any); ok {
			name, _ := dict["task"].(string)
			names = append(names, name)
		}
	}
	return slices.Clip(names)
}
