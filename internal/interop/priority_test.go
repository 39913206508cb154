package interop_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// hasty is a Python application on a queue with priorities.
const hasty = `
from celery import Celery
from kombu import Exchange, Queue

app = Celery("hasty")
app.conf.task_queues = [Queue("hasty", Exchange("hasty"), routing_key="hasty", max_priority=10)]
app.conf.task_routes = {"note": "hasty"}
`

// noted is one try of a task.
type noted struct {
	what              string
	priority, retries int
}

// Calls of both languages come by their priorities, and a retry keeps its own.
func TestHigherPrioritiesComeFirstAlsoWhenTheyAreRetried(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"hasty.py": hasty}})
	ran := make(chan noted, 20)
	note := task.New("note", func(ctx context.Context, what string) (any, error) {
		r := task.FromContext(ctx)
		ran <- noted{what, int(r.Priority), r.Retries}
		if what == "twice" && r.Retries < 2 {
			return nil, task.RetryAfter(context.Canceled, time.Duration(r.Retries)*50*time.Millisecond)
		}
		return nil, nil
	}, task.Retry(task.RetryPolicy{Max: 5}), task.IgnoreResult())
	app := newAppOf(t, taskq.Config{
		BrokerURL: url, Logger: slog.New(slog.DiscardHandler), Worker: worker.Options{Concurrency: 1, PrefetchMultiplier: 1},
		Queues: []taskq.Queue{{Name: "hasty", MaxPriority: 10}}, Routes: taskq.Routes{{Match: "note", Queue: "hasty", Options: []task.CallOption{task.Priority(4)}}},
	}, note)
	for what, priority := range map[string]uint8{"low": 1, "high": 9, "middle": 5, "twice": 7} {
		if _, err := note.Send(t.Context(), app, what, task.Priority(priority)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := note.Send(t.Context(), app, "by route"); err != nil {
		t.Fatal(err)
	}
	python.Run(`
from hasty import app
app.send_task("note", ["python's first"], priority=10)
app.send_task("note", ["python's last"], priority=0)
`)
	runWorker(t, app)
	var order []string
	for range 9 {
		select {
		case n := <-ran:
			if n.what == "twice" && n.priority != 7 {
				t.Errorf("try %d of %q has the priority %d, want 7", n.retries, n.what, n.priority)
			}
			if n.retries == 0 {
				order = append(order, n.what)
			}
		case <-time.After(limit):
			t.Fatalf("not all ran: %v", order)
		}
	}
	if want := []string{"python's first", "high", "twice", "middle", "by route", "low", "python's last"}; !slices.Equal(order, want) {
		t.Errorf("they ran in the order %v, want %v", order, want)
	}
}
