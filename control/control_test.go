package control_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/internal/wire"
)

func TestCommandsAreAnswered(t *testing.T) {
	t.Parallel()
	mux := control.Merge(control.Mux{
		"good":  func(context.Context, *control.Call) (any, error) { return 1, nil },
		"bad":   func(context.Context, *control.Call) (any, error) { return nil, errors.New("unknown task") },
		"panic": func(context.Context, *control.Call) (any, error) { panic("oops") },
	}, control.Mux{"alias": func(context.Context, *control.Call) (any, error) { return nil, nil }})
	for method, want := range map[string]string{
		"good": "1", "alias": "null", "bad": `{"error":"unknown task"}`, "panic": `{"error":"oops"}`,
		"it's": `{"error":"KeyError(\"it's\")"}`,
	} {
		answer, err := mux.Serve(t.Context(), &control.Call{Method: method})
		got, encodeErr := codec.JSON{}.Marshal(answer)
		if encodeErr != nil || string(got) != want || (err != nil) != (got[0] == '{') {
			t.Errorf("%s: answer = %s, %v; want %s", method, got, err, want)
		}
	}
}

func TestMissingArgumentsAreNamedAsPythonDoes(t *testing.T) {
	t.Parallel()
	call := &control.Call{Method: "f", Arguments: map[string]codec.Raw{"x": codec.Raw("null")}}
	for want, names := range map[string][]string{
		`TypeError("f() missing 1 required positional argument: 'a'")`:                {"x", "a"},
		`TypeError("f() missing 2 required positional arguments: 'a' and 'b'")`:       {"a", "b"},
		`TypeError("f() missing 3 required positional arguments: 'a', 'b', and 'c'")`: {"a", "b", "c"},
	} {
		if err := call.Need(names...); err == nil || err.Error() != want {
			t.Errorf("err = %v, want %s", err, want)
		}
	}
	if err := call.Need("x"); err != nil {
		t.Error(err)
	}
}

func TestACommandIsForTheNodesThatItNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		destination      []string
		pattern, matcher string
		want             bool
	}{
		{nil, "", "", true},
		{[]string{"w1@host"}, "", "", true},
		{[]string{"w2@host"}, "w1*", "glob", false},
		{nil, "w2*", "", true}, // as in Celery
		{nil, "w*", "glob", true},
		{nil, "w", "glob", false},
		{nil, "w?@host", "glob", true},
		{nil, "*@ho[rt]t", "glob", false},
		{nil, "w[0-9]@host", "glob", true},
		{nil, "w[!0-9]@host", "glob", false},
		{nil, "w1@[h]*", "glob", true},
		{nil, "[]w]1*", "glob", true},
		{nil, "w[", "glob", false},
		{nil, "w1.host", "glob", false},
		{nil, "^w1", "pcre", true},
		{nil, "w1", "pcre", true},
		{nil, "1", "pcre", false},
		{nil, "x|w1@host$", "pcre", true},
	} {
		if got, err := control.Matches("w1@host", c.destination, c.pattern, c.matcher); err != nil || got != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	for matcher, pattern := range map[string]string{"pcre": "(", "soundex": "w1"} {
		if got, err := control.Matches("w1@host", nil, pattern, matcher); got || err == nil {
			t.Errorf("%s: %v, %v; want an error", matcher, got, err)
		}
	}
}

func TestTheClockIsLamports(t *testing.T) {
	t.Parallel()
	var c control.Clock
	for i, step := range []struct {
		received int64 // -1: send
		want     int32
	}{{-1, 1}, {5, 6}, {-1, 7}, {3, 8}, {-7, 9}, {math.MaxInt64, 10}, {math.MaxInt32 - 1, math.MaxInt32}, {-1, math.MaxInt32}, {7, math.MaxInt32}} {
		if step.received == -1 {
			c.Forward()
		} else {
			c.Adjust(step.received)
		}
		if c.Now() != step.want {
			t.Errorf("%d: clock = %d, want %d", i, c.Now(), step.want)
		}
	}
}

