package interop_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// goClient makes the calls of the matrix from Go, as testdata/client.py does from Python.
type goClient struct{ app *taskq.App }

// make sends the calls, then looks at what became of each.
func (c goClient) make(ctx context.Context, calls []call) map[string]any {
	results := make([]*task.Result[any], len(calls))
	outcomes := map[string]any{}
	for i, one := range calls {
		if one.Members != nil {
			continue
		}
		var err error
		if results[i], err = c.send(ctx, one.Signature); err == nil && one.Revoke {
			err = results[i].Revoke(ctx)
		}
		if err != nil {
			outcomes[one.Name] = dict{"broken": err.Error()}
		}
	}
	for i, one := range calls {
		if outcomes[one.Name] != nil {
			continue
		}
		var out dict
		var err error
		if one.Members != nil {
			out, err = c.group(ctx, one)
		} else {
			out, err = c.finish(ctx, one, results[i])
		}
		if err != nil {
			out = dict{"broken": err.Error()}
		}
		outcomes[one.Name] = out
	}
	return outcomes
}

func (c goClient) send(ctx context.Context, signature dict) (*task.Result[any], error) {
	raw, err := codec.JSON{}.Marshal(signature)
	if err != nil {
		return nil, err
	}
	sig, err := wire.DecodeSignature(raw, codec.JSON{})
	if err != nil {
		return nil, err
	}
	return c.app.Send(ctx, sig)
}

// end lets a task end that shows its progress, or ends it.
func (c goClient) end(ctx context.Context, one call, r *task.Result[any]) error {
	if one.Terminate {
		return r.Revoke(ctx, task.Terminate("SIGTERM"))
	}
	return os.WriteFile(one.Progress, nil, 0o600)
}

func (c goClient) finish(ctx context.Context, one call, r *task.Result[any]) (dict, error) {
	out := dict{}
	if one.Progress != "" {
		if err := c.seeProgress(ctx, one, r, out); err != nil {
			return nil, err
		}
	}
	if !one.Unheard {
		meta, err := c.outcome(ctx, r, out)
		if err != nil {
			return nil, err
		}
		if one.Children {
			out["children"], err = c.children(ctx, meta)
		}
		if x := meta.Extended; one.Extended && x != nil {
			out["extended"] = dict{"name": x.Name, "retries": x.Retries, "queue": x.Queue, "worker": x.Worker != ""}
		}
		if err != nil {
			return nil, err
		}
	}
	if one.Notes > 0 {
		var err error
		if out["notes"], err = readNotes(ctx, one.File, one.Notes); err != nil {
			return nil, err
		}
	}
	if one.Also != nil {
		also := []any{}
		for _, id := range one.Also {
			other := dict{}
			if _, err := c.outcome(ctx, c.app.Result(id), other); err != nil {
				return nil, err
			}
			also = append(also, other)
		}
		out["also"] = also
	}
	if one.Forget {
		if err := r.Forget(ctx); err != nil {
			return nil, err
		}
		state, err := c.app.Result(r.ID()).State(ctx)
		out["forgotten"] = string(state)
		return out, err
	}
	return out, nil
}

// outcome waits for the end and describes it.
func (c goClient) outcome(ctx context.Context, r *task.Result[any], out dict) (task.Meta, error) {
	meta, err := r.Wait(ctx)
	if err != nil {
		return meta, err
	}
	out["state"] = string(meta.State)
	if remote, failed := errors.AsType[*task.RemoteError](meta.Err()); failed {
		args := []any{}
		for _, a := range remote.Args {
			args = append(args, fmt.Sprint(a))
		}
		out["error"] = dict{"type": remote.Type, "module": remote.Module, "args": args}
		out["traceback"] = meta.Traceback != ""
		return meta, nil
	}
	var value any
	err = meta.Value(&value)
	out["result"] = value
	return meta, err
}

func (c goClient) seeProgress(ctx context.Context, one call, r *task.Result[any], out dict) error {
	for meta, err := range r.Watch(ctx) {
		if err != nil {
			return err
		}
		if meta.State == "PROGRESS" {
			var seen any
			err := meta.Value(&seen)
			out["seen"] = seen
			return errors.Join(err, c.end(ctx, one, r))
		}
	}
	return errors.New("its progress was not seen")
}

func (c goClient) children(ctx context.Context, meta task.Meta) ([]any, error) {
	all := []any{}
	for _, ref := range meta.Children {
		child := dict{}
		if _, err := c.outcome(ctx, c.app.Result(ref.ID), child); err != nil {
			return nil, err
		}
		all = append(all, child)
	}
	slices.SortFunc(all, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all, nil
}

// group sends some tasks, saves them as a group, and restores it.
func (c goClient) group(ctx context.Context, one call) (dict, error) {
	store, err := c.app.Results(ctx)
	if err != nil {
		return nil, err
	}
	groups, ok := store.(result.GroupStore)
	if !ok {
		return nil, errors.New("this store keeps no groups")
	}
	group := task.Ref{ID: one.Group, Group: true}
	for _, member := range one.Members {
		r, err := c.send(ctx, member)
		if err != nil {
			return nil, err
		}
		group.Members = append(group.Members, task.Ref{ID: r.ID()})
	}
	if err := groups.SaveGroup(ctx, group); err != nil {
		return nil, err
	}
	restored, found, err := groups.Group(ctx, one.Group)
	if err != nil || !found {
		return nil, fmt.Errorf("restore the group: found %v, %w", found, err)
	}
	results := []any{}
	for _, member := range restored.Members {
		value, err := c.app.Result(member.ID).Get(ctx)
		if err != nil {
			return nil, err
		}
		results = append(results, value)
	}
	return dict{"group": slices.EqualFunc(group.Members, restored.Members, func(a, b task.Ref) bool { return a.ID == b.ID }), "results": results}, nil
}

// readNotes waits for n lines of the file.
func readNotes(ctx context.Context, path string, n int) ([]any, error) {
	for {
		data, err := os.ReadFile(path) //nolint:gosec // the test's own
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if strings.Count(string(data), "\n") >= n {
			return sortedNotes(data)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d notes were written: %w", strings.Count(string(data), "\n"), n, ctx.Err())
		}
	}
}

func sortedNotes(data []byte) ([]any, error) {
	all := []any{}
	for line := range strings.Lines(string(data)) {
		var one dict
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b any) int {
		return cmp.Compare(label(a), label(b))
	})
	return all, nil
}

// label is what a note was called with last.
func label(note any) string {
	args, _ := note.(dict)["args"].([]any)
	return fmt.Sprint(args[len(args)-1])
}
