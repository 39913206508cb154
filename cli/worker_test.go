//go:build !windows

package cli_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWorkerAndSenderMeetOnTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	env := home(t)
	w := startWorker(t, env, "-P", "solo")
	w.stderr.waitFor(t, "no broker is configured")

	if got := must(t, env, "send", "tasks.add", "--args", "[2, 3]", "--wait", "--timeout", "20"); got != "5" {
		t.Errorf("2 + 3 = %q, want 5", got)
	}
	if got := must(t, env, "call", "tasks.echo", "-k", `{"text": "访问"}`, "--wait", "--timeout", "20"); got != "访问" {
		t.Errorf("echo = %q, want the text without quotes", got)
	}
	id := must(t, env, "send", "tasks.add", "-a", "[1]", "-k", `{"y": 2}`)
	if !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(id) {
		t.Errorf("send prints %q, want the id alone", id)
	}
	if got := must(t, env, "result", id, "--timeout", "20"); got != "3" {
		t.Errorf("result = %q, want 3", got)
	}
	w.stderr.waitFor(t, "Task tasks.add["+id+"] succeeded in ")

	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 0 {
		t.Errorf("exit status after SIGTERM = %d, want 0\n%s", code, w.stderr)
	}
	if !strings.Contains(w.stdout.String(), "worker: Warm shutdown (MainProcess)") {
		t.Errorf("stdout = %q, want Celery's words", w.stdout)
	}
}

func TestTaskLinesOfARealWorkerReadAsInCelery(t *testing.T) {
	t.Parallel()
	env := home(t)
	w := startWorker(t, env, "-c", "2")
	for _, name := range []string{"tasks.add", "tasks.boom", "tasks.flaky"} {
		id := must(t, env, "send", name, "--task-id", "id-"+name, "-k", map[string]string{"tasks.add": `{"x": 1, "y": 2}`}[name])
		if id != "id-"+name {
			t.Errorf("id = %q, want the one that --task-id gives", id)
		}
	}
	must(t, env, "result", "id-tasks.flaky", "--timeout", "20")
	w.stderr.waitFor(t, "Task tasks.flaky[id-tasks.flaky] succeeded in ")
	w.stderr.waitFor(t, "Task tasks.add[id-tasks.add] succeeded in ")
	w.stderr.waitFor(t, "Task tasks.boom[id-tasks.boom] raised ")
	prefix := `(?m)^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: `
	for _, want := range []string{
		prefix + `INFO/[\w-]+\] Task tasks\.add\[id-tasks\.add\] received$`,
		prefix + `INFO/[\w-]+\] Task tasks\.add\[id-tasks\.add\] succeeded in [0-9.]+s: 3$`,
		prefix + `ERROR/[\w-]+\] Task tasks\.boom\[id-tasks\.boom\] raised unexpected: KeyError\('x'\)$\nTraceback `,
		prefix + `INFO/[\w-]+\] Task tasks\.flaky\[id-tasks\.flaky\] retry: Retry in 0\.1s: .*nope`,
		prefix + `INFO/[\w-]+\] Task tasks\.flaky\[id-tasks\.flaky\] succeeded in [0-9.]+s: 'at last'$`,
	} {
		if !regexp.MustCompile(want).MatchString(w.stderr.String()) {
			t.Errorf("no line matches %s in\n%s", want, w.stderr)
		}
	}
}

func TestBannerIsCelerysAndQuietLeavesItOut(t *testing.T) {
	t.Parallel()
	w := startWorker(t, home(t), "-P", "threads", "-c", "3", "-n", "w1@box", "-Q", "celery,mail", "-A", "proj", "--without-gossip", "-O", "fair")
	for _, want := range []string{
		"-------------- w1@box ", ".> app:         myapp", ".> transport:   sqlite:///", "/taskq/taskq.db\n", ".> results:     sqlite:///", ".> concurrency: 3 (threads)",
		".> task events: OFF", "[queues]", ".> celery           exchange=celery(direct) key=celery", ".> mail             exchange=mail(direct) key=mail",
		"[tasks]\n  . tasks.add\n  . tasks.boom\n",
	} {
		if !strings.Contains(w.stdout.String(), want) {
			t.Errorf("banner has no %q:\n%s", want, w.stdout)
		}
	}
	if strings.Contains(w.stdout.String(), "python.add") {
		t.Errorf("the banner lists a task that runs elsewhere:\n%s", w.stdout)
	}
	for _, flag := range []string{"--app", "--without-gossip", "--optimization"} {
		if !strings.Contains(w.stderr.String(), "flag was ignored flag="+flag+" ") {
			t.Errorf("no notice that %s was ignored:\n%s", flag, w.stderr)
		}
	}
	if quiet := startWorker(t, home(t), "-q"); quiet.stdout.String() != "" {
		t.Errorf("-q: stdout = %q, want nothing", quiet.stdout)
	}
}

func TestLogsCanBeJSON(t *testing.T) {
	t.Parallel()
	env := home(t)
	w := startWorker(t, env, "--log-format", "json")
	must(t, env, "send", "tasks.add", "-a", "[1, 2]", "--wait", "--timeout", "20", "--task-id", "x")
	w.stderr.waitFor(t, `"task succeeded"`)
	w.signal(syscall.SIGTERM)
	w.wait()
	messages := map[string]map[string]any{}
	for line := range strings.Lines(w.stderr.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%q is not JSON: %v", line, err)
		}
		messages[record["msg"].(string)] = record
	}
	got := messages["task succeeded"]
	if runtime, ok := got["runtime"].(float64); !ok || runtime < 0 || got["task"] != "tasks.add" || got["id"] != "x" || got["level"] != "INFO" {
		t.Errorf("record = %v, want task, id and runtime", got)
	}
}

