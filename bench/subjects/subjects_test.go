package subjects_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/bench/internal/ledger"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// tasks is how many each subject runs.
const tasks = 200

// patience bounds what a subject does: gocelery takes its time.
const patience = 2 * time.Minute

// server makes a fresh vhost or database of a test and returns its URL.
type server func(testing.TB) string

func TestEverySubjectRunsEveryTask(t *testing.T) {
	t.Parallel()
	rabbitmq, redis, postgres := testserver.AMQPVhost, testserver.Redis, testserver.Postgres
	add := order.Order{Work: order.Add, Mode: order.Each, Queues: []string{"celery"}, Names: 1, Slots: 2, Senders: 2}
	with := func(changes ...func(*order.Order)) order.Order {
		o := add
		for _, change := range changes {
			change(&o)
		}
		return o
	}
	visit := func(o *order.Order) { o.Work, o.Slots = order.Visit, 4 }
	batch := func(o *order.Order) { o.Mode = order.Pipelined }
	tuned := func(o *order.Order) { o.Pool = "tuned" }
	padded := func(o *order.Order) { o.Body = 1000 }
	kinds := func(o *order.Order) { o.Names = 3 }
	queues := func(o *order.Order) { o.Queues = []string{"first", "second"} }
	slots := func(n int) func(*order.Order) { return func(o *order.Order) { o.Slots = n } }
	pool := func(name string) func(*order.Order) { return func(o *order.Order) { o.Pool = name } }
	prefetch := func(n int) func(*order.Order) { return func(o *order.Order) { o.Prefetch = n } }

	for _, c := range []struct {
		name    string
		subject string
		broker  server
		results server // nil: off
		order   order.Order
	}{
		{"celery solo", "celery", rabbitmq, nil, with(pool("solo"), kinds, padded)},
		{"celery solo tuned and late", "celery", rabbitmq, nil, with(pool("solo tuned late confirm"), prefetch(64), queues)},
		{"celery prefork", "celery", rabbitmq, nil, with(pool("prefork"))},
		{"celery threads", "celery", rabbitmq, nil, with(pool("threads tuned"), slots(8), prefetch(512))},
		{"celery rpc", "celery", rabbitmq, rabbitmq, with(pool("solo tuned"))},
		{"celery redis", "celery", rabbitmq, redis, with(pool("prefork tuned"))},
		{"celery postgres", "celery", rabbitmq, postgres, with(pool("prefork tuned"))},
		{"celery visits", "celery", rabbitmq, nil, with(visit, pool("prefork tuned"))},
		{"celery visits, reconnecting", "celery", rabbitmq, nil, with(visit, pool("prefork reconnect"))},
		{"machinery", "machinery", rabbitmq, nil, with(kinds, padded)},
		{"machinery amqp", "machinery", rabbitmq, rabbitmq, with(prefetch(64))},
		{"machinery redis", "machinery", rabbitmq, redis, with(prefetch(64))},
		{"machinery visits", "machinery", rabbitmq, nil, with(visit, prefetch(64))},
		{"gocelery", "gocelery", rabbitmq, nil, with(slots(100), kinds, prefetch(64))},
		{"gocelery amqp", "gocelery", rabbitmq, rabbitmq, with(slots(100), padded, prefetch(64))},
		{"gocelery redis", "gocelery", redis, redis, with(slots(50))},
		{"asynq", "asynq", redis, nil, with(kinds, padded, queues, slots(10))},
		{"asynq visits", "asynq", redis, nil, with(visit, tuned)},
		{"river", "river", postgres, nil, with(padded, queues, slots(100))},
		{"river tuned, in batches", "river", postgres, nil, with(tuned, batch, slots(100))},
		{"river visits", "river", postgres, nil, with(visit, tuned, slots(32))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSubject(t, c.subject, c.order)
			s.order.Broker = c.broker(t)
			if c.results != nil {
				s.order.Results = c.results(t)
			}
			s.run(order.Send, nil)
			s.run(order.Work, s.allRan)
			s.proveAll()
		})
	}
}

