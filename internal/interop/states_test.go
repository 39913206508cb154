package interop_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

const stages = `
import time
from celery import Celery

app = Celery("stages", backend="rpc://")
app.conf.task_track_started = True

@app.task(bind=True, name="bake")
def bake(self, cakes):
    time.sleep(0.3)
    if self.request.retries == 0:
        raise self.retry(exc=ValueError("cold oven"), countdown=0.3)
    for n in range(cakes):
        self.update_state(state="BAKING", meta={"done": n})
        time.sleep(0.3)
    return cakes

@app.task(bind=True, name="burn")
def burn(self):
    time.sleep(0.3)
    self.update_state(state="BAKING", meta={"done": 0})
    time.sleep(0.3)
    raise RuntimeError("smoke", 451)
`

// TestGoSeesTheStatesOfPythonTasks: STARTED, RETRY and a task's own states come through the reply queue and end no wait. The pauses are
// there because states that follow each other at once may be left out.
func TestGoSeesTheStatesOfPythonTasks(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"stages.py": stages}})
	python.Worker("stages", "-P", "solo", "--without-gossip", "--without-mingle")
	app := newApp(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	results, err := app.Results(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []any
		states []string
	}{
		"bake": {[]any{2}, []string{
			`STARTED`, `RETRY ValueError: cold oven`, `STARTED`, `BAKING {"done": 0}`, `BAKING {"done": 1}`, `SUCCESS 2`,
		}},
		"burn": {nil, []string{`STARTED`, `BAKING {"done": 0}`, `FAILURE RuntimeError: ('smoke', 451)`}},
	} {
		result, err := app.Send(ctx, task.Signature{Task: name, Args: c.args})
		if err != nil {
			t.Fatal(err)
		}
		waited := make(chan error, 1)
		go func() {
			_, err := result.Get(ctx)
			waited <- err
		}()
		var seen []string
		err = results.Watch(ctx, result.ID(), func(m task.Meta) bool {
			switch {
			case m.State == task.Started:
				seen = append(seen, string(m.State))
			case m.State.Exceptional():
				seen = append(seen, fmt.Sprint(m.State, " ", m.Err()))
			default:
				seen = append(seen, fmt.Sprintf("%s %s", m.State, m.Result))
			}
			return true
		})
		if diff := cmp.Diff(c.states, seen); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		if _, failed := errors.AsType[*task.RemoteError](<-waited); failed != (name == "burn") {
			t.Errorf("%s: failed = %t", name, failed)
		}
	}
}
