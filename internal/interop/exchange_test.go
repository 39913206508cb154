package interop_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

// newsroom consumes a topic exchange, a broadcast and its own direct queue.
const newsroom = `
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

app = Celery("newsroom", backend="rpc://")
app.conf.worker_direct = True
app.conf.task_queues = [
    Queue("reports", Exchange("news", type="topic"), routing_key="report.#"),
    Broadcast("everyone"),
]

@app.task(name="came", bind=True)
def came(self):
    d = self.request.delivery_info
    return [d["exchange"], d["routing_key"], d["priority"]]

@app.task(name="again", bind=True)
def again(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return [self.request.delivery_info["exchange"], self.request.delivery_info["routing_key"], self.request.retries]
`

func TestCallsReachPythonThroughExchanges(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"newsroom.py": newsroom}})
	app := newApp(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	came := task.Remote[struct{}, []any]("came")
	send := func(options ...task.SendOption) ([]any, error) {
		result, err := came.Send(ctx, app, struct{}{}, options...)
		if err != nil {
			return nil, err
		}
		return result.Get(ctx)
	}
	// nobody listens yet: the direct queue waits for its worker, and nothing declares the exchanges
	early, err := came.Send(ctx, app, struct{}{}, task.Queue("w1@host.dq2"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := send(task.Exchange("news"), task.RoutingKey("report.daily")); !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("an exchange that does not exist: %v, want ErrUnroutable", err)
	}
	python.Worker("newsroom", "-P", "solo", "-n", "w1@host")
	for _, c := range []struct {
		options []task.SendOption
		want    []any
	}{
		{[]task.SendOption{task.Exchange("news"), task.RoutingKey("report.daily.late")}, []any{"news", "report.daily.late", int64(0)}},
		{[]task.SendOption{task.Exchange("everyone"), task.Priority(3)}, []any{"everyone", "", int64(3)}},
		{[]task.SendOption{task.Queue("w1@host.dq2")}, []any{"", "w1@host.dq2", int64(0)}},
		{[]task.SendOption{task.RoutingKey("reports")}, []any{"", "reports", int64(0)}},
		{[]task.SendOption{task.Exchange("C.dq2"), task.RoutingKey("w1@host")}, []any{"C.dq2", "w1@host", int64(0)}},
		{[]task.SendOption{task.Exchange("news"), task.RoutingKey("report.x"), task.Countdown(10 * time.Millisecond)}, []any{"taskq.delay.due.news", "report.x", int64(0)}},
	} {
		if got, err := send(c.options...); err != nil || len(got) != 3 || got[0] != c.want[0] || got[1] != c.want[1] || got[2] != c.want[2] {
			t.Errorf("it came by %v, %v; want %v", got, err, c.want)
		}
	}
	if got, err := early.Get(ctx); err != nil || got[1] != "w1@host.dq2" {
		t.Errorf("the early call came by %v, %v", got, err)
	}
	// Python sends a retry to where the message came from, which is an exchange of ours when it was delayed
	again := task.Remote[struct{}, []any]("again")
	for exchange, options := range map[string][]task.SendOption{
		"taskq.delay.due":      {task.Queue("reports")},
		"taskq.delay.due.news": {task.Exchange("news"), task.RoutingKey("report.x")},
	} {
		result, err := again.Send(ctx, app, struct{}{}, append(options, task.Countdown(10*time.Millisecond))...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := result.Get(ctx); err != nil || got[0] != exchange || got[2] != int64(2) {
			t.Errorf("the retry came by %v, %v; want exchange %s and two retries", got, err, exchange)
		}
	}
	if _, err := send(task.Exchange("news"), task.RoutingKey("weather")); !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("a key that no queue wants: %v, want ErrUnroutable", err)
	}
}
