package interop_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

// What has run while the result store was away is not acknowledged until its outcome is stored, and does not run twice.
func TestAResultStoreThatIsAwayDelaysTheAcknowledgement(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	s := stall{broker: testserver.AMQPVhost(t), address: server.URL}
	var runs atomic.Int32
	square := task.New("square", func(_ context.Context, n number) (int, error) {
		runs.Add(1)
		return n.N * n.N, nil
	})
	app := s.app(t, square)
	runWorker(t, app)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if _, err := square.Send(ctx, app, number{0}, task.ID("0")); err != nil { // by now all is connected
		t.Fatal(err)
	}
	if _, err := app.Result("0").Wait(ctx); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	const n = 20
	for i := 1; i <= n; i++ {
		if _, err := square.Send(ctx, app, number{i}, task.ID(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	var waits sync.WaitGroup
	for i := 1; i <= n; i++ {
		waits.Go(func() {
			var got int
			m, err := app.Result(strconv.Itoa(i)).Wait(ctx)
			if err == nil {
				err = m.Value(&got)
			}
			if err != nil || got != i*i {
				t.Errorf("square of %d = %d, %v", i, got, err)
			}
		})
	}
	waitFor(t, "tasks have run", func() bool { return runs.Load() > 1 })
	b, err := app.Broker(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if stats, err := b.(broker.Measurer).Measure(ctx, "celery"); err != nil || stats.Messages == 0 {
		t.Errorf("%d messages wait, %v; want those that the worker, which holds on to what it has, did not fetch", stats.Messages, err)
	}
	server.Start()
	waits.Wait()
	if got := runs.Load(); got != n+1 {
		t.Errorf("%d runs of %d tasks", got, n+1)
	}
}
