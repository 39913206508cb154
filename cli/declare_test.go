//go:build !windows

package cli_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// withPriorities is an application whose queue has an argument that a worker here does not ask for.
const withPriorities = `
import sys
from celery import Celery
from kombu import Exchange, Queue

app = Celery("prio", backend="rpc://")
app.conf.task_queues = [Queue("prio", Exchange("prio"), routing_key="prio", queue_arguments={"x-max-priority": 10})]

def send(*args):
    return app.send_task("tasks.add", args, queue="prio", priority=5)
`

func wantAll(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("no %q in:\n%s", word, text)
		}
	}
}

func TestQueueThatCeleryGavePrioritiesIsExplainedAndUsedPassively(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	env := home(t, "TASKQ_BROKER_URL="+url)
	python := testserver.NewPython(t, testserver.PythonConfig{Broker: url, Modules: map[string]string{"prio.py": withPriorities}})
	python.Run("from prio import *\nsend(1, 2)")

	_, stderr, code := run(t, env, "worker", "-Q", "prio")
	if code != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", code, cli.Misconfigured)
	}
	vhost := strings.TrimPrefix(parse(t, url).Path, "/")
	wantAll(t, stderr, `myapp: queue "prio" in vhost "`+vhost+`" exists with x-max-priority 10, asked for was no x-max-priority`,
		"(the default, as Celery declares its queues); 1 message waits in it\n", "--declare=passive",
		"drain it first", "rabbitmqctl delete_queue --vhost "+vhost+" --if-empty prio\n", "use another queue: -Q")
	if strings.Contains(stderr, "ask for the same") {
		t.Errorf("a way out that there is not:\n%s", stderr)
	}

	w := startWorker(t, env, "-Q", "prio", "--declare=passive")
	w.stderr.waitFor(t, "succeeded in ")
	if got := python.Run("from prio import *\nprint(send(2, 3).get(timeout=30))"); strings.TrimSpace(got) != "5" {
		t.Errorf("2 + 3 = %q, want 5", got)
	}
	if got := must(t, env, "send", "tasks.add", "-a", "[3, 4]", "--queue", "prio", "--declare", "passive", "--wait", "--timeout", "20"); got != "7" {
		t.Errorf("3 + 4 = %q, want 7", got)
	}
	w.signal(syscall.SIGTERM)
	if code := w.wait(); code != 0 {
		t.Errorf("exit status = %d, want 0\n%s", code, w.stderr)
	}
}

func TestQueueOfAnotherTypeIsExplained(t *testing.T) {
	t.Parallel()
	env := home(t, "TASKQ_BROKER_URL="+testserver.AMQPVhost(t))
	must(t, env, "send", "tasks.add", "--queue-type", "quorum")
	_, stderr, code := run(t, env, "worker")
	if code != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", code, cli.Misconfigured)
	}
	wantAll(t, stderr, "exists with x-queue-type quorum, asked for was no x-queue-type (classic) (the default, as Celery declares its queues)",
		"ask for the same: --queue-type=quorum")
	w := startWorker(t, env, "--queue-type", "quorum")
	w.stderr.waitFor(t, "Task tasks.add[")

	must(t, env, "send", "tasks.add", "--queue", "plain")
	_, stderr, _ = run(t, append(env, "TASKQ_QUEUE_TYPE=quorum"), "worker", "-Q", "plain")
	wantAll(t, stderr, "exists with no x-queue-type (classic), asked for was x-queue-type quorum (queue_type, from environment TASKQ_QUEUE_TYPE)",
		"ask for the same: leave queue_type out")
}

func TestExchangeOfAnotherKindIsExplainedAndNotNeededPassively(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	env := home(t, "TASKQ_BROKER_URL="+url)
	testserver.NewPython(t, testserver.PythonConfig{Broker: url}).Run(`
import os
from kombu import Connection, Exchange, Queue
with Connection(os.environ["CELERY_BROKER_URL"]) as connection:
    Queue("celery", Exchange("celery", type="topic"), routing_key="celery.#", channel=connection.channel()).declare()
`)
	_, stderr, code := run(t, env, "worker")
	if code != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", code, cli.Misconfigured)
	}
	wantAll(t, stderr, `exchange "celery" in vhost "`, "exists with type topic, asked for was type direct", "rabbitmqadmin --vhost=")
	w := startWorker(t, env, "--declare", "passive")
	if got := must(t, env, "send", "tasks.add", "-a", "[2, 3]", "--declare", "never", "--wait", "--timeout", "20"); got != "5" {
		t.Errorf("2 + 3 = %q, want 5", got)
	}
	w.signal(syscall.SIGTERM)
	w.wait()
}