func TestWarmShutdownLetsTasksEndAndColdOneDoesNot(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string][]syscall.Signal{
		"second interrupt": {syscall.SIGINT, syscall.SIGINT}, "second term": {syscall.SIGTERM, syscall.SIGTERM}, "quit": {syscall.SIGQUIT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := home(t)
			w := startWorker(t, env)
			must(t, env, "send", "tasks.wait", "--task-id", "w")
			w.stderr.waitFor(t, "tasks.wait[w] began")
			if len(signals) == 2 {
				w.signal(signals[0])
				w.stdout.waitFor(t, "Warm shutdown")
				if signals[0] == syscall.SIGINT && !strings.Contains(w.stdout.String(), "Hitting Ctrl+C again will initiate cold shutdown") {
					t.Errorf("stdout = %q, want the hint", w.stdout)
				}
			}
			w.signal(signals[len(signals)-1])
			w.stdout.waitFor(t, "worker: Cold shutdown (MainProcess)")
			if code := w.wait(); code != 1 {
				t.Errorf("exit status = %d, want 1\n%s", code, w.stderr)
			}
			if got := must(t, env, "queues", "-o", "json"); !strings.Contains(got, `"messages": 1`) {
				t.Errorf("queues = %s, want the task back in its queue", got)
			}
		})
	}
}

func TestGraceOfAWarmShutdownIsBounded(t *testing.T) {
	t.Parallel()
	env := home(t)
	w := startWorker(t, env, "--shutdown-timeout", "0.2")
	must(t, env, "send", "tasks.wait", "--task-id", "w")
	w.stderr.waitFor(t, "tasks.wait[w] began")
	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 1 {
		t.Errorf("exit status = %d, want 1: a task was left\n%s", code, w.stderr)
	}
}

func TestWorkerWaitsForItsBrokerAndCanBeStoppedMeanwhile(t *testing.T) {
	t.Parallel()
	w := start(t, home(t), "worker", "-b", "amqp://u:hush@127.0.0.1:1//")
	w.stderr.waitFor(t, "127.0.0.1:1")
	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 0 {
		t.Errorf("exit status = %d, want 0\n%s", code, w.stderr)
	}
	if all := w.stdout.String() + w.stderr.String(); strings.Contains(all, "hush") {
		t.Errorf("the password is shown:\n%s", all)
	}
}

func TestUSR1WritesStateAndGoroutines(t *testing.T) {
	t.Parallel()
	w := startWorker(t, home(t), "-c", "3")
	w.signal(syscall.SIGUSR1)
	w.stderr.waitFor(t, `worker state: {`)
	w.stderr.waitFor(t, "goroutine 1 [")
	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 0 {
		t.Errorf("exit status = %d, want 0", code)
	}
}

func TestPurgeOnStartEmptiesTheQueue(t *testing.T) {
	t.Parallel()
	env := home(t)
	must(t, env, "send", "tasks.boom")
	must(t, env, "send", "tasks.boom")
	w := startWorker(t, env, "--purge")
	w.stdout.waitFor(t, "purge: Erased 2 messages from the queue.")
	if got := must(t, env, "queues"); !regexp.MustCompile(`(?m)^celery +0 +`).MatchString(got) {
		t.Errorf("queues = %q, want none to wait", got)
	}
}

func TestSettingsOfTheEnvironmentReachTheWorker(t *testing.T) {
	t.Parallel()
	w := startWorker(t, home(t, "CELERY_WORKER_CONCURRENCY=7", "TASKQ_WORKER_POOL=gevent", "TASKQ_WORKER_QUEUES=a,b"))
	for _, want := range []string{".> concurrency: 7 (goroutines)", ".> a  ", ".> b  "} {
		if !strings.Contains(w.stdout.String(), want) {
			t.Errorf("banner has no %q:\n%s", want, w.stdout)
		}
	}
	if !strings.Contains(w.stderr.String(), "gevent") {
		t.Errorf("no notice about gevent:\n%s", w.stderr)
	}
}

func TestInterruptEndsAWaitingSender(t *testing.T) {
	t.Parallel()
	p := start(t, home(t), "send", "tasks.wait", "--wait")
	p.stderr.waitFor(t, "task sent")
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 130 {
		t.Errorf("exit status = %d, want 130", code)
	}
}

func TestWaitingEndsWithItsTimeout(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	_, stderr, code := run(t, home(t), "send", "tasks.wait", "--wait", "--timeout", "0.3")
	if code != 124 || !strings.Contains(stderr, "has not ended within 300ms") {
		t.Errorf("exit status = %d, want 124: %s", code, stderr)
	}
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("took %s, want at least the timeout", took)
	}
}

func TestThirdSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	env := home(t)
	w := startWorker(t, env)
	must(t, env, "send", "tasks.stuck", "--task-id", "s")
	w.stderr.waitFor(t, "tasks.stuck[s] began")
	w.signal(syscall.SIGTERM)
	w.stdout.waitFor(t, "Warm shutdown")
	w.signal(syscall.SIGTERM)
	w.stdout.waitFor(t, "Cold shutdown")
	begun := time.Now()
	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 1 {
		t.Errorf("exit status = %d, want 1", code)
	}
	if took := time.Since(begun); took > 4*time.Second { // less than the grace of a cold shutdown
		t.Errorf("the third signal took %s", took)
	}
}

func TestCelerysOtherNamesForFlags(t *testing.T) {
	t.Parallel()
	w := startWorker(t, home(t), "--events", "--discard", "--without-mingle", "--without-heartbeat")
	w.stdout.waitFor(t, "purge: Erased 0 messages from the queue.")
	if !strings.Contains(w.stderr.String(), "flag=--task-events") {
		t.Errorf("no notice about --events:\n%s", w.stderr)
	}
}
