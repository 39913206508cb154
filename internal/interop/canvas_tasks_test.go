package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// canvasTasks are the tasks of testdata/canvas.py in Go.
func canvasTasks() []task.Definition {
	raw := func(name string, fn func(req *task.Request, args []any) (any, error)) task.Definition {
		return task.Raw(name, task.HandlerFunc(func(_ context.Context, req *task.Request) (any, error) {
			return fn(req, canvasArgs(req))
		}))
	}
	return []task.Definition{
		raw("cv.add", func(_ *task.Request, args []any) (any, error) { return sumOf(args), nil }),
		raw("cv.total", func(_ *task.Request, args []any) (any, error) { return sumOf(args), nil }),
		raw("cv.same", func(_ *task.Request, args []any) (any, error) { return args[0], nil }),
		task.Raw("cv.echo", task.HandlerFunc(matrixEcho)),
		raw("cv.fail", func(_ *task.Request, args []any) (any, error) {
			return nil, task.Raise("ValueError", fmt.Sprint(args[len(args)-1]))
		}),
		raw("cv.retry", canvasRetry),
		task.New("cv.slow", func(ctx context.Context, seconds float64) (float64, error) {
			select {
			case <-time.After(time.Duration(seconds * float64(time.Second))):
				return seconds, nil
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}),
		raw("cv.priority", func(req *task.Request, _ []any) (any, error) { return int(req.Priority), nil }),
		raw("cv.ids", func(req *task.Request, _ []any) (any, error) {
			return []any{req.RootID != "", req.ParentID != "", req.Group != "", groupIndex(req)}, nil
		}),
		raw("cv.stamp", func(req *task.Request, _ []any) (any, error) {
			if req.Stamps == nil {
				return dict{}, nil
			}
			return req.Stamps, nil
		}),
		raw("cv.replace", func(req *task.Request, _ []any) (any, error) {
			s, err := wire.DecodeSignature(req.Args[len(req.Args)-1], req.Codec)
			if err != nil {
				return nil, err
			}
			return nil, task.Replace(s)
		}),
		task.Raw("cv.grow", task.HandlerFunc(func(ctx context.Context, req *task.Request) (any, error) {
			s, err := wire.DecodeSignature(req.Args[1], req.Codec)
			if err == nil {
				_, err = task.AddToChord(ctx, s)
			}
			return canvasValue(req, req.Args[0]), err
		})),
		raw("cv.note", func(_ *task.Request, args []any) (any, error) {
			return args[0], writeNote(args[:len(args)-1], args[len(args)-1])
		}),
		raw("cv.caught", func(_ *task.Request, args []any) (any, error) { return nil, writeNote(args[1:2], args[2]) }),
	}
}

func canvasArgs(req *task.Request) []any {
	args := make([]any, len(req.Args))
	for i, raw := range req.Args {
		args[i] = canvasValue(req, raw)
	}
	return args
}

// canvasValue has whole numbers as int.
func canvasValue(req *task.Request, raw codec.Raw) any {
	var whole int
	if json.Unmarshal(raw, &whole) == nil {
		return whole
	}
	return matrixValue(req, raw)
}

// sumOf adds up numbers, and those in lists.
func sumOf(values []any) int {
	sum := 0
	for _, v := range values {
		switch v := v.(type) {
		case int:
			sum += v
		case int64:
			sum += int(v)
		case float64:
			sum += int(v)
		case json.Number:
			n, _ := v.Int64()
			sum += int(n)
		case []any:
			sum += sumOf(v)
		}
	}
	return sum
}

func canvasRetry(req *task.Request, args []any) (any, error) {
	if times, _ := args[1].(int); req.Retries < times {
		return nil, task.RetryAfter(nil, 100*time.Millisecond)
	}
	return args[0], nil
}

func writeNote(line []any, path any) error {
	name, ok := path.(string)
	if !ok {
		return errors.New("the last argument is no path")
	}
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the test's own
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	return errors.Join(err, f.Close())
}
