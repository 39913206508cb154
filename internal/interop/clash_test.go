package interop_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// record is a log that is read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) count(word string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), word)
}

func TestAClashAtReconnectingEndsNoWorker(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	proxy := testserver.StartProxy(t, url)
	log := &record{}
	add := task.New("add", func(_ context.Context, in struct{ X, Y int }) (int, error) { return in.X + in.Y, nil })
	app, err := taskq.New(taskq.Config{
		BrokerURL: proxy.URL, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Worker: worker.Options{Concurrency: 1, Queues: []string{"changed", "same"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	defer cancel()
	t.Cleanup(func() {
		if err := app.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := app.Register(add); err != nil {
		t.Fatal(err)
	}
	runWorker(t, app)
	client := newApp(t, url)
	sum := func(queue string) {
		t.Helper()
		result, err := add.Send(ctx, client, struct{ X, Y int }{2, 3}, task.Queue(queue))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := result.Get(ctx); err != nil || got != 5 {
			t.Errorf("through queue %s: 2 + 3 = %d, %v", queue, got, err)
		}
	}
	sum("changed")

	proxy.Refuse()
	other, err := client.Broker(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.(broker.Deleter).DeleteQueue(ctx, "changed"); err != nil {
		t.Fatal(err)
	}
	replaced := broker.TaskQueue(broker.Queue{Name: "changed", MaxPriority: 7})
	if err := other.Declare(ctx, replaced); err != nil {
		t.Fatal(err)
	}
	proxy.Resume()
	sum("same")
	sum("changed")
	if n := log.count("level=ERROR"); n != 1 || log.count("Queue was declared differently by somebody else") != 1 {
		t.Errorf("%d errors were logged, want one, about the queue:\n%s", n, &log.text)
	}
}
