package interop_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// A task that fills the pool must not keep the worker from reconnecting; its delivery comes again, and nothing is lost.
func TestABusyPoolDoesNotBlockReconnecting(t *testing.T) {
	t.Parallel()
	for _, kind := range []pool.Kind{pool.Solo, pool.Threads} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			url := testserver.AMQPVhost(t)
			proxy := testserver.StartProxy(t, url)
			var runs atomic.Int32
			started, release := make(chan struct{}, 10), make(chan struct{})
			busy := task.New("busy", func(context.Context, struct{}) (int, error) {
				started <- struct{}{}
				<-release
				return int(runs.Add(1)), nil
			})
			runWorker(t, newAppWith(t, proxy.URL, worker.Options{Pool: kind, Concurrency: 1}, busy))
			client := newApp(t, url)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			result, err := busy.Send(ctx, client, struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			<-started
			proxy.Cut()
			for proxy.Connections() == 0 { // it comes back while the task runs
				select {
				case <-ctx.Done():
					t.Fatal("the worker does not reconnect while its pool is busy")
				case <-time.After(5 * time.Millisecond):
				}
			}
			close(release)
			if _, err := result.Get(ctx); err != nil {
				t.Fatal(err)
			}
			again, err := busy.Send(ctx, client, struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := again.Get(ctx); err != nil || n < 2 {
				t.Errorf("run %d, %v", n, err)
			}
		})
	}
}

// A delivery whose connection is lost before its task begins must not begin: it comes again, and would run twice.
func TestAStaleDeliveryIsNotBegun(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	proxy := testserver.StartProxy(t, url)
	started, release := make(chan struct{}, 10), make(chan struct{})
	busy := task.New("busy", func(context.Context, struct{}) (int, error) {
		started <- struct{}{}
		<-release
		return 0, nil
	}, task.IgnoreResult())
	var runs atomic.Int32
	next := task.New("next", func(context.Context, struct{}) (int, error) { return int(runs.Add(1)), nil })
	log := &journal{}
	runWorker(t, newAppOf(t, taskq.Config{
		BrokerURL: proxy.URL, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Worker: worker.Options{Pool: pool.Solo},
	}, busy, next))
	client := newApp(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if _, err := busy.Send(ctx, client, struct{}{}); err != nil {
		t.Fatal(err)
	}
	<-started
	result, err := next.Send(ctx, client, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	log.wait(ctx, t, "task=next") // received: it waits for the slot
	proxy.Cut()
	log.wait(ctx, t, "Connection to broker lost")
	close(release)
	if n, err := result.Get(ctx); err != nil || n != 1 {
		t.Errorf("run %d, %v, want the first", n, err)
	}
	sentinel, err := next.Send(ctx, client, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := sentinel.Get(ctx); err != nil || n != 2 {
		t.Errorf("run %d, %v: the stale delivery was run as well", n, err)
	}
}
