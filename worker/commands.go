package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/task"
)

// nodeCommands are about the worker as one of several.
func (w *Worker) nodeCommands() control.Mux {
	return control.Mux{
		"ping": func(context.Context, *control.Call) (any, error) { return control.OK("pong"), nil },
		"clock": func(context.Context, *control.Call) (any, error) {
			return map[string]int32{"clock": w.cfg.Clock.Now()}, nil
		},
		"hello": w.hello,
	}
}

// revokeCommands are about revoked tasks (celery/worker/control.py).
func (w *Worker) revokeCommands() control.Mux {
	return control.Mux{
		"revoke": func(ctx context.Context, call *control.Call) (any, error) {
			var terminate bool
			if err := call.Argument("terminate", &terminate); err != nil {
				return nil, err
			}
			return w.revoke(ctx, call, terminate)
		},
		"terminate": func(ctx context.Context, call *control.Call) (any, error) {
			if err := call.Need("signal", "task_id"); err != nil {
				return nil, err
			}
			return w.revoke(ctx, call, true)
		},
		"revoke_by_stamped_headers": w.revokeByStamps,
		"revoked":                   w.listRevoked,
		"dump_revoked":              w.listRevoked,
	}
}

// hello exchanges with a worker that starts what was revoked. To itself a worker has nothing to say; Celery's know themselves by their
// name, those of this module, of which several may have one, by their instance.
func (w *Worker) hello(ctx context.Context, call *control.Call) (any, error) {
	var from, instance string
	var revoked map[string]revokedAt
	err := errors.Join(call.Need("from_node"), call.Argument("from_node", &from), call.Argument("from_instance", &instance),
		call.Argument("revoked", &revoked))
	if err != nil || instance == w.instance || instance == "" && from == w.cfg.Hostname {
		return nil, err
	}
	w.log.InfoContext(ctx, "synchronised with another worker", "hostname", from)
	w.revoked.learn(revoked)
	return map[string]any{"revoked": w.revoked.share(), "clock": w.cfg.Clock.Forward()}, nil
}

func (w *Worker) listRevoked(context.Context, *control.Call) (any, error) {
	ids := []string{}
	for _, e := range w.revoked.ids.Entries() {
		ids = append(ids, e.Key)
	}
	return ids, nil
}

// revoke flags tasks by their ids, and with terminate ends those that run.
func (w *Worker) revoke(ctx context.Context, call *control.Call, terminate bool) (any, error) {
	if err := call.Need("task_id"); err != nil {
		return nil, err
	}
	ids, err := call.Texts("task_id")
	if err != nil {
		return nil, err
	}
	signal, err := signalOf(call)
	if err != nil && terminate {
		return nil, err
	}
	ids = w.revoked.flag(ids)
	w.markSoon(ctx, ids)
	if !terminate {
		w.log.InfoContext(ctx, "tasks were flagged as revoked", "id", strings.Join(ids, ", "))
		return control.OK("tasks " + reprSet(ids) + " flagged as revoked"), nil
	}
	var terminated []string
	for _, id := range ids {
		if running := w.running.of(id); len(running) > 0 {
			w.log.InfoContext(ctx, "task is terminated", "id", id, "signal", signal)
			w.terminateAll(running, signal)
			terminated = append(terminated, id)
		}
	}
	if terminated == nil {
		return control.OK("terminate: tasks unknown"), nil
	}
	return control.OK("terminate: " + strings.Join(terminated, ", ")), nil
}

// revokeByStamps flags tasks by their stamps, and with terminate ends those that run.
func (w *Worker) revokeByStamps(ctx context.Context, call *control.Call) (any, error) {
	if err := call.Need("headers"); err != nil {
		return nil, err
	}
	stamps, err := stampsOf(call)
	if err != nil {
		return nil, err
	}
	var terminate bool
	if err := call.Argument("terminate", &terminate); err != nil {
		return nil, err
	}
	signal, err := signalOf(call)
	if err != nil {
		return nil, err
	}
	w.revoked.flagStamps(stamps)
	headers := task.Repr(stamps)
	if !terminate {
		w.log.InfoContext(ctx, "stamps were flagged as revoked", "stamp", headers)
		return control.OK("headers " + headers + " flagged as revoked, but not terminated"), nil
	}
	matched := map[string][]string{}
	for _, e := range w.running.all() {
		name, value, ok := matching(e.req, stamps)
		if !ok {
			continue
		}
		w.log.InfoContext(ctx, "task is terminated", "id", e.req.ID, "signal", signal)
		w.terminateAll([]*execution{e}, signal)
		matched[name] = append(matched[name], task.Repr(value))
	}
	if len(matched) == 0 {
		return control.OK("headers " + headers + " were not terminated"), nil
	}
	return control.OK("headers " + reprSets(matched) + " revoked"), nil
}

// signalOf is the number of the signal that a command names, by name or by number; SIGTERM when it names none.
func signalOf(call *control.Call) (int, error) {
	var signal any
	if err := call.Argument("signal", &signal); err != nil {
		return 0, err
	}
	switch signal := signal.(type) {
	case nil:
		return task.Revocation{}.SignalNumber()
	case int64:
		if signal > 0 && signal <= 64 {
			return int(signal), nil
		}
	case string:
		return task.Revocation{Signal: signal}.SignalNumber()
	}
	return 0, &control.ArgumentError{Problem: fmt.Sprintf("unknown signal %v", signal)}
}

// stampsOf are the stamps that a command names: values, or lists of them, by name, or texts name=value.
func stampsOf(call *control.Call) (map[string]any, error) {
	stamps := map[string]any{}
	if raw := call.Arguments["headers"]; len(raw) == 0 || raw[0] != '[' {
		err := call.Argument("headers", &stamps)
		return stamps, err
	}
	pairs, err := call.Texts("headers")
	if err != nil {
		return nil, err
	}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, &control.ArgumentError{Problem: call.Method + "(): headers: " + task.Repr(pair) + " is not name=value"}
		}
		stamps[name] = value
	}
	return stamps, nil
}
