package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/rpc"
	"github.com/seed-399731e2/taskq/task"
)

// pair returns the store of a client and that of a worker, on one broker.
func pair(t *testing.T, cfg rpc.Config) (client, worker *rpc.Backend, b broker.Broker) {
	t.Helper()
	server := mem.NewServer()
	cfg.Broker = server.Open()
	client, worker = rpc.New(cfg), rpc.New(rpc.Config{Broker: server.Open()})
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(client.Close(ctx), worker.Close(ctx), cfg.Broker.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	return client, worker, cfg.Broker
}

func outcome(id, replyTo, value string) task.Meta {
	return task.Meta{ID: id, State: task.Success, Result: codec.Raw(value), ReplyTo: replyTo, CorrelationID: id}
}

func expect(t *testing.T, client *rpc.Backend, id string) string {
	t.Helper()
	replyTo, err := client.Expect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return replyTo
}

func TestOutcomesReachTheCaller(t *testing.T) {
	t.Parallel()
	client, worker, _ := pair(t, rpc.Config{})
	replyTo := expect(t, client, "1")
	if err := worker.Store(t.Context(), outcome("1", replyTo, `"done"`)); err != nil {
		t.Fatal(err)
	}
	meta, err := client.Wait(t.Context(), "1")
	if err != nil || meta.State != task.Success || string(meta.Result) != `"done"` {
		t.Errorf("meta = %+v, %v", meta, err)
	}
	if meta, err = client.Get(t.Context(), "1"); err != nil || meta.State != task.Success {
		t.Errorf("it is not kept: %+v, %v", meta, err)
	}
	if err := client.Forget(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	if meta, err = client.Get(t.Context(), "1"); err != nil || meta.State != task.Pending {
		t.Errorf("it is not forgotten: %+v, %v", meta, err)
	}
}

func TestTenThousandWaitersAreServedByOneQueue(t *testing.T) {
	t.Parallel()
	client, worker, b := pair(t, rpc.Config{})
	tenThousand(t, client, worker)
	if stats, err := b.(broker.Measurer).Measure(t.Context(), expect(t, client, "0")); err != nil || stats.Consumers != 1 {
		t.Errorf("the queue is %+v, %v; want one consumer", stats, err)
	}
}

func tenThousand(t *testing.T, client, worker *rpc.Backend) {
	t.Helper()
	const n = 10_000
	replyTo := expect(t, client, "0")
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			meta, err := client.Wait(t.Context(), fmt.Sprint(i))
			if err != nil || string(meta.Result) != fmt.Sprint(i) {
				t.Errorf("outcome of %d = %s, %v", i, meta.Result, err)
			}
		})
	}
	for i := range n {
		wg.Go(func() {
			if err := worker.Store(t.Context(), outcome(fmt.Sprint(i), replyTo, fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestIntermediateStatesAreSeenAndDoNotEndTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, worker, _ := pair(t, rpc.Config{})
		meta := outcome("1", expect(t, client, "1"), `null`)
		meta.State = task.Retried
		if err := worker.Store(t.Context(), meta); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := client.Wait(ctx, "1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want to have waited", err)
		}
		if got, err := client.Get(t.Context(), "1"); err != nil || got.State != task.Retried {
			t.Errorf("state = %s, %v; want RETRY", got.State, err)
		}
	})
}

func TestTheFirstFinalStateStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, worker, _ := pair(t, rpc.Config{})
		meta := outcome("1", expect(t, client, "1"), `{"exc_type": "TimeLimitExceeded", "exc_message": [1.0], "exc_module": "billiard.exceptions"}`)
		meta.State = task.Failure
		late := meta
		late.State, late.Result = task.Retried, codec.Raw(`null`)
		var seen []task.State
		watched := make(chan error, 1)
		go func() {
			watched <- client.Watch(t.Context(), "1", func(m task.Meta) bool {
				seen = append(seen, m.State)
				return true
			})
		}()
		synctest.Wait()
		for _, m := range []task.Meta{meta, meta, late, outcome("1", meta.ReplyTo, `1`)} { // Celery sends the failure twice
			if err := worker.Store(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got, err := client.Get(t.Context(), "1"); err != nil || got.State != task.Failure {
			t.Errorf("state = %s, %v; want FAILURE", got.State, err)
		}
		if err := <-watched; err != nil || len(seen) != 1 || seen[0] != task.Failure {
			t.Errorf("the watcher saw %v, %v", seen, err)
		}
	})
}

