package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
)

// bad is a message that no worker can make a task of.
type bad struct {
	what   string
	change func(*broker.Message)
}

// badMessages are ways to spoil a message that is otherwise well.
func badMessages() []bad {
	body := func(text string) func(*broker.Message) {
		return func(m *broker.Message) { m.Body = []byte(text) }
	}
	return []bad{
		{"no JSON", body("}{")},
		{"no body", body("")},
		{"cut off", body(`[[10], {}, {"callb`)},
		{"another shape", body(`{"args": 10}`)},
		{"too deep", body(strings.Repeat("[", 20_000))},
		{"invalid UTF-8 as a key", body("[[10], {\"\xff\xfe\": 1}, {}")},
		{"pickle", func(m *broker.Message) {
			m.ContentType, m.ContentEncoding, m.Body = "application/x-python-serialize", "binary", []byte("\x80\x04K\x01.")
		}},
		{"an unknown type", func(m *broker.Message) { m.ContentType = "application/x-nothing" }},
		{"compressed, it says", func(m *broker.Message) { m.Headers["compression"] = "application/x-gzip" }},
		{"an unknown task", func(m *broker.Message) { m.Headers["task"] = "chaos.nobody" }},
	}
}

// message is a well formed message of a task that only takes time.
func message(id string) broker.Message {
	return broker.Message{
		ContentType: "application/json", ContentEncoding: "utf-8", CorrelationID: id, Body: []byte(`[[1], {}, {}]`),
		Headers: broker.Table{"lang": "py", "task": taskWork, "id": id, "root_id": id, "argsrepr": "[1]", "kwargsrepr": "{}"},
	}
}

// connect opens an application of the harness's own, straight to the broker.
func (s *Scene) connect(ctx context.Context) (*taskq.App, broker.Broker, error) {
	app, err := taskq.New(taskq.Config{BrokerURL: s.node().URL(), ResultBackend: "disabled://", Logger: s.log})
	if err != nil {
		return nil, nil, err
	}
	b, err := app.Broker(ctx)
	if err != nil {
		return nil, nil, err
	}
	return app, b, nil
}

// keepDead gives the queue dead letters, in the operator's way: by a policy.
func keepDead(ctx context.Context, s *Scene) error {
	app, b, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = app.Close(ctx) }()
	if err := b.Declare(ctx, broker.Topology{Queues: []broker.Queue{{Name: s.queue + deadSuffix}}}); err != nil {
		return err
	}
	_, err = s.node().Eval(ctx, fmt.Sprintf(`rabbit_policy:set(<<"/">>, <<"dead">>, <<"^%[1]s$">>, `+
		`[{<<"dead-letter-exchange">>, <<>>}, {<<"dead-letter-routing-key">>, <<"%[1]s.dead">>}], 1, <<"queues">>, <<"chaos">>)`, s.queue))
	return err
}

func forgetDead(ctx context.Context, s *Scene) error {
	_, err := s.node().Eval(ctx, `rabbit_policy:delete(<<"/">>, <<"dead">>, <<"chaos">>)`)
	return err
}

// sendBad sends n bad messages, one after the other with a pause between. Each must end in the dead letters.
func sendBad(n int, every time.Duration) script {
	return func(ctx context.Context, s *Scene) error {
		app, b, err := s.connect(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = app.Close(ctx) }()
		ledger, err := OpenLedger(s.path("sent"))
		if err != nil {
			return err
		}
		defer func() { _ = ledger.Close() }()
		kinds := badMessages()
		for i := range n {
			id := fmt.Sprintf("%s-bad-%d", s.queue, len(s.poison))
			m, begin := message(id), time.Now()
			kinds[i%len(kinds)].change(&m)
			if err := b.Publish(ctx, broker.Address{RoutingKey: s.queue}, m); err != nil {
				return fmt.Errorf("send a bad message: %w", err)
			}
			if err := ledger.Sent(Sent{ID: id, Kind: Bad, Outcome: Accepted, Begin: begin, End: time.Now()}); err != nil {
				return err
			}
			s.poison = append(s.poison, id)
			if err := pause(ctx, every); err != nil {
				return err
			}
		}
		return nil
	}
}