func TestClashOnTheEmbeddedStoreIsExplained(t *testing.T) {
	t.Parallel()
	env := home(t)
	must(t, env, "send", "tasks.echo", "-a", `["a"]`, "--queue-type", "quorum")
	must(t, env, "send", "tasks.echo", "-a", `["b"]`)
	_, stderr, code := run(t, env, "worker")
	if code != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", code, cli.Misconfigured)
	}
	wantAll(t, stderr, `queue "celery" in vhost "/" exists with x-queue-type quorum`, "2 messages wait in it", "--declare=passive")
	if strings.Contains(stderr, "rabbitmq") {
		t.Errorf("RabbitMQ's commands do not help here:\n%s", stderr)
	}
	w := startWorker(t, env, "--declare", "passive")
	w.stderr.waitFor(t, "succeeded in ")
}

func TestMissingQueueIsNotCreatedUnlessDeclaringIsAuto(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"rabbitmq": home(t, "TASKQ_BROKER_URL="+testserver.AMQPVhost(t)), "embedded store": home(t),
	} {
		for _, mode := range []string{"passive", "never"} {
			for _, command := range []string{"worker -Q nobody", "send tasks.add --queue nobody", "send tasks.add --queue nobody --countdown 9"} {
				t.Run(name+" "+mode+" "+command, func(t *testing.T) {
					t.Parallel()
					_, stderr, code := run(t, append(env, "TASKQ_DECLARE="+mode), strings.Fields(command)...)
					if code != cli.Misconfigured {
						t.Errorf("exit status = %d, want %d", code, cli.Misconfigured)
					}
					wantAll(t, stderr, "nobody", "--declare=auto (declare is "+mode+", from environment TASKQ_DECLARE)")
					if got := must(t, env, "queues", "nobody"); !strings.Contains(got, "does not exist yet") {
						t.Errorf("the queue was created: %s", got)
					}
				})
			}
		}
	}
}

func TestDelayQueuesAreNotDeclaredUnlessDeclaringIsAuto(t *testing.T) {
	t.Parallel()
	env := home(t, "TASKQ_BROKER_URL="+testserver.AMQPVhost(t))
	must(t, env, "send", "tasks.add", "-a", "[1, 2]")
	late := []string{"send", "tasks.echo", "-a", `["late"]`, "--countdown", "0.3", "--task-id", "late"}
	_, stderr, code := run(t, env, append(late, "--declare", "passive")...)
	if code != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", code, cli.Misconfigured)
	}
	wantAll(t, stderr, `the delay queue "taskq.delay.queue.300" is missing`, "x-message-ttl=300,", "(declare is passive, from flag --declare)")
	if got := must(t, env, "queues", "taskq.delay.queue.300"); !strings.Contains(got, "does not exist yet") {
		t.Errorf("the delay queue was created: %s", got)
	}

	// A worker keeps what it cannot park, and goes on once somebody has made the delay queue.
	must(t, env, "send", "tasks.flaky", "--task-id", "f")
	w := startWorker(t, env, "--declare", "passive")
	w.stderr.waitFor(t, "taskq.delay.queue.100")
	must(t, env, "send", "tasks.echo", "-a", `["x"]`, "--countdown", "0.1")
	w.stderr.waitFor(t, "Task tasks.flaky[f] succeeded in ")
	must(t, env, append(late, "--declare", "auto")...)
	must(t, env, append(late, "--declare", "never")...)
	w.stderr.waitFor(t, "Task tasks.echo[late] succeeded in ")
}

func TestAConfiguredQueueThatClashesIsNamedWithItsTable(t *testing.T) {
	t.Parallel()
	env := home(t, "TASKQ_BROKER_URL="+testserver.AMQPVhost(t))
	must(t, env, "send", "tasks.add", "--queue", "prio")
	_, stderr, code := run(t, append(env, `TASKQ_QUEUES={"prio": {"max_priority": 10}}`), "worker")
	if code != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", code, cli.Misconfigured)
	}
	wantAll(t, stderr, `queue "prio"`, "asked for was x-max-priority 10 (queues.prio, from environment TASKQ_QUEUES)", "ask for the same: change queues.prio")
	_, stderr, _ = run(t, append(env, "TASKQ_QUEUE_MAX_PRIORITY=5"), "worker", "-Q", "prio")
	wantAll(t, stderr, "asked for was x-max-priority 5 (queue_max_priority, from environment TASKQ_QUEUE_MAX_PRIORITY)")
	_, stderr, _ = run(t, append(env, `TASKQ_QUEUES={"other": {"exchange": "prio", "exchange_type": "topic"}}`), "queues", "declare")
	wantAll(t, stderr, `exchange "prio"`, "(queues.other, from environment TASKQ_QUEUES)")
}
