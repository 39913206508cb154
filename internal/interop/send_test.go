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
	answered := task.Remote[number, int]("square", task.FailFast()) // needs a reply queue, which could only be waited for
	brief, end := context.WithTimeout(t.Context(), 10*time.Second)
	defer end()
	if _, err := answered.Send(brief, client, number{2}); !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that is answered: %v, want ErrUnavailable at once", err)
	}
	proxy.Resume()
	patient := task.Remote[number, int]("square", task.IgnoreResult())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := patient.Send(ctx, client, number{3}); err != nil {
		t.Errorf("a call that waits: %v", err)
	}
}

// The first call opens connection and reply queue. While it waits for a silent broker, others wait no longer than they want to.
func TestACallDoesNotWaitForTheFirstOneLongerThanItsContext(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQPVhost(t))
	proxy.Stall()
	client := newApp(t, proxy.URL)
	call := task.Remote[number, int]("square")
	first := make(chan error, 1)
	patient, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := call.Send(patient, client, number{1})
		first <- err
	}()
	for proxy.Connections() == 0 { // it is at it
		select {
		case err := <-first:
			t.Fatalf("the first call ended: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	short, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	if _, err := call.Send(short, client, number{2}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second call: %v, want its deadline", err)
	}
	select {
	case err := <-first:
		t.Errorf("the second call waited for the first one, which ended with %v", err)
	default:
	}
	proxy.Resume()
	if err := <-first; err != nil {
		t.Errorf("the first call: %v", err)
	}
}
