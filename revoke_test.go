package taskq_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// sleeper is a task that ends when it is told to.
func sleeper() *task.Task[struct{}, string] {
	return task.New("tasks.sleep", func(ctx context.Context, _ struct{}) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
}

// eventually asks again until it is so.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for !ask() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// ask sends a command and returns how many workers answered it.
func ask(t *testing.T, app *taskq.App, r control.Request) int {
	t.Helper()
	client, err := app.Control(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	replies, err := client.Call(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return len(replies)
}

// Whatever the broker, all workers hear that a task is revoked.
func TestRevokingReachesTheWorkersOfEveryBroker(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) taskq.Config{
		"memory":   func(*testing.T) taskq.Config { return taskq.Config{} },
		"sqlite":   func(t *testing.T) taskq.Config { return taskq.Config{BrokerURL: "sqlite:///" + t.TempDir() + "/q.db"} },
		"rabbitmq": func(t *testing.T) taskq.Config { return taskq.Config{BrokerURL: testserver.AMQPVhost(t)} },
		"passive": func(t *testing.T) taskq.Config {
			return taskq.Config{BrokerURL: testserver.AMQPVhost(t), Declare: broker.DeclarePassive}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := open(t)
			if cfg.Declare == broker.DeclarePassive {
				prepare(t, cfg.BrokerURL)
			}
			cfg.Worker.Concurrency = 2
			app := newApp(t, cfg, sleeper())
			work(t, app)
			if cfg.BrokerURL != "" { // a second one, in another process as it were
				cfg.Worker.Hostname = "other@host"
				cfg.Worker.Queues = []string{"celery"}
				other := newApp(t, cfg, sleeper())
				work(t, other)
				eventually(t, "two workers answer", func() bool {
					return ask(t, app, control.Request{Method: "ping", Timeout: 500 * time.Millisecond}) == 2
				})
			} else {
				eventually(t, "the worker answers", func() bool {
					return ask(t, app, control.Request{Method: "ping", Destination: []string{worker.NodeName("celery@%h")}}) == 1
				})
			}
			client := app
			running, err := sleeper().Send(t.Context(), client, struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the task ends when it is terminated", func() bool {
				if err := running.Revoke(t.Context(), task.Terminate("")); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				_, err := running.Get(ctx)
				return errors.Is(err, task.ErrRevoked)
			})
			if err := app.RevokeByStamps(t.Context(), map[string]any{"tenant": []string{"acme"}}); err != nil {
				t.Fatal(err)
			}
			if err := app.Revoke(t.Context(), []string{"some", "ids"}); err != nil {
				t.Fatal(err)
			}
			ask(t, app, control.Request{Method: "ping", Destination: []string{worker.NodeName("celery@%h")}}) // it has heard of them by now
			for _, opt := range []task.SendOption{task.Stamp("tenant", "acme"), task.ID("some"), task.ID("ids")} {
				r, err := sleeper().Send(t.Context(), client, struct{}{}, opt)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Get(t.Context()); !errors.Is(err, task.ErrRevoked) {
					t.Errorf("err = %v, want ErrRevoked", err)
				}
			}
		})
	}
}

// prepare makes what a program that declares nothing needs.
func prepare(t *testing.T, url string) {
	t.Helper()
	app := newApp(t, taskq.Config{BrokerURL: url})
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	topology := broker.TaskQueue(broker.Queue{Name: "celery"})
	topology.Exchanges = append(topology.Exchanges, broker.Exchange{Name: "celery.pidbox", Kind: broker.Fanout, Transient: true},
		broker.Exchange{Name: "reply.celery.pidbox", Kind: broker.Direct, Transient: true})
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
}

func TestASignalThatDoesNotExistIsAnErrorOfTheCaller(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	for _, err := range []error{
		app.Result("1").Revoke(t.Context(), task.Terminate("SIGFOO")),
		app.Revoke(t.Context(), []string{"1"}, task.Terminate("sigterm")),
		app.RevokeByStamps(t.Context(), map[string]any{"a": 1}, task.Terminate("9")),
	} {
		if err == nil {
			t.Error("err = nil")
		}
	}
	for _, signal := range []string{"", "SIGTERM", "KILL", "SIGUSR1"} {
		if err := app.Revoke(t.Context(), []string{"1"}, task.Terminate(signal)); err != nil {
			t.Errorf("%s: %v", signal, err)
		}
	}
}

func TestOnlyAResultOfAnApplicationCanBeRevoked(t *testing.T) {
	t.Parallel()
	if err := task.NewResult[any]("1", nil).Revoke(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
}

// In the embedded store what was revoked survives a restart of the only worker, with nothing configured.
func TestTheEmbeddedStoreRemembersWhatWasRevoked(t *testing.T) {
	t.Parallel()
	url := "sqlite:///" + t.TempDir() + "/q.db"
	first := newApp(t, taskq.Config{BrokerURL: url}, sleeper())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }()
	eventually(t, "the worker has heard", func() bool {
		if err := first.Revoke(t.Context(), []string{"1"}); err != nil {
			t.Fatal(err)
		}
		state, err := first.Result("1").State(t.Context())
		return err == nil && state == task.Revoked
	})
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := first.Result("1").Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := newApp(t, taskq.Config{BrokerURL: url}, sleeper())
	work(t, second)
	r, err := sleeper().Send(t.Context(), second, struct{}{}, task.ID("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(t.Context()); !errors.Is(err, task.ErrRevoked) {
		t.Errorf("err = %v, want ErrRevoked", err)
	}
}

// Nobody waits for a task that is revoked before its message comes, whatever keeps the outcomes.
func TestARevokedTaskIsShownAsSuchAtOnce(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) string{
		"redis":    func(t *testing.T) string { return testserver.Redis(t) },
		"postgres": func(t *testing.T) string { return testserver.Postgres(t) },
		"sqlite":   func(t *testing.T) string { return "sqlite:///" + t.TempDir() + "/r.db" },
		"memory":   func(*testing.T) string { return "memory://" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t, taskq.Config{ResultBackend: open(t)}, add())
			work(t, app)
			done, err := add().Send(t.Context(), app, pair{1, 2})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := done.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
			later, err := add().Send(t.Context(), app, pair{1, 2}, task.Countdown(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if err := app.Revoke(t.Context(), []string{done.ID(), later.ID()}); err != nil {
				t.Fatal(err)
			}
			if _, err := later.Get(t.Context()); !errors.Is(err, task.ErrRevoked) {
				t.Errorf("err = %v, want ErrRevoked", err)
			}
			if sum, err := done.Get(t.Context()); err != nil || sum != 3 {
				t.Errorf("the success is %d, %v now", sum, err)
			}
		})
	}
}

func TestAStateFileCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{BrokerURL: "sqlite:///" + t.TempDir() + "/q.db", Worker: worker.Options{StateDB: "off"}})
	w, err := app.NewWorker(t.Context())
	if err != nil || w.Options().StateDB != "" {
		t.Errorf("state file %q, %v", w.Options().StateDB, err)
	}
}
