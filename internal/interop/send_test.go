package interop_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

type number struct {
	N int `task:"n"`
}

func TestABatchIsRunWhole(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	square := task.New("square", func(_ context.Context, n number) (int, error) { return n.N * n.N, nil })
	runWorker(t, newAppWith(t, url, worker.Options{Concurrency: 50}, square))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var batch []task.Signature
	for n := range 500 {
		batch = append(batch, square.S(number{n}))
	}
	results, err := newApp(t, url).SendBatch(ctx, batch)
	if err != nil {
		t.Fatal(err)
	}
	for n, r := range results {
		var got int
		meta, err := r.Wait(ctx)
		if err == nil {
			err = meta.Value(&got)
		}
		if err != nil || got != n*n {
			t.Fatalf("square of %d = %d, %v", n, got, err)
		}
	}
}

func TestACallThatMustNotWaitFailsWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	proxy := testserver.StartProxy(t, url)
	client := newApp(t, proxy.URL)
	call := task.Remote[number, int]("square", task.IgnoreResult(), task.FailFast())
	if _, err := call.Send(t.Context(), client, number{1}); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	for {
		_, err := call.Send(t.Context(), client, number{2}) // the context has no deadline
		if errors.Is(err, broker.ErrUnavailable) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	proxy.Resume()
	patient := task.Remote[number, int]("square", task.IgnoreResult())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := patient.Send(ctx, client, number{3}); err != nil {
		t.Errorf("a call that waits: %v", err)
	}
}
