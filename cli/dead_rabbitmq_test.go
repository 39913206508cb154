//go:build !windows

package cli_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestDeadLettersOfRabbitMQsOwnMakingAreReadAndReplayed(t *testing.T) {
	t.Parallel()
	env := map[string]string{"TASKQ_BROKER_URL": testserver.AMQPVhost(t)}
	withBroker(t, env, func(b broker.Broker) error {
		ctx := t.Context()
		err := b.Declare(ctx, broker.TaskQueue(broker.Queue{Name: "mail", Arguments: broker.Table{
			broker.ArgDeadLetterExchange: "", broker.ArgDeadLetterRoutingKey: "mail.dead",
		}}))
		err = errors.Join(err, b.Declare(ctx, broker.Topology{Queues: []broker.Queue{{Name: "mail.dead"}}}))
		err = errors.Join(err, b.Publish(ctx, broker.Address{Exchange: "mail", RoutingKey: "mail"}, broker.Message{
			ContentType: "application/json", Body: []byte(`[[1], {}, {}]`), Headers: broker.Table{"id": "d", "task": "tasks.mail"},
		}))
		if err != nil {
			return err
		}
		consumer, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{"mail"}, Prefetch: 1})
		if err != nil {
			return err
		}
		defer func() { _ = consumer.Close(context.WithoutCancel(ctx)) }()
		d, err := consumer.Next(ctx)
		if err != nil {
			return err
		}
		return d.Settle(ctx, broker.Reject)
	})
	var letters deadLetters
	eventually(t, "the broker moves it", func() bool { letters = list(t, env, "mail"); return len(letters) == 1 })
	if l := letters[0]; l.ID != "d" || l.Reason != "rejected" || l.Queue != "mail" || l.Deliveries != nil || l.At == nil {
		t.Errorf("letter = %+v", l)
	}
	if got := succeeds(t, env, "dead", "show", "d", "-Q", "mail"); !strings.Contains(got, `exchange "mail", routing key "mail"`) || !strings.Contains(got, "x-death") {
		t.Errorf("show prints\n%s", got)
	}
	succeeds(t, env, "dead", "replay", "d", "-Q", "mail")
	if got := succeeds(t, env, "queues", "mail", "mail.dead", "-o", "json"); strings.Count(got, `"messages": 1`) != 1 || len(list(t, env, "mail")) != 0 {
		t.Errorf("queues = %s, want it back in mail", got)
	}
	_, _, err := inProcess(t, env, "dead", "list", "nosuch")
	checkSentence(t, err, []string{"no queue nosuch.dead", "--dead-letters"})
	if cli.ExitCode(err) != cli.Failure {
		t.Errorf("exit status = %d, want 1", cli.ExitCode(err))
	}
}

func TestADeadLetterWhoseHeadersNoLongerFitIsKept(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"TASKQ_BROKER_URL": testserver.AMQPVhost(t), "TASKQ_QUEUE_TYPE": kind}
			w := startWorker(t, asEnviron(t, env), "--dead-letters")
			withBroker(t, env, func(b broker.Broker) error {
				msg := broker.Message{ContentType: "application/json", Body: []byte("[[], {}, {}]"), Headers: broker.Table{"id": "big", "task": "no.such.task"}}
				for size := 131000; ; size -= 10 { // as large as the broker takes
					msg.Headers["blob"] = strings.Repeat("x", size)
					if err := b.Publish(t.Context(), broker.Address{RoutingKey: "celery"}, msg); !errors.Is(err, broker.ErrInvalid) {
						return err
					}
				}
			})
			w.stderr.waitFor(t, "kept without its headers")
			var letters deadLetters
			eventually(t, "it is there", func() bool { letters = list(t, env); return len(letters) == 1 })
			if l := letters[0]; l.ID != "big" || l.Task != "no.such.task" || l.Reason != "unregistered" {
				t.Errorf("letter = %+v", l)
			}
			w.stop()
		})
	}
}
