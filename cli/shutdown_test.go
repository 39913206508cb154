//go:build !windows

package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestTermCanMeanQuitAsWithCelery(t *testing.T) {
	t.Parallel()
	env := home(t, "REMAP_SIGTERM=SIGQUIT")
	w := startWorker(t, env)
	must(t, env, "send", "tasks.wait", "--task-id", "w")
	w.stderr.waitFor(t, "tasks.wait[w] began")
	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 1 || strings.Contains(w.stdout.String(), "Warm shutdown") {
		t.Errorf("exit status = %d, want 1 after a cold shutdown\n%s", code, w.stdout)
	}
}

func TestAWorkerWhoseBrokerDoesNotAnswerCanBeStopped(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	proxy.Stall() // it is accepted and hears nothing
	w := start(t, home(t), "worker", "-b", proxy.URL)
	for deadline := time.Now().Add(patience); proxy.Connections() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the worker does not connect")
		}
		<-time.After(5 * time.Millisecond)
	}
	w.signal(syscall.SIGTERM)
	w.stdout.waitFor(t, "Warm shutdown")
	if code := w.wait(); code != 0 {
		t.Errorf("exit status = %d, want 0\n%s", code, w.stderr)
	}
}

// Celery lost its connections here: nothing sent heartbeats while it waited for its tasks.
func TestHeartbeatsAcksAndResultsWorkDuringAWarmShutdown(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	w := startWorker(t, home(t, "TASKQ_BROKER_URL="+url+"?heartbeat=1"), "-c", "1")
	sender := start(t, home(t, "TASKQ_BROKER_URL="+url), "send", "tasks.nap", "-a", "[3.5]", "--task-id", "n", "--wait", "--timeout", "20")
	w.stderr.waitFor(t, "tasks.nap[n] began")
	must(t, home(t, "TASKQ_BROKER_URL="+url), "send", "tasks.add", "-a", "[1, 2]")
	w.signal(syscall.SIGTERM)
	if code := sender.wait(); code != 0 || strings.TrimSpace(sender.stdout.String()) != "rested" {
		t.Errorf("the sender gets %q, exit status %d: %s", sender.stdout, code, sender.stderr)
	}
	if code := w.wait(); code != 0 {
		t.Errorf("exit status = %d, want 0", code)
	}
	for _, trouble := range []string{"lost", "WARNING", "ERROR"} {
		if strings.Contains(w.stderr.String(), trouble) {
			t.Errorf("there was trouble (%s):\n%s", trouble, w.stderr)
		}
	}
	if got := must(t, home(t, "TASKQ_BROKER_URL="+url), "queues", "-o", "json"); !strings.Contains(got, `"messages": 1`) {
		t.Errorf("queues = %s, want only the task that was not started", got)
	}
}

func TestABrokerThatIsGoneOrSilentDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*testserver.Proxy){
		"gone": (*testserver.Proxy).Refuse, "silent": func(p *testserver.Proxy) { p.Stall() },
	} {
		for _, task := range []string{"tasks.wait", "tasks.stuck"} {
			t.Run(name+" "+task, func(t *testing.T) {
				t.Parallel()
				proxy := testserver.StartProxy(t, testserver.AMQPVhost(t))
				env := home(t, "TASKQ_BROKER_URL="+proxy.URL)
				w := startWorker(t, env, "--shutdown-timeout", "0.2")
				must(t, env, "send", task, "--task-id", "w")
				w.stderr.waitFor(t, task+"[w] began")
				fail(proxy)
				w.signal(syscall.SIGTERM)
				if code := w.wait(); code != 1 { // within less than patience
					t.Errorf("exit status = %d, want 1: a task was left\n%s", code, w.stderr)
				}
				if !strings.Contains(w.stderr.String(), "id=w") && !strings.Contains(w.stderr.String(), task+"[w] reject requeue") {
					t.Errorf("the log does not name the task that was left:\n%s", w.stderr)
				}
			})
		}
	}
}

func TestAnAlarmDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	env := home(t, "TASKQ_BROKER_URL="+server.URL)
	for i, want := range []string{"Warm", "Cold"} {
		path := filepath.Join(t.TempDir(), "go on")
		w := startWorker(t, env, "-c", "1")
		must(t, env, "send", "tasks.until", "-k", fmt.Sprintf(`{"path": %q}`, path), "--task-id", "u")
		w.stderr.waitFor(t, "tasks.until[u] began")
		server.Eval(`rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})`)
		if err := os.WriteFile(path, nil, 0o600); err != nil { // it ends, and its outcome cannot be published
			t.Fatal(err)
		}
		w.signal(syscall.SIGTERM)
		w.stdout.waitFor(t, "Warm shutdown")
		if want == "Cold" {
			w.signal(syscall.SIGTERM)
		}
		w.stdout.waitFor(t, want+" shutdown")
		if code := w.wait(); code != i {
			t.Errorf("exit status after a %s shutdown = %d\n%s", want, code, w.stderr)
		}
		if got := must(t, env, "queues", "-o", "json"); !strings.Contains(got, `"messages": 1`) {
			t.Errorf("queues = %s, want the task back in its queue", got)
		}
		server.Eval(`rabbit_alarm:clear_alarm({resource_limit, memory, node()})`)
		must(t, env, "purge", "--force")
	}
}
