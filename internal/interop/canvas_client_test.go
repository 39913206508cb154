package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// fromGo starts the workflows from Go, as testdata/canvas_client.py does from Python, and looks at what came of each.
func fromGo(t *testing.T, app *taskq.App, runs []run) map[string]dict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), canvasLimit)
	defer cancel()
	got := map[string]dict{}
	results := make([]*task.Result[any], len(runs))
	for i, one := range runs {
		sig, err := one.Flow.signature()
		if err == nil {
			results[i], err = startFlow(ctx, app, sig, one)
		}
		if err != nil {
			got[one.Name] = dict{"error": "not sent: " + err.Error()}
		}
	}
	outcomes := make([]dict, len(runs))
	var wg sync.WaitGroup
	for i, one := range runs {
		if got[one.Name] == nil {
			wg.Go(func() { outcomes[i] = flowOutcome(ctx, app, results[i], one) })
		}
	}
	wg.Wait()
	for i, out := range outcomes {
		if out != nil {
			got[runs[i].Name] = out
		}
	}
	return got
}

func startFlow(ctx context.Context, app *taskq.App, sig task.Signature, one run) (*task.Result[any], error) {
	sig.Args = append(append([]any{}, one.Args...), sig.Args...)
	r, err := app.Send(ctx, sig)
	if err == nil && one.Revoke != nil {
		err = app.Revoke(ctx, one.Revoke)
	}
	return r, err
}

func flowOutcome(ctx context.Context, app *taskq.App, r *task.Result[any], one run) dict {
	out := dict{}
	value, err := r.Get(ctx)
	if remote, ok := errors.AsType[*task.RemoteError](err); ok {
		out["error"] = remote.Type + ": " + remote.Message
	} else if err != nil {
		out["error"] = err.Error()
	} else {
		out["value"] = value
	}
	if one.Line {
		out["line"] = flowLine(ctx, app, r)
	}
	if one.Notes > 0 {
		notes, err := flowNotes(ctx, one.File, one.Notes)
		if out["notes"] = notes; err != nil {
			out["notes"] = err.Error()
		}
	}
	return out
}

// flowLine is the states of the steps before the last one.
func flowLine(ctx context.Context, app *taskq.App, r *task.Result[any]) []any {
	steps := []any{}
	for ref := r.Ref().Parent; ref != nil; ref = ref.Parent {
		if ref.Group {
			steps = append([]any{"a group"}, steps...)
			continue
		}
		meta, err := app.Result(ref.ID).Wait(ctx)
		if err != nil {
			return append(steps, err.Error())
		}
		steps = append([]any{string(meta.State)}, steps...)
	}
	return steps
}

// flowNotes waits for n lines.
func flowNotes(ctx context.Context, path string, n int) ([]any, error) {
	for {
		data, err := os.ReadFile(path) //nolint:gosec // the test's own
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if strings.Count(string(data), "\n") >= n {
			return readLines(data)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d notes were written: %w", strings.Count(string(data), "\n"), n, ctx.Err())
		}
	}
}

func readLines(data []byte) ([]any, error) {
	all := []any{}
	for line := range strings.Lines(string(data)) {
		var one any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// signature builds the flow.
func (f flow) signature() (task.Signature, error) {
	parts, err := signatures(f.Parts)
	if err != nil {
		return task.Signature{}, err
	}
	sig, err := f.shape(parts)
	if err != nil {
		return task.Signature{}, err
	}
	if sig.CallOptions, err = f.over(sig.CallOptions); err != nil {
		return sig, err
	}
	for name, value := range f.Stamps {
		sig = sig.With(task.Stamp(name, value))
	}
	if !f.Serialized {
		return sig, nil
	}
	raw, err := wire.EncodeSignature(sig, codec.JSON{})
	if err != nil {
		return sig, err
	}
	return wire.DecodeSignature(raw, codec.JSON{})
}

func signatures(list []flow) ([]task.Signature, error) {
	out := make([]task.Signature, len(list))
	for i, f := range list {
		var err error
		if out[i], err = f.signature(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f flow) shape(parts []task.Signature) (task.Signature, error) {
	switch f.Op {
	case "chain", "pipe":
		return canvas.Chain(parts...), nil
	case "group":
		return canvas.Group(parts...), nil
	case "chord":
		body, err := f.Body.signature()
		return canvas.Chord(parts, body), err
	case "map":
		return canvas.Map(task.Signature{Task: f.Task}, f.Args), nil
	case "starmap":
		return canvas.Starmap(task.Signature{Task: f.Task}, f.items()), nil
	case "chunks":
		return canvas.Chunks(task.Signature{Task: f.Task}, f.items(), f.Size), nil
	}
	sig := task.Signature{Task: f.Task, Args: make([]any, len(f.Args)), Kwargs: f.Kwargs, Immutable: f.Immutable}
	for i, a := range f.Args {
		sig.Args[i] = a
		inner, err := flowIn(a)
		if err == nil && inner != nil {
			sig.Args[i], err = inner.signature()
		}
		if err != nil {
			return sig, err
		}
	}
	return sig, nil
}

// flowIn is the flow that an argument is, nil when it is none.
func flowIn(argument any) (*flow, error) {
	inner, ok := argument.(map[string]any)
	if !ok || inner["flow"] == nil {
		return nil, nil
	}
	data, err := json.Marshal(inner["flow"])
	if err != nil {
		return nil, err
	}
	var f flow
	return &f, json.Unmarshal(data, &f)
}

func (f flow) items() [][]any {
	items := make([][]any, len(f.Args))
	for i, a := range f.Args {
		items[i], _ = a.([]any)
	}
	return items
}

// over lays the flow's options over those that the signature has.
func (f flow) over(o task.CallOptions) (task.CallOptions, error) {
	raw, err := codec.JSON{}.Marshal(dict{"task": "x", "options": f.Options})
	if err != nil {
		return o, err
	}
	given, err := wire.DecodeSignature(raw, codec.JSON{})
	if err != nil {
		return o, err
	}
	if f.Options != nil {
		given.Link, given.LinkError = o.Link, o.LinkError
		o = given.CallOptions
	}
	links, err := signatures(f.Link)
	if err != nil {
		return o, err
	}
	errbacks, err := signatures(f.LinkError)
	o.Link, o.LinkError = append(o.Link, links...), append(o.LinkError, errbacks...)
	return o, err
}
