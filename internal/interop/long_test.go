package interop_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// journal keeps a log.
type journal struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// wait waits until the log has the text.
func (j *journal) wait(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(j.String(), text) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no %q in the log:\n%s", text, j)
		}
	}
}

func TestWorkerWarnsOfTasksThatOutliveTheDeliveryTimeout(t *testing.T) {
	t.Parallel()
	noop := func(context.Context, struct{}) (int, error) { return 1, nil }
	short := task.New("short", noop, task.TimeLimit(30*time.Second))
	log := &journal{}
	app := newAppOf(t, taskq.Config{
		BrokerURL: testserver.AMQPVhost(t), Logger: slog.New(slog.NewTextHandler(log, nil)),
		Worker: worker.Options{TimeLimit: 50 * time.Second}, DeliveryTimeout: time.Minute,
	},
		short,
		task.New("long", noop, task.TimeLimit(2*time.Minute)),
		task.New("early", noop, task.TimeLimit(2*time.Minute), task.AckEarly()),
		task.New("usual", noop),
	)
	runWorker(t, app)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	result, err := short.Send(ctx, app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := result.Get(ctx); err != nil { // so the worker has started
		t.Fatal(err)
	}
	var warned []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "delivery timeout") {
			warned = append(warned, line)
		}
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "task=long time_limit=120 delivery_timeout=60") {
		t.Errorf("warnings = %q, want one for the task long", warned)
	}
}
