package interop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

const lookUp = `
import json, os, sys
from celery import Celery, group
from celery.result import AsyncResult

app = Celery("client", backend=os.environ["RESULTS"])
app.conf.result_extended = True
squares = group(app.signature("square", [n]) for n in (2, 3)).apply_async()
squares.save()
values = squares.get(timeout=30)
one = AsyncResult(squares.results[0].id, app=app)
print(json.dumps({"group": squares.id, "values": values, "one": [
    one.id, one.name, one.args, one.kwargs, one.worker, one.retries, one.queue, str(one.date_done.year), one._get_task_meta()["group_id"]]}))
`

// Where outcomes are kept, each side finds those of the other by id: all that is stored with a task, and the members of a group.
func TestOutcomesAndGroupsAreLookedUpByID(t *testing.T) {
	t.Parallel()
	url, results := testserver.AMQPVhost(t), testserver.Redis(t)
	app := newAppOf(t, taskq.Config{
		BrokerURL: url, ResultBackend: results, Logger: slog.New(slog.DiscardHandler),
		Worker: worker.Options{Concurrency: 2, ResultExtended: true, Hostname: "go@here"},
	}, task.New("square", func(_ context.Context, n number) (int, error) { return n.N * n.N, nil }))
	runWorker(t, app)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Env: []string{"RESULTS=" + results}})
	got := lines(t, python.Run(lookUp))[0]
	if fmt.Sprint(got["values"]) != "[4 9]" {
		t.Fatalf("Python got %v", got)
	}
	one, _ := got["one"].([]any)
	want := fmt.Sprintf("[%s square [2] map[] go@here 0 celery 20", one[0])
	if text := fmt.Sprint(one); !strings.HasPrefix(text, want) || one[8] != got["group"] {
		t.Errorf("Python finds %s, want %s… in the group %s", text, want, got["group"])
	}
	squares, err := app.Group(t.Context(), got["group"].(string))
	if err != nil {
		t.Fatal(err)
	}
	values, err := task.ResultAs[[]int](squares).Get(t.Context())
	if err != nil || fmt.Sprint(values) != "[4 9]" || squares.Members()[0].ID() != one[0] {
		t.Errorf("Go finds %v, %v", values, err)
	}
	if n, err := taskq.ResultOf[int](app, one[0].(string)).Get(t.Context()); err != nil || n != 4 {
		t.Errorf("Go finds %d, %v", n, err)
	}
	if _, err := app.Group(t.Context(), "nobody"); !errors.Is(err, task.ErrUnknownGroup) {
		t.Errorf("err = %v, want ErrUnknownGroup", err)
	}
}
