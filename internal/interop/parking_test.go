package interop_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// recorded is a message as Celery's client sent it to RabbitMQ; see internal/wire/testdata/README.md.
func recorded(t testing.TB, name string) broker.Message {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "wire", "testdata", "tasks", filepath.FromSlash(name)+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Properties struct {
			ContentType     string `json:"content_type"`
			ContentEncoding string `json:"content_encoding"`
		}
		Headers map[string]any
		Body    []byte `json:"body_base64"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	for name, v := range c.Headers {
		if n, ok := v.(float64); ok {
			c.Headers[name] = int32(n)
		}
	}
	return broker.Message{ContentType: c.Properties.ContentType, ContentEncoding: c.Properties.ContentEncoding, Headers: c.Headers, Body: c.Body}
}

// celeryTime is how Celery writes a time.
const celeryTime = "2006-01-02T15:04:05.000000-07:00"

// early makes a copy of a recorded call with an ETA and an id of its own.
func early(msg broker.Message, eta string) broker.Message {
	msg.Headers = maps.Clone(msg.Headers)
	id := uuid.NewString()
	msg.CorrelationID, msg.Headers["id"], msg.Headers["root_id"], msg.Headers["eta"] = id, id, id, eta
	return msg
}

// publishEarly puts n calls with an ETA straight into the queue celery, as Celery's clients do.
func publishEarly(t testing.TB, b broker.Broker, n int, eta time.Time) {
	t.Helper()
	msg := recorded(t, "main/eta")
	for left := n; left > 0; {
		batch := make([]broker.Posting, min(left, 1000))
		for i := range batch {
			batch[i] = broker.Posting{To: broker.Address{RoutingKey: "celery"}, Message: early(msg, eta.UTC().Format(celeryTime))}
		}
		if errs := b.(broker.BatchPublisher).PublishBatch(t.Context(), batch); errs != nil {
			t.Fatal(errs)
		}
		left -= len(batch)
	}
}

// numbers are the arguments of the recorded call.
type numbers struct {
	X int `task:"x"`
	Y int `task:"y"`
}

func addition(_ context.Context, n numbers) (int, error) { return n.X + n.Y, nil }

// heap is how much memory is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// crowd is a worker with two slots that finds n calls, an hour ahead, before an ordinary one.
type crowd struct {
	url    string
	worker *worker.Worker
	growth uint64 // of the heap, at its highest
	took   time.Duration
}

// pass runs the worker until the ordinary task runs.
func pass(t testing.TB, n int) *crowd {
	t.Helper()
	c := &crowd{url: testserver.AMQPVhost(t)}
	ran := make(chan struct{})
	app := newAppOf(t, taskq.Config{BrokerURL: c.url, Worker: worker.Options{Concurrency: 2}, Logger: slog.New(slog.DiscardHandler)},
		task.New("h2.add", addition), task.New("ordinary", func(context.Context, struct{}) (int, error) { close(ran); return 0, nil }))
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	declare(t, b, "celery")
	publishEarly(t, b, n, time.Now().Add(time.Hour))
	if _, err := app.Send(t.Context(), task.Signature{Task: "ordinary"}); err != nil {
		t.Fatal(err)
	}
	before, began := heap(), time.Now()
	c.worker = startWorker(t, app)
	for {
		select {
		case <-ran:
			c.took = time.Since(began)
			return c
		case <-time.After(time.Second):
			c.growth = max(c.growth, max(heap(), before)-before)
		}
		if time.Since(began) > 10*limit {
			t.Fatalf("the task behind the early ones does not run: %+v", c.worker.Stats())
		}
	}
}

// startWorker runs the application's worker until the test ends.
func startWorker(t testing.TB, app *taskq.App) *worker.Worker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w, err := app.NewWorker(ctx)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	return w
}

func declare(t testing.TB, b broker.Broker, queue string) {
	t.Helper()
	if err := b.Declare(t.Context(), broker.TaskQueue(broker.Queue{Name: queue})); err != nil {
		t.Fatal(err)
	}
}

func TestTwentyThousandEarlyTasksDoNotHoldUpAnOrdinaryOne(t *testing.T) {
	const n = 20_000
	c := pass(t, n) // alone, because of the heap
	t.Logf("the heap grew by %d bytes in %s", c.growth, c.took)
	if c.growth > 5<<20 {
		t.Errorf("the heap grew by %d bytes", c.growth)
	}
	deadline := time.After(limit)
	for {
		s, waiting, parked := c.worker.Stats(), 0, 0
		for queue, depth := range testserver.QueueDepths(t, c.url) {
			if queue == "celery" {
				waiting += depth
			} else {
				parked += depth
			}
		}
		if s.Running == 0 && s.Settled == n+1 && s.Lost == 0 && waiting == 0 && parked == n {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%d wait, %d are parked, %+v; want %d to be parked", waiting, parked, s, n)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// BenchmarkParking parks b.N calls that came an hour before their time.
func BenchmarkParking(b *testing.B) {
	c := pass(b, b.N)
	b.ReportMetric(float64(b.N)/c.took.Seconds(), "parked/s")
	b.ReportMetric(float64(c.growth)/1e6, "MB")
	b.ReportMetric(0, "ns/op") // it would count the sending
}
