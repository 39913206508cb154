package taskq_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// told is what a task tells of its request.
type told struct {
	Root, Parent, Shadow, Group string
	Priority                    uint8
	Limit                       time.Duration
	Headers, Stamps             int
}

// teller returns a task that tells of its request.
func teller(opts ...task.Option) *task.Task[struct{}, told] {
	return task.New("tell", func(ctx context.Context, _ struct{}) (told, error) {
		r := task.FromContext(ctx)
		return told{r.RootID, r.ParentID, r.Shadow, r.Group, r.Priority, r.TimeLimit, len(r.Headers), len(r.Stamps)}, nil
	}, opts...)
}

// tells sends a call and returns what its task told.
func tells(ctx context.Context, app *taskq.App, s task.Signature) (told, error) {
	var got told
	r, err := app.Send(ctx, s)
	if err != nil {
		return got, err
	}
	meta, err := r.Wait(ctx)
	if err != nil {
		return got, err
	}
	return got, meta.Value(&got)
}

func TestCallsByNameHaveTheOptionsOfTheirTask(t *testing.T) {
	t.Parallel()
	tell := teller(task.Queue("calm"), task.Priority(4), task.TimeLimit(time.Minute))
	app := newApp(t, taskq.Config{
		Call:   task.CallOptions{Shadow: "shown", Priority: 9, Headers: map[string]any{"site": "a"}},
		Worker: worker.Options{Queues: []string{"calm"}},
	}, tell)
	work(t, app)
	for name, tt := range map[string]struct {
		call task.Signature
		want told
	}{
		"literal":  {task.Signature{Task: "tell"}, told{Shadow: "shown", Priority: 4, Limit: time.Minute, Headers: 1}},
		"typed":    {tell.S(struct{}{}), told{Shadow: "shown", Priority: 4, Limit: time.Minute, Headers: 1}},
		"own":      {task.Signature{Task: "tell"}.With(task.Priority(0), task.TimeLimit(0), task.Header("x", 1)), told{Shadow: "shown", Headers: 2}},
		"elsewise": {tell.S(struct{}{}, task.Shadow("mine"), task.Stamp("a", 1)), told{Shadow: "mine", Priority: 4, Limit: time.Minute, Headers: 1, Stamps: 1}},
	} {
		got, err := tells(t.Context(), app, tt.call)
		got.Root, got.Parent = "", ""
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tt.want)
		}
	}
}

// Ids go on to what a task sends, and its priority where that is wanted; headers, stamps and the group do not (celery/app/base.py,
// send_task).
func TestWhatATaskSendsInheritsItsIds(t *testing.T) {
	t.Parallel()
	for inherit, want := range map[bool][3]uint8{false: {0, 2, 0}, true: {6, 2, 0}} {
		var app *taskq.App
		tell := teller()
		sender := task.New("send", func(ctx context.Context, _ struct{}) ([]told, error) {
			var all []told
			for _, s := range []task.Signature{
				tell.S(struct{}{}),
				{Task: "tell", CallOptions: task.CallOptions{Priority: 2, RootID: "r", ParentID: "p"}},
				tell.S(struct{}{}, task.Priority(0)),
			} {
				one, err := tells(task.AllowWaiting(ctx), app, s)
				if err != nil {
					return nil, err
				}
				all = append(all, one)
			}
			return all, nil
		})
		app = newApp(t, taskq.Config{InheritPriority: inherit, Worker: worker.Options{Concurrency: 2}}, tell, sender)
		work(t, app)
		r, err := sender.Send(t.Context(), app, struct{}{}, task.RootID("root"), task.Priority(6), task.Header("h", 1), task.Stamp("s", 1))
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []told{
			{Root: "root", Parent: r.ID(), Priority: want[0]}, {Root: "r", Parent: "p", Priority: want[1]}, {Root: "root", Parent: r.ID(), Priority: want[2]},
		} {
			if got[i] != want {
				t.Errorf("inherit %v: call %d = %+v, want %+v", inherit, i, got[i], want)
			}
		}
	}
}

func TestADelayedCallToAnExchangeWaitsInTheBroker(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add())
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const delay = 300 * time.Millisecond
	send := func() (*task.Result[int], error) {
		return add().Send(t.Context(), app, pair{1, 2}, task.Exchange("sums"), task.RoutingKey("sums.small"), task.Countdown(delay))
	}
	if _, err := send(); !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("an exchange that does not exist: %v, want ErrUnroutable", err)
	}
	topology := broker.TaskQueue(broker.Queue{Name: "celery"})
	topology.Exchanges = append(topology.Exchanges, broker.Exchange{Name: "sums", Kind: broker.Topic})
	topology.Bindings = append(topology.Bindings, broker.Binding{Exchange: "sums", Queue: "celery", Key: "sums.#"})
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r, err := send()
	if err != nil {
		t.Fatal(err)
	}
	parked := 0
	err = b.(broker.Parking).Parked(t.Context(), func(p broker.Parked) bool {
		parked++
		return p.To == broker.Address{Exchange: "sums", RoutingKey: "sums.small"}
	})
	if err != nil || parked != 1 {
		t.Errorf("%d calls are parked, %v; want the one", parked, err)
	}
	work(t, app)
	if sum, err := r.Get(t.Context()); err != nil || sum != 3 || time.Since(began) < delay {
		t.Errorf("sum = %d, %v after %s; want 3 after %s", sum, err, time.Since(began), delay)
	}
}

