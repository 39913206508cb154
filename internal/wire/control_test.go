package wire_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// recorded runs the test for each recorded control message of a kind, request or reply.
func recorded(t *testing.T, kind string, want int, test func(*testing.T, *fixture)) {
	t.Helper()
	t.Parallel()
	n := 0
	for _, path := range paths(t, "control") {
		if !strings.HasSuffix(path, "."+kind+".json") {
			continue
		}
		n++
		t.Run(filepath.ToSlash(path), func(t *testing.T) {
			t.Parallel()
			test(t, load(t, path))
		})
	}
	if n != want {
		t.Errorf("%d files, want %d", n, want)
	}
}

// A command that was read from Celery is, written again, what Celery sent, but for spaces and the order of the arguments.
func TestCommandsAreCelerys(t *testing.T) {
	recorded(t, "request", 57, func(t *testing.T, f *fixture) {
		want := f.message(t)
		got, err := wire.DecodeCommand(broker.NewDelivery(want, nil), nil, wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got.ReplyTo == nil || got.ReplyTo.Exchange != wire.ReplyMailbox("x").Exchanges[0].Name || got.Ticket == "" {
			t.Errorf("reply to %+v, ticket %q", got.ReplyTo, got.Ticket)
		}
		again := wire.Command{
			Method: got.Method, Arguments: map[string]any{}, Destination: got.Destination, Pattern: got.Pattern, Matcher: got.Matcher,
			Ticket: got.Ticket, ReplyTo: got.ReplyTo.RoutingKey, Clock: int32(got.Clock),
		}
		for name, raw := range got.Arguments {
			again.Arguments[name] = raw
		}
		seconds := want.Headers["expires"].(float64)
		again.Expires = time.Unix(0, int64(seconds*1e9))
		ours, err := wire.EncodeCommand(again)
		if err != nil {
			t.Fatal(err)
		}
		expires := ours.Headers["expires"].(float64)
		if diff := expires - seconds; diff > 1e-3 || diff < -1e-3 {
			t.Errorf("expires = %f, want %f", expires, seconds)
		}
		ours.Headers["expires"] = seconds
		sameButForOrder(t, want, ours)
		exchange := wire.ControlExchange()
		if exchange.Name != f.Exchange || f.RoutingKey != "" || exchange.Kind != broker.Fanout || !exchange.Transient || exchange.AutoDelete {
			t.Errorf("exchange = %+v, want %s with the key %q", exchange, f.Exchange, f.RoutingKey)
		}
	})
}

func TestAnswersAreCelerys(t *testing.T) {
	recorded(t, "reply", 54, func(t *testing.T, f *fixture) {
		want := f.message(t)
		got, err := wire.DecodeAnswer(broker.NewDelivery(want, nil), nil, wire.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		value, ok := got.Nodes["w1@h2host"]
		if !ok || len(got.Nodes) != 1 {
			t.Fatalf("nodes = %v", got.Nodes)
		}
		ours, err := wire.EncodeAnswer("w1@h2host", value, got.Ticket, int32(got.Clock))
		if err != nil {
			t.Fatal(err)
		}
		sameButForOrder(t, want, ours)
	})
}

// sameButForOrder compares messages whose bodies are JSON.
func sameButForOrder(t *testing.T, want, got broker.Message) {
	t.Helper()
	if diff := cmp.Diff(decoded[any](t, want.Body), decoded[any](t, got.Body)); diff != "" {
		t.Errorf("body (-celery +ours)\n%s", diff)
	}
	want.Body, got.Body = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-celery +ours)\n%s", diff)
	}
}

func TestMailboxesHaveTheArgumentsOfCelerys(t *testing.T) {
	t.Parallel()
	for want, box := range map[string]broker.Topology{
		"w1@h.i.celery.pidbox": wire.Mailbox("w1@h", "i"), "key.reply.celery.pidbox": wire.ReplyMailbox("key"),
	} {
		q := box.Queues[0]
		if q.Name != want || q.Transient || !q.AutoDelete || q.Exclusive ||
			!cmp.Equal(q.Arguments, broker.Table{"x-expires": int32(10000), "x-message-ttl": int32(300000)}) {
			t.Errorf("queue = %+v", q)
		}
	}
}

func TestACommandMayComeInMessagePack(t *testing.T) {
	t.Parallel()
	body, err := codec.Msgpack{}.Marshal(map[string]any{"method": "revoke", "arguments": map[string]any{"task_id": []string{"1", "2"}}})
	if err != nil {
		t.Fatal(err)
	}
	msg := broker.Message{ContentType: codec.Msgpack{}.ContentType(), Body: body}
	got, err := wire.DecodeCommand(broker.NewDelivery(msg, nil), codec.NewSet(codec.Msgpack{}), wire.Limits{})
	if err != nil || string(got.Arguments["task_id"]) != `["1","2"]` || got.ReplyTo != nil {
		t.Errorf("command = %+v, %v", got, err)
	}
}

func TestBadCommandsAreErrors(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no JSON": `{`, "no object": `[1]`, "null": `null`, "no method": `{"arguments": {}}`, "method": `{"method": 1}`,
		"arguments": `{"method": "ping", "arguments": [1]}`, "destination": `{"method": "ping", "destination": {"a": 1}}`,
		"reply_to": `{"method": "ping", "reply_to": "me"}`, "huge": `{"method": "ping", "ticket": "` + strings.Repeat("x", 1000) + `"}`,
		"deep": `{"method": "ping", "arguments": {"x": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg := broker.Message{ContentType: "application/json", Body: json.RawMessage(body)}
			if got, err := wire.DecodeCommand(broker.NewDelivery(msg, nil), nil, wire.Limits{BodyBytes: 500, Depth: 50}); err == nil {
				t.Errorf("command = %+v", got)
			}
		})
	}
}
