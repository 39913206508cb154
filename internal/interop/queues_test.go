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

// steps writes down from which queue each task came, one letter for each.
type steps struct {
	mu   sync.Mutex
	runs strings.Builder
}

func (s *steps) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs.String()
}

// run takes long enough that deliveries wait for it.
func (s *steps) run() *task.Task[struct{}, int] {
	return task.New("step", func(ctx context.Context, _ struct{}) (int, error) {
		s.mu.Lock()
		s.runs.WriteByte(task.FromContext(ctx).Queue[0])
		s.mu.Unlock()
		<-time.After(10 * time.Millisecond)
		return 0, nil
	})
}

// send puts n calls into each queue.
func (s *steps) send(t *testing.T, app *taskq.App, n int, queues ...string) {
	t.Helper()
	var batch []task.Signature
	for _, queue := range queues {
		for range n {
			batch = append(batch, s.run().S(struct{}{}, task.Queue(queue), task.IgnoreResult()))
		}
	}
	for _, sig := range batch {
		if _, err := app.Send(t.Context(), sig); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWorkerTakesFromRabbitMQsQueuesByWeightOrInStrictOrder(t *testing.T) {
	t.Parallel()
	const n = 120
	for name, opts := range map[string]worker.Options{
		"weights": {Weights: map[string]int{"high": 3, "low": 1}}, "strict": {QueueOrder: worker.Strict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &steps{}
			opts.Concurrency, opts.Queues = 2, []string{"high", "low"}
			app := newAppWith(t, testserver.AMQPVhost(t), opts, s.run())
			s.send(t, app, n, "low", "high")
			runWorker(t, app)
			eventually(t, "all have run", func() bool { return len(s.String()) == 2*n })
			// A queue that is slow to send its next delivery passes its turn, so that there may be some more of low; without
			// an order it would be half of them.
			early := strings.Count(s.String()[:n], "l")
			if most := n / 5; name == "strict" && early > most {
				t.Errorf("%d of the first %d are of low in the strict order: %s", early, n, s)
			}
			if least, most := n/8, n/2-n/10; name == "weights" && (early < least || early > most) {
				t.Errorf("%d of the first %d are of low with the weights 3 and 1: %s", early, n, s)
			}
		})
	}
}

func TestAConsumerOfAHigherPriorityComesFirst(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	var seen [2]steps
	start := func(which int, opts worker.Options) *taskq.App {
		opts.Concurrency = 4
		app := newAppOf(t, taskq.Config{BrokerURL: url, Logger: slog.New(slog.DiscardHandler), Worker: opts}, seen[which].run())
		runWorker(t, app)
		return app
	}
	app := start(0, worker.Options{ConsumerPriority: 0, Hostname: "spare@go"})
	start(1, worker.Options{ConsumerPriority: 10, Hostname: "first@go"})
	eventually(t, "both consume, and the first one is asked first", func() bool {
		seen[0].send(t, app, 1, "celery")
		return seen[1].String() != ""
	})
	before := len(seen[0].String())
	for i := range 50 {
		seen[0].send(t, app, 1, "celery")
		eventually(t, "it runs", func() bool { return len(seen[0].String())+len(seen[1].String()) > before+i+1 })
	}
	if after := len(seen[0].String()); after != before {
		t.Errorf("the spare worker ran %d of 50 tasks while the other one was idle", after-before)
	}
}
