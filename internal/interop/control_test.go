package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// sleeper is a task that ends when it is told to.
func sleeper(began chan<- string) *task.Task[struct{}, string] {
	return task.New("go.sleep", func(ctx context.Context, _ struct{}) (string, error) {
		began <- task.FromContext(ctx).ID
		<-ctx.Done()
		return "", ctx.Err()
	})
}

func command(ctx context.Context, t *testing.T, app *taskq.App, r control.Request) map[string]string {
	t.Helper()
	client, err := app.Control(ctx)
	if err != nil {
		t.Fatal(err)
	}
	replies, err := client.Call(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, r := range replies {
		values[r.Node] = string(r.Value)
	}
	return values
}

// ready waits until so many workers answer.
func ready(ctx context.Context, t *testing.T, app *taskq.App, nodes ...string) {
	t.Helper()
	for len(command(ctx, t, app, control.Request{Method: "ping", Destination: nodes, Timeout: 500 * time.Millisecond})) < len(nodes) {
		if ctx.Err() != nil {
			t.Fatal("the workers do not answer")
		}
	}
}

// Celery's clients, its control and inspect commands, command workers of this module.
func TestCeleryControlsGoWorkers(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	began := make(chan string, 10)
	app := newAppWith(t, url, worker.Options{Hostname: "go@host", Concurrency: 1}, sleeper(began))
	runWorker(t, app)
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	ready(ctx, t, app, "go@host")
	running, err := sleeper(began).Send(ctx, app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := sleeper(began).Send(ctx, app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"client.py": client}})
	out := lines(t, python.Run(`
from client import *
import sys
running, waiting = sys.argv[1:]
c, i = app.control, app.control.inspect()
def show(value): print(json.dumps({"got": value}))
show(c.ping(timeout=1))
show(c.ping(destination=["go@host"], timeout=20))
show(c.ping(destination=["other@host"], timeout=0.3))
show(c.broadcast("ping", pattern="g*@host", matcher="glob", reply=True, limit=1, timeout=20))
show(c.broadcast("ping", pattern="^go", matcher="pcre", reply=True, limit=1, timeout=20))
show(c.revoke([waiting], reply=True, limit=1, timeout=20))
show(i.revoked())
show(list(i.clock()["go@host"]))
show(c.broadcast("no_such_command", reply=True, limit=1, timeout=20))
show(c.revoke("unknown", terminate=True, signal="SIGFOO", reply=True, limit=1, timeout=20))
show(c.terminate(running, signal="SIGTERM", reply=True, limit=1, timeout=20))
def celery(*args):
    import subprocess
    out = subprocess.run([sys.executable, "-m", "celery", "-A", "client", *args, "-d", "go@host", "-t", "20"], stdout=subprocess.PIPE, text=True)
    show([out.returncode, " ".join(out.stdout.split())])
celery("inspect", "ping")
celery("control", "revoke", "x", "y")
celery("control", "terminate", "SIGKILL", "z")
`, running.ID(), waiting.ID()))
	node := func(value string) string { return `[{"go@host":` + value + `}]` }
	wants := []string{
		node(`{"ok":"pong"}`), node(`{"ok":"pong"}`), `[]`, node(`{"ok":"pong"}`), node(`{"ok":"pong"}`),
		node(`{"ok":"tasks {'` + waiting.ID() + `'} flagged as revoked"}`), `{"go@host":["` + waiting.ID() + `"]}`, `["clock"]`,
		node(`{"error":"KeyError('no_such_command')"}`),
		node(`{"error":"task: unknown signal \"SIGFOO\": use a name such as SIGTERM, SIGKILL or SIGUSR1"}`),
		node(`{"ok":"terminate: ` + running.ID() + `"}`),
		`[0,"-\u003e go@host: OK pong 1 node online."]`,
		`[0,"-\u003e go@host: OK tasks {'x', 'y'} flagged as revoked"]`, `[0,"-\u003e go@host: OK terminate: tasks unknown"]`,
	}
	if len(out) != len(wants) {
		t.Fatalf("%d answers, want %d", len(out), len(wants))
	}
	for n, want := range wants {
		if got, err := json.Marshal(out[n]["got"]); err != nil || string(got) != want {
			t.Errorf("%d: %s, %v; want %s", n, got, err, want)
		}
	}
	for result, reason := range map[*task.Result[string]]string{running: "terminated", waiting: "revoked"} {
		_, err := result.Get(ctx)
		if remote, ok := errors.AsType[*task.RemoteError](err); !ok || !errors.Is(err, task.ErrRevoked) || remote.Message != reason {
			t.Errorf("err = %v, want ErrRevoked, %s", err, reason)
		}
	}
}

