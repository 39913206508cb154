package interop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

const packer = `
from celery import Celery

app = Celery("packer", backend="rpc://")
app.conf.update(result_serializer="%s", accept_content=["json", "msgpack"], result_accept_content=["json", "msgpack"])

@app.task(name="pack")
def pack(kind):
    if kind == "raise":
        raise KeyError("k\u00fc", 3)
    return {"none": None, "deep": {"list": [1, 2.5, "\u70ed", None, [True]]}, "large": "x" * 200000}[kind]
`

// TestGoReadsRepliesOfEachSerializer: the worker's result_serializer is not the caller's choice.
func TestGoReadsRepliesOfEachSerializer(t *testing.T) {
	t.Parallel()
	for _, serializer := range []string{"json", "msgpack"} {
		t.Run(serializer, func(t *testing.T) {
			t.Parallel()
			url := testserver.AMQPVhost(t)
			modules := map[string]string{"packer.py": fmt.Sprintf(packer, serializer)}
			python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: modules})
			python.Worker("packer", "-P", "solo", "--without-gossip", "--without-mingle")
			app := newAppOf(t, taskq.Config{BrokerURL: url, Accept: []string{"json", "msgpack"}, Logger: slog.New(slog.DiscardHandler)})
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			get := func(kind string) (any, error) {
				r, err := app.Send(ctx, task.Signature{Task: "pack", Args: []any{kind}})
				if err != nil {
					t.Fatal(err)
				}
				return r.Get(ctx)
			}
			if v, err := get("none"); err != nil || v != nil {
				t.Errorf("none = %v, %v", v, err)
			}
			v, err := get("deep")
			if diff := cmp.Diff(map[string]any{"list": []any{int64(1), 2.5, "热", nil, []any{true}}}, v); err != nil || diff != "" {
				t.Errorf("deep: %v (-want +got):\n%s", err, diff)
			}
			if v, err := get("large"); err != nil || len(v.(string)) != 200_000 {
				t.Errorf("large: %v", err)
			}
			_, err = get("raise")
			remote, _ := errors.AsType[*task.RemoteError](err)
			if remote == nil || remote.Type != "KeyError" || !cmp.Equal(remote.Args, []any{"kü", int64(3)}) {
				t.Errorf("raise: %v", err)
			}
		})
	}
}
