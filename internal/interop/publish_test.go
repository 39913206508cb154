package interop_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

// away returns a client of a broker that it was connected to and that is away now.
func away(t *testing.T, url string, opts ...task.Option) (*taskq.App, *testserver.Proxy, *task.Task[number, int]) {
	t.Helper()
	proxy := testserver.StartProxy(t, url)
	client := newApp(t, proxy.URL)
	call := task.Remote[number, int]("square", append(opts, task.IgnoreResult())...)
	if _, err := call.Send(t.Context(), client, number{1}); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	for {
		_, err := call.Send(t.Context(), client, number{2}, task.FailFast())
		if errors.Is(err, broker.ErrUnavailable) {
			return client, proxy, call
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTriesWhileTheBrokerIsAwayAreBounded(t *testing.T) {
	t.Parallel()
	policy := task.PublishPolicy{Max: 3, Start: 10 * time.Millisecond, Step: 20 * time.Millisecond, Limit: 30 * time.Millisecond}
	const pauses = (10 + 30 + 40) * time.Millisecond
	client, proxy, call := away(t, testserver.AMQPVhost(t), task.PublishRetry(policy))
	unreached := newApp(t, proxy.URL)
	for name, send := range map[string]func() error{
		"call":  func() error { _, err := call.Send(t.Context(), client, number{3}); return err },
		"first": func() error { _, err := call.Send(t.Context(), unreached, number{3}); return err },
		"batch": func() error {
			_, err := client.SendBatch(t.Context(), []task.Signature{call.S(number{3}), call.S(number{4})})
			return err
		},
		"first batch": func() error {
			_, err := unreached.SendBatch(t.Context(), []task.Signature{call.S(number{3})})
			return err
		},
	} {
		began := time.Now()
		err := send()
		if !errors.Is(err, broker.ErrUnavailable) || time.Since(began) < pauses {
			t.Errorf("%s: %v after %s, want ErrUnavailable after %s", name, err, time.Since(began), pauses)
		}
		if err != nil && !strings.Contains(err.Error(), "(after 4 tries)") {
			t.Errorf("%s: %v, want it to say how many tries there were", name, err)
		}
	}
}

func TestABrokerThatComesBackGetsTheCall(t *testing.T) {
	t.Parallel()
	client, proxy, call := away(t, testserver.AMQPVhost(t), task.PublishRetry(task.PublishPolicy{Max: -1, Limit: 50 * time.Millisecond}))
	unreached := newApp(t, proxy.URL)
	sent := make(chan error, 3)
	go func() { _, err := call.Send(t.Context(), client, number{3}); sent <- err }()
	go func() { _, err := call.Send(t.Context(), unreached, number{4}); sent <- err }()
	go func() {
		_, err := client.SendBatch(t.Context(), []task.Signature{call.S(number{5}), {Task: "", CallOptions: task.CallOptions{ID: "x"}}, call.S(number{6})})
		failed, _ := errors.AsType[*task.BatchError](err)
		if failed == nil || failed.Errors[0] != nil || failed.Errors[1] == nil || failed.Errors[2] != nil {
			err = errors.Join(errors.New("want an error for the second call alone"), err)
		} else {
			err = nil
		}
		sent <- err
	}()
	select {
	case err := <-sent:
		t.Fatalf("a call ended while the broker was away: %v", err)
	case <-time.After(300 * time.Millisecond): // several tries
	}
	proxy.Resume()
	for range cap(sent) {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

// What may have been taken is sent once: who sends it again must know that the task may run twice.
func TestACallWithoutConfirmIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQPVhost(t))
	client := newApp(t, proxy.URL)
	call := task.Remote[number, int]("square", task.IgnoreResult(), task.PublishRetry(task.PublishPolicy{Max: -1}))
	if _, err := call.Send(t.Context(), client, number{1}); err != nil {
		t.Fatal(err)
	}
	proxy.Stall()
	sent := make(chan error, 1)
	go func() { _, err := call.Send(t.Context(), client, number{2}); sent <- err }()
	select {
	case err := <-sent:
		t.Fatalf("the call ended without a confirm: %v", err)
	case <-time.After(300 * time.Millisecond): // it is written
	}
	proxy.Cut()
	proxy.Resume()
	if err := <-sent; !errors.Is(err, broker.ErrUnconfirmed) {
		t.Errorf("error = %v, want ErrUnconfirmed", err)
	}
}