// A command of this module's, with its answers, against a worker of Python's, and both at once.
func TestGoControlsPythonWorkers(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	app := newAppWith(t, url, worker.Options{Hostname: "go@host"})
	runWorker(t, app)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"shop.py": sleepyShop}})
	w := python.Worker("shop", "-P", "prefork", "-c", "1", "-Q", "python", "-n", "py@host")
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	ready(ctx, t, app, "go@host", "py@host")
	got := command(ctx, t, app, control.Revoke([]string{"a"}, task.Revocation{Destination: []string{"go@host", "py@host"}}))
	if len(got) != 2 || !strings.Contains(got["py@host"], "flagged as revoked") || !strings.Contains(got["go@host"], "flagged as revoked") {
		t.Errorf("answers = %v", got)
	}
	nap := task.Remote[struct {
		Seconds int `task:"seconds"`
	}, int]("shop.nap", task.Queue("python"))
	r, err := nap.Send(ctx, app, struct {
		Seconds int `task:"seconds"`
	}{600})
	if err != nil {
		t.Fatal(err)
	}
	w.WaitForLog("napping")
	got = command(ctx, t, app, control.Revoke([]string{r.ID()}, task.Revocation{Terminate: true, Signal: "SIGKILL", Destination: []string{"py@host"}}))
	if !strings.Contains(got["py@host"], "terminate: "+r.ID()) {
		t.Errorf("answers = %v", got)
	}
	if _, err := r.Get(ctx); !errors.Is(err, task.ErrRevoked) {
		t.Errorf("err = %v, want ErrRevoked", err)
	}
}

// What one worker knows as revoked, the next to start knows, whichever language each is written in.
func TestWorkersOfBothLanguagesLearnFromEachOther(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	app := newAppWith(t, url, worker.Options{Hostname: "go1@host"})
	runWorker(t, app)
	ready(ctx, t, app, "go1@host")
	command(ctx, t, app, control.Revoke([]string{"from-go"}, task.Revocation{Destination: []string{"go1@host"}}))

	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"shop.py": sleepyShop}})
	w := python.Worker("shop", "-P", "solo", "-Q", "python", "-n", "py@host")
	if log := w.Log(); !strings.Contains(log, "mingle: sync with 1 nodes") || strings.Contains(log, "Traceback") {
		t.Errorf("log of the Python worker:\n%s", log)
	}
	nap := task.Remote[struct {
		Seconds int `task:"seconds"`
	}, int]("shop.nap", task.Queue("python"))
	r, err := nap.Send(ctx, app, struct {
		Seconds int `task:"seconds"`
	}{1}, task.ID("from-go"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(ctx); !errors.Is(err, task.ErrRevoked) {
		t.Errorf("go to python: err = %v, want ErrRevoked", err)
	}
	command(ctx, t, app, control.Revoke([]string{"from-python"}, task.Revocation{Destination: []string{"py@host"}}))

	began := make(chan string, 10)
	fresh := newAppWith(t, url, worker.Options{Hostname: "go2@host", Queues: []string{"fresh"}}, sleeper(began))
	runWorker(t, fresh)
	for _, id := range []string{"from-python", "from-go"} {
		r, err := sleeper(began).Send(ctx, fresh, struct{}{}, task.Queue("fresh"), task.ID(id))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Get(ctx); !errors.Is(err, task.ErrRevoked) {
			t.Errorf("%s: err = %v, want ErrRevoked", id, err)
		}
	}
	if len(began) > 0 {
		t.Error("a revoked task ran")
	}
}

// Two workers of one name, one of each language, as both have by default on one host, are not in each other's way.
func TestWorkersOfBothLanguagesMayHaveOneName(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	app := newAppWith(t, url, worker.Options{Hostname: "celery@host"})
	runWorker(t, app)
	ready(ctx, t, app, "celery@host")
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"shop.py": sleepyShop}})
	w := python.Worker("shop", "-P", "solo", "-Q", "python", "-n", "celery@host")
	client, err := app.Control(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for {
		replies, err := client.Call(ctx, control.Request{Method: "ping"})
		if err != nil {
			t.Fatal(err)
		}
		if len(replies) == 2 {
			break
		}
	}
	if log := w.Log(); strings.Contains(log, "Traceback") || strings.Contains(log, "already using") {
		t.Errorf("log of the Python worker:\n%s", log)
	}
}

