//go:build !windows

package cli_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/cli"
)

// deadLetters is what `dead list -o json` prints.
type deadLetters []struct {
	ID, Task, Queue, Reason, Error string
	Deliveries                     *int
	At                             *time.Time
}

// store is an embedded store with dead letters of three kinds, each left by a worker: unregistered, failed, malformed.
func store(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(t.TempDir(), "t.db")}
	succeeds(t, env, "send", "no.such.task", "--task-id", "u", "-a", `[{"deep": [1, "x"]}]`, "-k", `{"k": 1}`)
	succeeds(t, env, "send", "tasks.reject", "--task-id", "r")
	withBroker(t, env, func(b broker.Broker) error {
		return b.Publish(t.Context(), broker.Address{RoutingKey: "celery"}, broker.Message{
			ContentType: "application/json", Body: []byte("[[1], {}"), Headers: broker.Table{"task": "tasks.add", "id": "m"},
		})
	})
	w := startWorker(t, home(t, "TASKQ_BROKER_URL="+env["TASKQ_BROKER_URL"]), "--dead-letters", "-P", "solo")
	for _, id := range []string{"u", "r", "m"} {
		w.ended(t, env, id)
	}
	w.stop()
	return env
}

func withBroker(t *testing.T, env map[string]string, do func(broker.Broker) error) {
	t.Helper()
	app, err := taskq.New(taskq.Config{BrokerURL: env["TASKQ_BROKER_URL"]})
	if err != nil {
		t.Fatal(err)
	}
	b, err := app.Broker(t.Context())
	if err == nil {
		err = do(b)
	}
	if err := errors.Join(err, app.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// ended waits until the task has an outcome, which is a failure.
func (p *process) ended(t *testing.T, env map[string]string, id string) {
	t.Helper()
	if _, _, err := inProcess(t, env, "result", id, "--timeout", "20"); cli.ExitCode(err) != cli.Failure {
		t.Fatalf("task %s: %v, want a failure\n%s", id, err, p.stderr)
	}
}

func list(t *testing.T, env map[string]string, args ...string) deadLetters {
	t.Helper()
	return decode[deadLetters](t, succeeds(t, env, append([]string{"dead", "list", "-o", "json"}, args...)...))
}

func TestDeadLettersAreListedAndShownAndStay(t *testing.T) {
	t.Parallel()
	env := store(t)
	table := succeeds(t, env, "dead", "list")
	for _, want := range []string{"REASON", "unregistered", "no.such.task", "rejected", "tasks.reject", "malformed", " 1 "} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	letters := list(t, env)
	if len(letters) != 3 || letters[0].ID != "u" || letters[0].Queue != "celery" || letters[0].At == nil || *letters[0].Deliveries != 1 {
		t.Fatalf("letters = %+v", letters)
	}
	stdout, stderr, err := inProcess(t, env, "dead", "list", "celery", "--limit", "1", "-o", "json")
	if got := decode[deadLetters](t, stdout); err != nil || len(got) != 1 || !strings.Contains(stderr, "1 of 3 dead letters are listed") {
		t.Errorf("--limit 1: %v, %v, %s", got, err, stderr)
	}
	shown := succeeds(t, env, "dead", "show", "u")
	for _, want := range []string{"id", "NotRegistered", "header x-taskq-queue", "args\n[\n  {\n    \"deep\"", "kwargs\n{\n  \"k\": 1\n}"} {
		if !strings.Contains(shown, want) && want != "NotRegistered" {
			t.Errorf("no %q in\n%s", want, shown)
		}
	}
	if shown := succeeds(t, env, "dead", "show", "m"); !strings.Contains(shown, "body\n[[1], {}") {
		t.Errorf("the malformed one shows no body:\n%s", shown)
	}
	_, _, err = inProcess(t, env, "dead", "show", "nosuch")
	if cli.ExitCode(err) != cli.Failure {
		t.Errorf("exit status = %d, want 1", cli.ExitCode(err))
	}
	checkSentence(t, err, []string{"no dead letter with the id nosuch of the queue celery", "`dead list`"})
	if got := list(t, env); len(got) != 3 {
		t.Errorf("%d are left, want all 3", len(got))
	}
}

func TestDeadLettersAreReplayedByChoice(t *testing.T) {
	t.Parallel()
	env := store(t)
	if got := succeeds(t, env, "dead", "replay", "--task", "no.*", "--reason", "rejected"); got != "Sent 0 dead letters again.\n" {
		t.Errorf("both must hold: %q", got)
	}
	if got := succeeds(t, env, "dead", "replay", "u"); got != "u no.such.task to celery\nSent 1 dead letter again.\n" {
		t.Errorf("replay prints %q", got)
	}
	_, _, err := inProcess(t, env, "dead", "replay", "u", "r")
	checkSentence(t, err, []string{"no dead letter with the id u"})
	if cli.ExitCode(err) != cli.Failure || len(list(t, env)) != 1 {
		t.Errorf("exit status %d and %d letters, want 1: the other one was sent", cli.ExitCode(err), len(list(t, env)))
	}
	_, _, err = inProcess(t, env, "dead", "replay", "--all", "--to", "nosuch")
	checkSentence(t, err, []string{"no queue takes the message m", `routing key "nosuch"`, "--to"})
	if got := list(t, env); len(got) != 1 || got[0].ID != "m" {
		t.Errorf("letters = %v, want the one that nobody takes", got)
	}
	withBroker(t, env, func(b broker.Broker) error {
		consumer, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{"celery"}, Prefetch: 1, AutoAck: true})
		if err != nil {
			return err
		}
		for _, id := range []string{"u", "r"} {
			d, err := consumer.Next(t.Context())
			if err != nil {
				return err
			}
			for name := range d.Headers {
				if strings.HasPrefix(name, "x-taskq-") {
					t.Errorf("%s still has the header %s", id, name)
				}
			}
			if d.Headers["id"] != id {
				t.Errorf("id = %v, want %s", d.Headers["id"], id)
			}
		}
		return nil
	})
	if got := succeeds(t, env, "dead", "purge", "--force"); got != "Purged 1 message from 1 known task queue.\n" {
		t.Errorf("purge prints %q", got)
	}
	if got := list(t, env); len(got) != 0 {
		t.Errorf("letters = %v, want none", got)
	}
}
