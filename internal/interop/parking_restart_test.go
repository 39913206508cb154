package interop_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// runs counts how often each call has run, and remembers those that ran before their time.
type runs struct {
	mu    sync.Mutex
	due   time.Time
	times map[string]int
	early int
}

func (r *runs) task() *task.Task[numbers, int] {
	return task.New("h2.add", func(ctx context.Context, _ numbers) (int, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.times[task.FromContext(ctx).ID]++
		if time.Now().Before(r.due) {
			r.early++
		}
		return 0, nil
	})
}

// count returns how many calls have run, and how many runs there were besides.
func (r *runs) count() (different, again int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.times {
		again += n - 1
	}
	return len(r.times), again
}

func TestABrokerThatRestartsWhileAWorkerParksLosesNothing(t *testing.T) {
	t.Parallel()
	const n = 3000
	server := testserver.StartRabbitMQ(t)
	r := &runs{due: time.Now().Add(30 * time.Second).Truncate(time.Microsecond), times: map[string]int{}}
	app := newAppOf(t, taskq.Config{BrokerURL: server.URL, Worker: worker.Options{Concurrency: 4}, Logger: slog.New(slog.DiscardHandler)}, r.task())
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	declare(t, b, "celery")
	publishEarly(t, b, n, r.due)
	w := startWorker(t, app)
	eventually(t, "parking has begun", func() bool { return w.Stats().Settled > n/10 })
	server.Restart()
	deadline := time.After(4 * limit)
	for {
		different, again := r.count()
		if different == n && w.Stats().Running == 0 {
			if again > 2*(128+8) { // what was on its way, there and back
				t.Errorf("%d calls ran twice", again)
			}
			if r.early > 0 {
				t.Errorf("%d calls ran before their time", r.early)
			}
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%d of %d calls have run: %+v", different, n, w.Stats())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
