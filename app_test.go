package taskq_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type pair struct {
	X int `task:"x"`
	Y int `task:"y"`
}

func add() *task.Task[pair, int] {
	return task.New("tasks.add", func(_ context.Context, p pair) (int, error) { return p.X + p.Y, nil })
}

// newApp returns an application in memory; it is closed when the test ends.
func newApp(t *testing.T, cfg taskq.Config, tasks ...task.Definition) *taskq.App {
	t.Helper()
	if cfg.BrokerURL == "" && cfg.Broker == nil {
		cfg.BrokerURL = "memory://"
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	app, err := taskq.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Register(tasks...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return app
}

// work runs the application's worker until the test ends.
func work(t *testing.T, app *taskq.App) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestATaskIsSentRunAndAnswered(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add())
	work(t, app)
	result, err := add().Send(t.Context(), app, pair{2, 3})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := result.Get(t.Context()); err != nil || sum != 5 {
		t.Errorf("sum = %d, %v; want 5", sum, err)
	}
	if state, err := app.Result(result.ID()).State(t.Context()); err != nil || state != task.Success {
		t.Errorf("state by id = %s, %v", state, err)
	}
	if err := result.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state, err := result.State(t.Context()); err != nil || state != task.Pending {
		t.Errorf("state after forget = %s, %v", state, err)
	}
}

func TestTasksSentByTasksAreTheirChildren(t *testing.T) {
	t.Parallel()
	var app *taskq.App
	leaf := task.New("leaf", func(ctx context.Context, _ struct{}) ([]string, error) {
		r := task.FromContext(ctx)
		return []string{r.RootID, r.ParentID}, nil
	}, task.Queue("leaves"))
	root := task.New("root", func(ctx context.Context, _ struct{}) ([]string, error) {
		child, err := leaf.Send(ctx, app, struct{}{})
		if err != nil {
			return nil, err
		}
		return child.Get(task.AllowWaiting(ctx))
	})
	app = newApp(t, taskq.Config{Worker: worker.Options{Queues: []string{"celery", "leaves"}, Concurrency: 2}}, root, leaf)
	work(t, app)
	result, err := root.Send(t.Context(), app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := result.Get(t.Context())
	if err != nil || len(ids) != 2 || ids[0] != result.ID() || ids[1] != result.ID() {
		t.Errorf("root and parent = %v, %v; want %s twice", ids, err, result.ID())
	}
}

func TestMiddlewareWrapsEveryTask(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add())
	app.Use(func(next task.Handler) task.Handler {
		return task.HandlerFunc(func(ctx context.Context, r *task.Request) (any, error) {
			v, err := next.Handle(ctx, r)
			if n, ok := v.(int); ok {
				v = 10 * n
			}
			return v, err
		})
	})
	work(t, app)
	result, err := add().Send(t.Context(), app, pair{2, 3})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := result.Get(t.Context()); err != nil || sum != 50 {
		t.Errorf("sum = %d, %v; want 50", sum, err)
	}
}

func TestAQueueThatWasDeletedIsDeclaredAgain(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	for range 2 {
		if _, err := add().Send(t.Context(), app, pair{}); err != nil {
			t.Fatal(err)
		}
		b, err := app.Broker(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats, err := b.(broker.Measurer).Measure(t.Context(), "celery"); err != nil || stats.Messages != 1 {
			t.Errorf("celery holds %d messages, %v; want 1", stats.Messages, err)
		}
		if err := b.(broker.Deleter).DeleteQueue(t.Context(), "celery"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsDeclaredIsTheConfigurationsChoice(t *testing.T) {
	t.Parallel()
	for mode, want := range map[broker.DeclareMode]error{
		"": nil, broker.DeclareAuto: nil, broker.DeclarePassive: broker.ErrNoQueue, broker.DeclareNever: broker.ErrUnroutable,
	} {
		app := newApp(t, taskq.Config{Declare: mode}, add())
		if _, err := add().Send(t.Context(), app, pair{2, 3}); !errors.Is(err, want) {
			t.Errorf("send with %q to a missing queue = %v, want %v", mode, err, want)
		}
		if mode.Creates() {
			continue
		}
		if err := app.Run(t.Context()); !errors.Is(err, broker.ErrNoQueue) {
			t.Errorf("worker with %q of a missing queue = %v, want %v", mode, err, broker.ErrNoQueue)
		}
	}
	if _, err := taskq.New(taskq.Config{Declare: "maybe"}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("declare mode maybe = %v, want %v", err, broker.ErrInvalid)
	}
}

func TestCountdownAndExpiryCountFromTheSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t, taskq.Config{Worker: worker.Options{Pool: pool.Solo}}, add())
		work(t, app)
		began := time.Now()
		later, err := add().Send(t.Context(), app, pair{1, 1}, task.Countdown(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := later.Get(t.Context()); err != nil || time.Since(began).Round(time.Second) != time.Minute {
			t.Errorf("err = %v after %s, want a minute", err, time.Since(began))
		}
	})
}

func TestWithoutAResultStoreThereIsNothingToGet(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{ResultBackend: "disabled://"})
	result, err := add().Send(t.Context(), app, pair{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := result.Get(t.Context()); !errors.Is(err, task.ErrNoResults) {
		t.Errorf("err = %v, want ErrNoResults", err)
	}
	if _, err := app.Result("x").Get(t.Context()); !errors.Is(err, task.ErrNoResults) {
		t.Errorf("err = %v, want ErrNoResults", err)
	}
}

func TestCallsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	for name, s := range map[string]task.Signature{
		"no name":         {},
		"limits":          {Task: "t", CallOptions: task.CallOptions{SoftTimeLimit: 2, TimeLimit: 1}},
		"negative expiry": {Task: "t", CallOptions: task.CallOptions{ExpiresIn: -1}},
		"no JSON":         {Task: "t", Args: []any{make(chan int)}},
	} {
		if _, err := app.Send(t.Context(), s); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
}

func TestURLsThatNobodySpeaksAreRefusedWithoutTheirPassword(t *testing.T) {
	t.Parallel()
	for _, cfg := range []taskq.Config{
		{BrokerURL: "redis://:s3cret@localhost/0"},
		{BrokerURL: "localhost s3cret"},
		{BrokerURL: "kafka:s3cret"},
		{BrokerURL: "memory://", ResultBackend: "mongodb://:s3cret@localhost/0"},
		{BrokerURL: "memory://", ResultBackend: "amqp://u:s3cret@localhost/0"},
	} {
		_, err := taskq.New(cfg)
		if !errors.Is(err, broker.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: err = %v", cfg, err)
		}
	}
}

func TestNamesThatAreTakenAreRefused(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add())
	if err := app.Register(add()); !errors.Is(err, task.ErrDuplicate) {
		t.Errorf("err = %v, want ErrDuplicate", err)
	}
}

func TestAfterCloseNothingIsSent(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	if err := app.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := add().Send(t.Context(), app, pair{}); !errors.Is(err, taskq.ErrClosed) {
		t.Errorf("err = %v, want ErrClosed", err)
	}
}

func TestBatchesTellWhichCallsWereNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tasks := add()
		app := newApp(t, taskq.Config{}, tasks)
		work(t, app)
		results, err := app.SendBatch(t.Context(), []task.Signature{
			tasks.S(pair{1, 2}),
			{},
			tasks.S(pair{3, 4}, task.Countdown(time.Minute)),
			tasks.S(pair{5, 6}, task.Queue("elsewhere")),
			tasks.S(pair{7, 8}, task.FailFast()),
		})
		failed, ok := errors.AsType[*task.BatchError](err)
		if !ok || len(failed.Errors) != 5 || failed.Errors[1] == nil || len(failed.Unwrap()) != 1 {
			t.Fatalf("error = %v, want one for the second call alone", err)
		}
		if !strings.Contains(err.Error(), "1 of 5 tasks were not sent") || results[1] != nil {
			t.Errorf("error = %q, result of the call that was not sent: %v", err, results[1])
		}
		for i, want := range map[int]int{0: 3, 2: 7, 4: 15} {
			var got int
			meta, err := results[i].Wait(t.Context())
			if err == nil {
				err = meta.Value(&got)
			}
			if err != nil || got != want {
				t.Errorf("result %d = %d, %v, want %d", i, got, err, want)
			}
		}
		if state, err := results[3].State(t.Context()); err != nil || state != task.Pending {
			t.Errorf("state of a call to a queue without a worker = %s, %v", state, err)
		}
		if _, err := app.SendBatch(t.Context(), nil); err != nil {
			t.Errorf("an empty batch: %v", err)
		}
	})
}

func TestAnOpenBrokerIsUsedAndClosed(t *testing.T) {
	t.Parallel()
	b, results := mem.NewServer().Open(), resultmem.New(resultmem.Config{})
	app, err := taskq.New(taskq.Config{Broker: b, Results: results, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := app.Send(t.Context(), task.Signature{Task: "tasks.add"})
	if err != nil {
		t.Fatal(err)
	}
	if stats, err := b.Measure(t.Context(), "celery"); err != nil || stats.Messages != 1 {
		t.Errorf("queue = %+v, %v", stats, err)
	}
	if err := app.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Probe(); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("the broker is still open: %v", err)
	}
	if _, err := results.Get(t.Context(), r.ID()); !errors.Is(err, result.ErrClosed) {
		t.Errorf("the result store is still open: %v", err)
	}
	if _, err := taskq.New(taskq.Config{Broker: b, BrokerURL: "amqp://"}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("two brokers: %v", err)
	}
}