func TestACallerThatIsGoneIsNoError(t *testing.T) {
	t.Parallel()
	_, worker, _ := pair(t, rpc.Config{})
	for _, replyTo := range []string{"", "no-such-queue"} {
		if err := worker.Store(t.Context(), outcome("1", replyTo, `1`)); err != nil {
			t.Errorf("reply to %q: %v", replyTo, err)
		}
	}
}

func TestUnreadOutcomesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, worker, _ := pair(t, rpc.Config{KeepBytes: 10 * (512 + 1)})
		replyTo := expect(t, client, "0")
		for i := range 25 {
			if err := worker.Store(t.Context(), outcome(fmt.Sprint(i), replyTo, `1`)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for i, kept := range map[int]bool{0: false, 14: false, 15: true, 24: true} {
			got, err := client.Wait(t.Context(), fmt.Sprint(i))
			if kept && (err != nil || got.State != task.Success) || !kept && !errors.Is(err, rpc.ErrDropped) {
				t.Errorf("outcome of %d = %s, %v; want it kept: %t", i, got.State, err, kept)
			}
		}
		if err := client.Forget(t.Context(), "0"); err != nil {
			t.Fatal(err)
		}
		if got, err := client.Get(t.Context(), "0"); err != nil || got.State != task.Pending {
			t.Errorf("once forgotten: %s, %v", got.State, err)
		}
	})
}

func TestCloseEndsTheWaitersAndDeletesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _, b := pair(t, rpc.Config{})
		replyTo := expect(t, client, "1")
		ended := make(chan error, 1)
		go func() {
			_, err := client.Wait(t.Context(), "1")
			ended <- err
		}()
		synctest.Wait()
		if err := client.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, result.ErrClosed) {
			t.Errorf("err = %v, want ErrClosed", err)
		}
		if _, err := b.(broker.Measurer).Measure(t.Context(), replyTo); !errors.Is(err, broker.ErrNoQueue) {
			t.Errorf("err = %v, want the reply queue to be gone", err)
		}
		if _, err := client.Expect(t.Context(), "2"); !errors.Is(err, result.ErrClosed) {
			t.Errorf("err = %v, want ErrClosed", err)
		}
	})
}

func TestRepliesThatAreNoRepliesAreDropped(t *testing.T) {
	t.Parallel()
	client, worker, b := pair(t, rpc.Config{})
	replyTo := expect(t, client, "1")
	for _, body := range []string{"", "no json", "[]", `{"status": 5}`, `{"status": "SUCCESS", "task_id": ""}`} {
		for _, contentType := range []string{"application/json", "application/x-python-serialize", ""} {
			msg := broker.Message{ContentType: contentType, ContentEncoding: "utf-8", Body: []byte(body)}
			if err := b.Publish(t.Context(), broker.Address{RoutingKey: replyTo}, msg); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := worker.Store(t.Context(), outcome("1", replyTo, `1`)); err != nil {
		t.Fatal(err)
	}
	if meta, err := client.Wait(t.Context(), "1"); err != nil || meta.State != task.Success {
		t.Errorf("meta = %+v, %v", meta, err)
	}
}

// There will be no other reply: who waits hears of it, also when it came first.
func TestAReplyThatCannotBeReadEndsTheWait(t *testing.T) {
	t.Parallel()
	client, worker, b := pair(t, rpc.Config{})
	replyTo := expect(t, client, "1")
	unreadable := broker.Message{
		Body: []byte{0x81, 0xa1}, ContentType: "application/x-msgpack", ContentEncoding: "binary", CorrelationID: "1",
	}
	if err := b.Publish(t.Context(), broker.Address{RoutingKey: replyTo}, unreadable); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := client.Wait(t.Context(), "1"); !errors.Is(err, codec.ErrRefused) || !strings.Contains(err.Error(), "result_serializer") {
			t.Fatalf("err = %v, want what is refused and the setting", err)
		}
	}
	if err := client.Watch(t.Context(), "1", func(task.Meta) bool { return true }); !errors.Is(err, codec.ErrRefused) {
		t.Errorf("watch: %v, want what is refused", err)
	}
	if err := worker.Store(t.Context(), outcome("2", replyTo, `2`)); err != nil {
		t.Fatal(err)
	}
	if meta, err := client.Wait(t.Context(), "2"); err != nil || meta.State != task.Success {
		t.Errorf("the next reply is %s, %v", meta.State, err)
	}
}