func TestWhatCannotBeSentIsInvalid(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	for name, s := range map[string]task.Signature{
		"no name":    {},
		"limits":     {Task: "t", CallOptions: task.CallOptions{SoftTimeLimit: 2, TimeLimit: 1}},
		"a header":   {Task: "t", CallOptions: task.CallOptions{Headers: map[string]any{"id": "x"}}},
		"a link":     {Task: "t", CallOptions: task.CallOptions{Link: []task.Signature{{}}}},
		"a value":    {Task: "t", Args: []any{make(chan int)}},
		"the policy": {Task: "t", CallOptions: task.CallOptions{Publish: &task.PublishPolicy{Step: -1}}},
	} {
		if _, err := app.Send(t.Context(), s); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := taskq.New(taskq.Config{Call: task.CallOptions{Countdown: -1}}); err == nil {
		t.Error("defaults that make no sense were taken")
	}
}

func TestABatchHasTheOptionsOfSingleCalls(t *testing.T) {
	t.Parallel()
	tell := teller(task.Priority(4))
	app := newApp(t, taskq.Config{Call: task.CallOptions{Shadow: "shown"}}, tell)
	work(t, app)
	if _, err := tells(t.Context(), app, tell.S(struct{}{})); err != nil { // the worker has declared its exchange
		t.Fatal(err)
	}
	results, err := app.SendBatch(t.Context(), []task.Signature{
		{Task: "tell"},
		tell.S(struct{}{}, task.Exchange("celery"), task.RoutingKey("celery"), task.Shadow("mine")),
		tell.S(struct{}{}, task.Exchange("nosuch")),
		tell.S(struct{}{}, task.Countdown(10*time.Millisecond), task.Priority(0)),
		{Task: "tell", CallOptions: task.CallOptions{GroupID: "g", GroupIndex: -2}},
	})
	failed, _ := errors.AsType[*task.BatchError](err)
	if failed == nil || !errors.Is(failed.Errors[2], broker.ErrUnroutable) || !errors.Is(failed.Errors[4], broker.ErrInvalid) || len(failed.Unwrap()) != 2 {
		t.Fatalf("err = %v, want the missing exchange and the group index", err)
	}
	for i, want := range map[int]told{0: {Shadow: "shown", Priority: 4}, 1: {Shadow: "mine", Priority: 4}, 3: {Shadow: "shown"}} {
		var got told
		meta, err := results[i].Wait(t.Context())
		if err == nil {
			err = meta.Value(&got)
		}
		if got.Root = ""; err != nil || got != want {
			t.Errorf("call %d: %+v, %v; want %+v", i, got, err, want)
		}
	}
}

// crowd is a broker that confirms delayed messages when so many are on their way, or when one of them has an error.
type crowd struct {
	broker.Broker
	missing atomic.Int32
	all     chan struct{}
}

func (c *crowd) PublishDelayed(ctx context.Context, to broker.Address, _ broker.Message, _ time.Duration) error {
	if to.RoutingKey == "refused" {
		return broker.ErrRefused
	}
	if c.missing.Add(-1) == 0 {
		close(c.all)
	}
	select {
	case <-c.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestDelayedCallsOfABatchDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	c := &crowd{Broker: mem.NewServer().Open(), all: make(chan struct{})}
	const calls = 100
	c.missing.Store(calls)
	app := newApp(t, taskq.Config{Broker: c, ResultBackend: "disabled://"})
	batch := make([]task.Signature, calls, calls+1)
	for i := range batch {
		batch[i] = add().S(pair{i, 1}, task.Countdown(time.Hour))
	}
	batch = append(batch, add().S(pair{}, task.Countdown(time.Hour), task.Queue("refused")))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	results, err := app.SendBatch(ctx, batch)
	failed, _ := errors.AsType[*task.BatchError](err)
	if failed == nil || len(failed.Unwrap()) != 1 || !errors.Is(failed.Errors[calls], broker.ErrRefused) {
		t.Fatalf("err = %v, want that of the last call alone", err)
	}
	for i, r := range results {
		if r == nil {
			t.Errorf("call %d has no result", i)
		}
	}
}