// The mailbox is there again after the broker was away, and what was revoked before is not forgotten.
func TestCommandsAreHeardAgainAfterARestartOfTheBroker(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	began := make(chan string, 10)
	app := newAppWith(t, server.URL, worker.Options{Hostname: "go@host", Concurrency: 1}, sleeper(began))
	runWorker(t, app)
	ctx, cancel := context.WithTimeout(t.Context(), 4*limit)
	defer cancel()
	ready(ctx, t, app, "go@host")
	command(ctx, t, app, control.Revoke([]string{"before"}, task.Revocation{Destination: []string{"go@host"}}))
	server.Kill()
	server.Start()
	ready(ctx, t, app, "go@host")
	for _, id := range []string{"before", "after"} {
		if id == "after" {
			command(ctx, t, app, control.Revoke([]string{id}, task.Revocation{Destination: []string{"go@host"}}))
		}
		r, err := sleeper(began).Send(ctx, app, struct{}{}, task.ID(id))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Get(ctx); !errors.Is(err, task.ErrRevoked) {
			t.Errorf("%s: err = %v, want ErrRevoked", id, err)
		}
	}
}

// Where the broker's user may have no mailbox, the worker says so once and works on, until it may.
func TestAWorkerThatMayHaveNoMailboxWorks(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal("the URL of the server is none") // the error would quote the password
	}
	permit := func(pattern string) {
		server.Eval(fmt.Sprintf(`rabbit_auth_backend_internal:set_permissions(<<%q>>, <<"/">>, <<%q>>, <<".*">>, <<".*">>, <<"test">>)`,
			address.User.Username(), pattern))
	}
	permit("^celery$")
	var log record
	double := task.New("double", func(_ context.Context, n number) (int, error) { return 2 * n.N, nil })
	app := newAppOf(t, taskq.Config{
		BrokerURL: server.URL, ResultBackend: "memory://", Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Worker: worker.Options{Hostname: "go@host"},
	}, double)
	runWorker(t, app)
	ctx, cancel := context.WithTimeout(t.Context(), 4*limit)
	defer cancel()
	result, err := double.Send(ctx, app, number{21})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := result.Get(ctx); err != nil || got != 42 {
		t.Errorf("result = %d, %v", got, err)
	}
	permit(".*")
	ready(ctx, t, app, "go@host")
	if log.count("remote control is off") != 1 || log.count("permit it") != 1 {
		t.Errorf("log:\n%s", &log.text)
	}
}

// A terminated query leaves its slot a connection that works.
func TestATerminatedTaskLeavesItsSlotAConnection(t *testing.T) {
	t.Parallel()
	for _, kind := range []pool.Kind{pool.Solo, pool.Threads, pool.Goroutines} {
		for _, signal := range []string{"SIGTERM", "SIGKILL"} {
			t.Run(fmt.Sprint(kind, signal), func(t *testing.T) {
				t.Parallel()
				database := testserver.Postgres(t)
				conns := &pool.Resource[*pgx.Conn]{
					Name:      "database",
					Open:      func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, database) },
					Close:     func(ctx context.Context, c *pgx.Conn) error { return c.Close(ctx) },
					Interrupt: func(c *pgx.Conn) { _ = c.PgConn().Conn().Close() },
					Usable:    func(c *pgx.Conn) bool { return !c.IsClosed() },
				}
				began := make(chan struct{}, 1)
				query := task.New("go.query", func(ctx context.Context, sql string) (int, error) {
					var n int
					err := conns.Use(ctx, func(c *pgx.Conn) error {
						began <- struct{}{}
						return c.QueryRow(ctx, sql).Scan(&n)
					})
					return n, err
				}, task.Needs(conns))
				cfg := taskq.Config{
					BrokerURL: "sqlite:///" + filepath.Join(t.TempDir(), "q.db"), Logger: slog.New(slog.DiscardHandler),
					Worker: worker.Options{Pool: kind, Concurrency: 1, Hostname: "go@host"},
				}
				app := newAppOf(t, cfg, query)
				runWorker(t, app)
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				ready(ctx, t, app, "go@host")
				for n := range 3 {
					long, err := query.Send(ctx, app, "SELECT 1 FROM pg_sleep(600)")
					if err != nil {
						t.Fatal(err)
					}
					<-began
					if err := long.Revoke(ctx, task.Terminate(signal)); err != nil {
						t.Fatal(err)
					}
					if _, err := long.Get(ctx); !errors.Is(err, task.ErrRevoked) {
						t.Errorf("err = %v, want ErrRevoked", err)
					}
					next, err := query.Send(ctx, app, fmt.Sprintf("SELECT %d", n))
					if err != nil {
						t.Fatal(err)
					}
					<-began
					if got, err := next.Get(ctx); err != nil || got != n {
						t.Errorf("next task: %d, %v; want %d", got, err, n)
					}
				}
			})
		}
	}
}