// world is a broker with somebody who answers each command by these messages, a second after the other.
func world(t *testing.T, answers func(cmd wire.ReceivedCommand) []broker.Message) *control.Client {
	t.Helper()
	b := mem.NewServer().Open()
	box := wire.Mailbox("w@host", "1")
	if err := b.Declare(t.Context(), box); err != nil {
		t.Fatal(err)
	}
	consumer, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{box.Queues[0].Name}, Prefetch: 1, AutoAck: true})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			d, err := consumer.Next(context.Background())
			if err != nil {
				return
			}
			cmd, err := wire.DecodeCommand(d, nil, wire.Limits{})
			if err != nil {
				t.Error(err)
			}
			for _, msg := range answers(cmd) {
				time.Sleep(time.Second)
				to := *cmd.ReplyTo
				to.Optional = true
				_ = b.Publish(context.Background(), to, msg)
			}
		}
	}()
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return &control.Client{Broker: b, Clock: &control.Clock{}, Logger: slog.New(slog.DiscardHandler)}
}

func answer(t *testing.T, node, ticket string) broker.Message {
	t.Helper()
	msg, err := wire.EncodeAnswer(node, control.OK("pong"), ticket, 100)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestAClientWaitsNoLongerThanItMust(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := world(t, func(cmd wire.ReceivedCommand) []broker.Message {
			return []broker.Message{{Body: []byte("junk")}, answer(t, "x@host", "other"), answer(t, "b@host", cmd.Ticket), answer(t, "a@host", cmd.Ticket)}
		})
		for name, c := range map[string]struct {
			request control.Request
			took    time.Duration
			nodes   int
		}{
			"one second":   {control.Request{}, time.Second, 0},
			"timeout":      {control.Request{Timeout: 10 * time.Second}, 10 * time.Second, 2},
			"destinations": {control.Request{Timeout: 10 * time.Second, Destination: []string{"a@host", "b@host"}}, 4 * time.Second, 2},
			"quiet":        {control.Request{Timeout: 10 * time.Second, Quiet: 1500 * time.Millisecond}, 5500 * time.Millisecond, 2},
		} {
			c.request.Method = "ping"
			began := time.Now()
			replies, err := client.Call(t.Context(), c.request)
			if took := time.Since(began); err != nil || len(replies) != c.nodes || took != c.took {
				t.Errorf("%s: %d replies after %s, %v; want %d after %s", name, len(replies), took, err, c.nodes, c.took)
			}
			for i, r := range replies {
				if text, ok, err := r.Text(); r.Node != []string{"a@host", "b@host"}[i] || text != "pong" || !ok || err != nil {
					t.Errorf("%s: reply = %+v", name, r)
				}
			}
			time.Sleep(time.Minute) // the answers that nobody waits for
		}
		if now := client.Clock.Now(); now < 100 {
			t.Errorf("clock = %d, want that of the answers at least", now)
		}
	})
}

func TestAClientDoesNotWaitWhereNobodyListens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := mem.NewServer().Open()
		defer b.Close(t.Context())
		client := &control.Client{Broker: b, Clock: &control.Clock{}, Logger: slog.New(slog.DiscardHandler)}
		began := time.Now()
		replies, err := client.Call(t.Context(), control.Request{Method: "ping"})
		if took := time.Since(began); err != nil || len(replies) != 0 || took != 0 {
			t.Errorf("%d replies after %s, %v", len(replies), took, err)
		}
		if err := client.Cast(t.Context(), control.Request{Method: "ping"}); err != nil {
			t.Error(err)
		}
		if err := client.Probe(t.Context(), "w@host"); !errors.Is(err, broker.ErrUnroutable) {
			t.Errorf("err = %v, want ErrUnroutable", err)
		}
	})
}

func TestTheTextOfAReply(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]struct {
		text string
		ok   bool
		err  string
	}{
		`{"ok": "pong"}`: {"pong", true, ""}, `{"error": "no"}`: {"", true, "w@host: no"}, `null`: {}, `["a"]`: {}, `{"clock": 1}`: {}, `{"ok": 1}`: {}, ``: {},
	} {
		text, ok, err := control.Reply{Node: "w@host", Value: codec.Raw(value)}.Text()
		if text != want.text || ok != want.ok || (err == nil) != (want.err == "") || err != nil && err.Error() != want.err {
			t.Errorf("%s: %q, %v, %v", value, text, ok, err)
		}
	}
}
