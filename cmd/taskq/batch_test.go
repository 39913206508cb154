package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

// patience is how long a test waits for what takes a moment on an idle machine.
const patience = 60 * time.Second

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// collecting starts a worker that collects visits; it is killed when the test ends, unless it has ended before.
func (p program) collecting(kind string, more ...string) *exec.Cmd {
	p.t.Helper()
	if more == nil {
		more = []string{"--batch", "access_record=500,1s"}
	}
	cmd := p.command(append([]string{"worker", "-P", kind, "-l", "warning"}, more...)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	var once sync.Once
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, mostly
		once.Do(func() { _ = cmd.Wait() })
		if p.t.Failed() {
			p.t.Logf("worker:\n%s", &log)
		}
	})
	return cmd
}

// count asks the database from outside; -1 while the database is away.
func count(t *testing.T, database, statement string) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return -1
	}
	defer func() { _ = c.Close(ctx) }()
	if c.QueryRow(ctx, statement).Scan(&n) != nil {
		return -1
	}
	return n
}

const (
	allRows  = "SELECT count(*) FROM access_record"
	allPaths = "SELECT count(DISTINCT path) FROM access_record"
)

// sendVisits sends visits; each hundredth is one that fails, and is returned.
func sendVisits(t *testing.T, app *taskq.App, from, to int) (bad []*task.Result[any]) {
	t.Helper()
	visit := accessrecord.Remote()
	var calls []task.Signature
	for i := from; i < to; i++ {
		v := accessrecord.Sample()
		if v.Path = fmt.Sprintf("/%d/", i); i%100 == 99 {
			v.Source = strings.Repeat("x", accessrecord.MaxSource+1)
		}
		calls = append(calls, visit.S(accessrecord.Call{Data: v}))
	}
	results, err := app.SendBatch(t.Context(), calls)
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < to; i++ {
		if i%100 == 99 {
			bad = append(bad, results[i-from])
		}
	}
	return bad
}

func TestEachCollectedVisitIsARowWhateverIsKilled(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"solo", "threads", "goroutines"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			server, address := testserver.StartPostgres(t), testserver.AMQPVhost(t)
			p := newProgram(t, "TASKQ_DATABASE_URL="+server.URL, "TASKQ_BROKER_URL="+address)
			p.must("accessrecord", "migrate")
			app, err := taskq.New(taskq.Config{BrokerURL: address})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := app.Close(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
			first := p.collecting(kind)
			var bad []*task.Result[any]
			for i := range 5 {
				bad = append(bad, sendVisits(t, app, 1000*i, 1000*i+1000)...)
				switch i {
				case 0:
					eventually(t, "visits are stored", func() bool { return count(t, server.URL, allRows) > 0 })
				case 1: // with a batch under way, and another one in the making
					if err := first.Process.Kill(); err != nil {
						t.Fatal(err)
					}
					p.collecting(kind)
				case 3:
					server.Kill()
					server.Start()
				}
			}
			eventually(t, "all visits are stored", func() bool { return count(t, server.URL, allRows) >= 4950 })
			for _, r := range bad {
				if err := wait(t, r); err == nil || !strings.Contains(err.Error(), "'source' has 256 characters") {
					t.Errorf("a bad visit: %v, want its failure", err)
				}
			}
			b, err := app.Broker(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "nothing waits", func() bool {
				stats, err := b.(broker.Measurer).Measure(t.Context(), "celery")
				return err == nil && stats.Messages == 0
			})
			if rows, paths := count(t, server.URL, allRows), count(t, server.URL, allPaths); rows != 4950 || paths != 4950 {
				t.Errorf("%d rows of %d visits, want 4950 of 4950", rows, paths)
			}
		})
	}
}

func wait(t *testing.T, r *task.Result[any]) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := r.Get(ctx)
	return err
}

func TestAWarmShutdownLosesNoVisitThatIsCollected(t *testing.T) {
	t.Parallel()
	database, address := testserver.Postgres(t), testserver.AMQPVhost(t)
	p := newProgram(t, "TASKQ_DATABASE_URL="+database, "TASKQ_BROKER_URL="+address)
	p.must("accessrecord", "migrate")
	app, err := taskq.New(taskq.Config{BrokerURL: address, ResultBackend: "disabled://"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = app.Close(context.WithoutCancel(t.Context())) }()
	first := p.collecting("threads", "--batch", "access_record=500,60s")
	sendVisits(t, app, 0, 700)
	eventually(t, "one batch is stored", func() bool { return count(t, database, allRows) == 495 })
	if err := first.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("worker: %v", err)
	}
	p.collecting("threads")
	eventually(t, "the others are stored", func() bool { return count(t, database, allRows) == 693 })
}

const site = `
import datetime
from celery import Celery

app = Celery("site", backend="rpc://")

@app.task(name="access_record")
def access_record(data):
    raise NotImplementedError

if __name__ == "__main__":
    sent = []
    for i in range(300):
        data = {"path": "/%d/" % i, "address": "203.0.113.7", "atime": datetime.datetime(2021, 7, 3, 12, 34, 56, 789012)}
        sent.append(access_record.delay(data) if i % 2 else access_record.delay(data=data))
    bad = [access_record.delay({"pth": "/"}), app.send_task("access_record"), access_record.delay(data=[])]
    print({r.get(timeout=30) for r in sent[::50]}) # each costs Celery a fifth of a second
    for r in bad:
        try:
            r.get(timeout=30)
        except TypeError as exc:
            print(exc)
`

func TestVisitsFromADjangoSiteAreCollected(t *testing.T) {
	t.Parallel()
	database, address := testserver.Postgres(t), testserver.AMQPVhost(t)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: address, Modules: map[string]string{"site_tasks.py": site}})
	p := newProgram(t, "TASKQ_DATABASE_URL="+database, "TASKQ_BROKER_URL="+address)
	p.collecting("goroutines")
	got := python.Run("import runpy; runpy.run_module('site_tasks', run_name='__main__', alter_sys=True)")
	want := `{'访问记录添加成功'}
access_record() data got an unexpected field 'pth'
access_record() missing 1 required positional argument: 'data'
access_record() data must be a dict, not list
`
	if got != want {
		t.Errorf("Python prints\n%swant\n%s", got, want)
	}
	if rows, paths := count(t, database, allRows), count(t, database, allPaths); rows != 300 || paths != 300 {
		t.Errorf("%d rows of %d visits, want 300 of 300", rows, paths)
	}
}

func TestBatchesThatCannotBeAreOneSentence(t *testing.T) {
	t.Parallel()
	p := newProgram(t, "TASKQ_BROKER_URL=memory://")
	for batch, tt := range map[string]struct {
		code int
		want string
	}{
		"acces_record=500,1s":              {78, "batches of acces_record: this worker has no task of that name; those that can be collected here: access_record (flag --batch)"},
		"access_record=0":                  {64, "--batch: access_record: the size must be at least 1"},
		"access_record=many,1s":            {64, `"many" is not a whole number`},
		"access_record=5,soon":             {64, `"soon" is not a number of seconds`},
		"access_record=5,0":                {64, "the wait must be more than 0"},
		"access_record":                    {64, "wanted is TASK=SIZE,WAIT, like access_record=500,1s"},
		"access_record=5,1s,2s":            {64, `"2s": wanted is TASK=SIZE,WAIT`},
		"access_record=5,access_record=10": {64, "each batch needs a task of its own"},
	} {
		if _, stderr, code := p.run("worker", "--batch", batch); code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("--batch %s: exit status %d, want %d and %q: %s", batch, code, tt.code, tt.want, stderr)
		}
	}
}
