package interop_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// listener is a Python application that takes part in a broadcast.
const listener = `
from celery import Celery
from kombu import Queue
from kombu.common import Broadcast

app = Celery("listener", backend="rpc://")
app.conf.task_default_queue = "python"
app.conf.task_queues = (Queue("python"), Broadcast("all"))
app.conf.worker_redirect_stdouts = False

@app.task(name="cache.clear", ignore_result=True)
def clear(which):
    print("CLEARED", which, flush=True)
`

type which struct {
	Which int `task:"which"`
}

// cleared counts what a worker ran.
type cleared struct {
	runs   [3]atomic.Int32
	probes atomic.Int32
}

func (c *cleared) task() *task.Task[which, int] {
	return task.New("cache.clear", func(_ context.Context, w which) (int, error) { return int(c.runs[w.Which].Add(1)), nil })
}

func (c *cleared) probe() *task.Task[struct{}, int] {
	return task.New("probe", func(context.Context, struct{}) (int, error) { return int(c.probes.Add(1)), nil })
}

// TestEachWorkerOfBothLanguagesRunsABroadcastOnce: two workers here, one of Celery, and senders of both kinds. A worker that was cut off
// listens again once it is back.
func TestEachWorkerOfBothLanguagesRunsABroadcastOnce(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	proxy := testserver.StartProxy(t, url)
	here := func(name, url string) (*taskq.App, *cleared) {
		c := &cleared{}
		return newAppOf(t, taskq.Config{
			BrokerURL: url, Logger: slog.New(slog.DiscardHandler), Worker: worker.Options{Concurrency: 2, Hostname: name},
			Queues: []taskq.Queue{{Name: "celery"}, {Name: "all", Broadcast: true}},
		}, c.task(), c.probe()), c
	}
	near, first := here("near@go", url)
	far, second := here("far@go", proxy.URL)
	runWorker(t, near)
	runWorker(t, far)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"listener.py": listener}})
	there := python.Worker("listener", "-P", "solo", "-n", "there@py", "--without-gossip", "--without-mingle")

	// ran waits until each has run the broadcast, and looks whether one did more than once.
	ran := func(which int) {
		t.Helper()
		eventually(t, fmt.Sprintf("broadcast %d runs everywhere", which), func() bool {
			return first.runs[which].Load() > 0 && second.runs[which].Load() > 0 && strings.Contains(there.Log(), fmt.Sprint("CLEARED ", which))
		})
		if n, m, p := first.runs[which].Load(), second.runs[which].Load(), strings.Count(there.Log(), fmt.Sprint("CLEARED ", which)); n+m != 2 || p != 1 {
			t.Errorf("broadcast %d ran %d, %d and %d times, want once on each worker", which, n, m, p)
		}
	}
	python.Run(`
from listener import clear
clear.apply_async((0,), queue="all")
`)
	ran(0)
	if _, err := near.Send(t.Context(), first.task().S(which{1}, task.Queue("all"), task.IgnoreResult())); err != nil {
		t.Fatal(err)
	}
	ran(1)
	proxy.Cut()
	eventually(t, "the worker listens again", func() bool {
		if _, err := near.Send(t.Context(), task.Signature{Task: "probe"}.With(task.Queue("all"), task.IgnoreResult())); err != nil {
			t.Fatal(err)
		}
		return second.probes.Load() > 0
	})
	python.Run(`
from listener import clear
clear.apply_async((2,), queue="all")
`)
	ran(2)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(limit)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestCelerySendsATaskToOneWorkerAlone(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	for _, name := range []string{"w1@go", "w2@go"} {
		runWorker(t, newAppWith(t, url, worker.Options{Concurrency: 2, Hostname: name, Direct: true}, task.New("where", func(ctx context.Context, _ struct{}) (string, error) {
			return task.FromContext(ctx).Hostname, nil
		})))
	}
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url})
	got := python.Run(`
from celery import Celery
from celery.utils.nodenames import worker_direct
app = Celery("client", backend="rpc://")
print([app.send_task("where", queue=worker_direct("w2@go")).get(timeout=20) for _ in range(10)])
print([app.send_task("where", exchange="C.dq2", routing_key="w1@go").get(timeout=20) for _ in range(2)])
`)
	want := "[" + strings.TrimSuffix(strings.Repeat("'w2@go', ", 10), ", ") + "]\n['w1@go', 'w1@go']\n"
	if got != want {
		t.Errorf("they ran on\n%swant\n%s", got, want)
	}
}
