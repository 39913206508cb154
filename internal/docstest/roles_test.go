//go:build unix

package docstest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

const rolePassword = "secret"

// grant does on the server what rabbitmq.sh says, in the vhost / instead.
func grant(t *testing.T, server *testserver.RabbitMQ) {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^rabbitmqctl set_permissions -p site (\S+) '(.*)' '(.*)' '(.*)'$`).
		FindAllStringSubmatch(deployFile(t, "rabbitmq.sh"), -1)
	if len(lines) != 4 {
		t.Fatalf("%d roles were found, want 4", len(lines))
	}
	for _, m := range lines {
		server.Eval(fmt.Sprintf(`rabbit_auth_backend_internal:add_user(<<"%s">>, <<"%s">>, <<"test">>)`, m[1], rolePassword))
		erlang := func(s string) string { return strings.ReplaceAll(s, `\`, `\\`) } // inside of quotes there
		server.Eval(fmt.Sprintf(`rabbit_auth_backend_internal:set_permissions(<<"%s">>, <<"/">>, <<"%s">>, <<"%s">>, <<"%s">>, <<"test">>)`,
			m[1], erlang(m[2]), erlang(m[3]), erlang(m[4])))
	}
}

// site is a program that uses the broker as one of the roles.
type site struct {
	*taskq.App
	runs chan string
}

func (s *site) note(_ context.Context, n struct{ Text string }) (string, error) {
	s.runs <- n.Text
	return n.Text, nil
}

// again fails the first time, which takes it through a delay queue.
func (s *site) again(ctx context.Context, _ struct{}) (string, error) {
	if task.FromContext(ctx).Retries == 0 {
		return "", task.RetryAfter(errors.New("not yet"), 100*time.Millisecond)
	}
	return "done", nil
}

func asRole(t *testing.T, server, role string, cfg taskq.Config) *site {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("the server's URL is no URL")
	}
	u.User = url.UserPassword(role, rolePassword)
	cfg.BrokerURL, cfg.Logger = u.String(), slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg.Worker = worker.Options{Queues: []string{"celery", "mail"}, Concurrency: 2}
	app, err := taskq.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	s := &site{App: app, runs: make(chan string, 10)}
	if err := app.Register(task.New("note", s.note), task.New("again", s.again)); err != nil {
		t.Fatal(err)
	}
	return s
}

// work runs the role's worker while do sends.
func (s *site) work(t *testing.T, do func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	w, err := s.NewWorker(ctx)
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(running) }()
	do(ctx)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("worker: %v", err)
	}
}

const limit = 30 * time.Second

func TestEachRoleMayDoWhatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	grant(t, server)
	none := "disabled://"
	producer := asRole(t, server.URL, "producer", taskq.Config{Declare: broker.DeclareNever, ResultBackend: none})
	caller := asRole(t, server.URL, "caller", taskq.Config{Declare: broker.DeclareNever})
	call := func(ctx context.Context, name string, options task.CallOptions) {
		t.Helper()
		result, err := caller.Send(ctx, task.Signature{Task: name, CallOptions: options})
		if err != nil {
			t.Fatalf("caller: %v", err)
		}
		if got, err := result.Get(ctx); err != nil || got != "done" {
			t.Errorf("caller gets %v, %v", got, err)
		}
	}
	exercise := func(s *site) func(context.Context) {
		return func(ctx context.Context) {
			for _, countdown := range []time.Duration{0, 100 * time.Millisecond} {
				for { // until the queue is there, which the worker makes as it starts
					_, err := producer.Send(ctx, task.Signature{
						Task: "note", Args: []any{"hello"}, CallOptions: task.CallOptions{Queue: "mail", Countdown: countdown},
					})
					if err == nil {
						break
					}
					if !errors.Is(err, broker.ErrUnroutable) || ctx.Err() != nil {
						t.Fatalf("producer: %v", err)
					}
				}
				select {
				case <-s.runs:
				case <-ctx.Done():
					t.Fatal("the producer's task does not run")
				}
				call(ctx, "again", task.CallOptions{})
			}
		}
	}
	makes := asRole(t, server.URL, "worker", taskq.Config{})
	makes.work(t, exercise(makes))
	for _, mode := range []broker.DeclareMode{broker.DeclarePassive, broker.DeclareNever} {
		uses := asRole(t, server.URL, "declared-worker", taskq.Config{Declare: mode})
		uses.work(t, exercise(uses))
	}
	for _, role := range []string{"producer", "caller", "declared-worker"} {
		_, err := asRole(t, server.URL, role, taskq.Config{ResultBackend: none}).Send(t.Context(), task.Signature{Task: "note"})
		if !errors.Is(err, broker.ErrAccess) {
			t.Errorf("%s declares a queue: %v, want %v", role, err, broker.ErrAccess)
		}
	}
}