func TestPgxStoresEveryVisit(t *testing.T) {
	t.Parallel()
	for name, batch := range map[string]int{"single": 0, "in batches": 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSubject(t, "pgx", order.Order{Work: order.Visit, Slots: 4, Batch: batch})
			s.run(order.Work, s.allRan)
			s.proveAll()
		})
	}
}

// subject is one program with its order and its ledger.
type subject struct {
	t       *testing.T
	command []string
	order   order.Order
	ledger  *ledger.Ledger
}

func newSubject(t *testing.T, name string, o order.Order) *subject {
	t.Helper()
	s := &subject{t: t, command: command(t, name), order: o}
	s.order.Tasks, s.order.Ledger = tasks, filepath.Join(t.TempDir(), "ledger")
	var err error
	if s.ledger, err = ledger.Create(s.order.Ledger, tasks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.ledger.Close() }) // it is read only while the test runs
	if o.Work == order.Visit {
		s.order.Database = testserver.Postgres(t)
		recorder, err := accessrecord.New(accessrecord.Config{Database: s.order.Database})
		if err != nil {
			t.Fatal(err)
		}
		if err := recorder.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// command builds a subject. The Python that the environment names runs the one of Celery.
func command(t *testing.T, name string) []string {
	t.Helper()
	if name == "celery" {
		python, err := instance.FindPython(t.Context(), cmp.Or(os.Getenv("BENCH_PYTHON"), os.Getenv(testserver.PythonVariable)))
		testserver.Started(t, "Celery", err)
		return []string{python, "celery/app.py"}
	}
	program := filepath.Join(t.TempDir(), name)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return []string{program}
}

// run runs the program in a role. A sender, which ends by itself, has no enough; a worker is ended when it has done enough.
func (s *subject) run(role string, enough func() bool) {
	s.t.Helper()
	o := s.order
	o.Role = role
	text, err := json.Marshal(o)
	if err != nil {
		s.t.Fatal(err)
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(s.t.Context(), s.command[0], append(s.command[1:], string(text))...) //nolint:gosec // our own programs
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	hung := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // the test fails because it was killed
	defer hung.Stop()
	lines := bufio.NewScanner(stdout)
	said := next(lines)
	if said == order.Ready && enough != nil {
		s.wait(enough)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.t.Error(err)
		}
	}
	last := next(lines)
	more := next(lines)
	err = cmd.Wait()
	var account order.Account
	if said != order.Ready || json.Unmarshal([]byte(last), &account) != nil || more != "" || err != nil {
		s.t.Fatalf("%s: said %q, %q and %q, and ended with %v\n%s", role, said, last, more, err, &stderr)
	}
	if role == order.Send && account.Seconds <= 0 {
		s.t.Errorf("the sender took %g seconds", account.Seconds)
	}
}

func next(lines *bufio.Scanner) string {
	if !lines.Scan() {
		return ""
	}
	return lines.Text()
}

func (s *subject) wait(enough func() bool) {
	s.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(patience / 2); !enough(); {
		select {
		case <-ticker.C:
		case <-deadline:
			s.t.Errorf("after %s the ledger says %+v", patience/2, s.ledger.Sum())
			return
		}
	}
}

func (s *subject) allRan() bool { return s.ledger.Sum().Done == tasks }

// proveAll demands that each task ran once and, where there are visits, that each has its row.
func (s *subject) proveAll() {
	s.t.Helper()
	if sum := s.ledger.Sum(); sum.Done != tasks || sum.Twice != 0 {
		s.t.Errorf("%d tasks ran, %d of them twice, want %d and 0", sum.Done, sum.Twice, tasks)
	}
	if sent := len(s.ledger.Waits()); s.order.Broker != "" && sent != tasks {
		s.t.Errorf("%d tasks were noted as sent, want %d", sent, tasks)
	}
	if s.order.Work != order.Visit {
		return
	}
	conn, err := pgx.Connect(s.t.Context(), s.order.Database)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(s.t.Context()) }()
	var rows, paths int
	err = conn.QueryRow(s.t.Context(), "SELECT count(*), count(DISTINCT path) FROM access_record").Scan(&rows, &paths)
	if err != nil || rows != tasks || paths != tasks {
		s.t.Errorf("%d rows with %d paths (%v), want %d", rows, paths, err, tasks)
	}
}
