//go:build !windows

package cli_test

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// arrived takes the next message of a queue and returns it with the call that it carries.
func arrived(t *testing.T, env map[string]string, queue string) (broker.Message, *task.Request) {
	t.Helper()
	var msg broker.Message
	var req *task.Request
	withBroker(t, env, func(b broker.Broker) error {
		consumer, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 1, AutoAck: true})
		if err != nil {
			return err
		}
		defer func() { _ = consumer.Close(context.WithoutCancel(t.Context())) }()
		d, err := consumer.Next(t.Context())
		if err != nil {
			return err
		}
		msg = d.Message
		req, err = wire.Decode(d, codec.NewSet(codec.JSON{}, codec.Msgpack{}), wire.Limits{})
		return err
	})
	return msg, req
}

func embeddedStore(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"TASKQ_BROKER_URL": "sqlite://" + filepath.Join(t.TempDir(), "t.db")}
}

func TestFlagsOfSendAreInTheMessage(t *testing.T) {
	t.Parallel()
	env := embeddedStore(t)
	succeeds(t, env, "send", "tasks.echo", "--args", `["hush"]`, "--task-id", "i", "--priority", "3", "--eta", "2020-01-02T03:04:05Z",
		"--expires", "3600", "--time-limit", "20", "--soft-time-limit", "10.5", "--ignore-result", "--shadow", "shown", "--root-id", "r",
		"--parent-id", "p", "--reply-to", "answers", "--header", "tenant=acme=1", "--header", `build:=[7, 1.5, {"a": true}]`, "--stamp", "run=5",
		"--stamp", "n:=12345678901", "--argsrepr", "('…',)", "--kwargsrepr", "{…}", "--transient", "--publish-retries", "2")
	msg, req := arrived(t, env, "celery")
	for what, pair := range map[string][2]any{
		"id":         {req.ID, "i"},
		"priority":   {req.Priority, uint8(3)},
		"eta":        {req.ETA.UTC(), time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)},
		"expires":    {req.Expires.After(time.Now().Add(59*time.Minute)) && req.Expires.Before(time.Now().Add(time.Hour)), true},
		"limits":     {[]time.Duration{req.TimeLimit, req.SoftTimeLimit}, []time.Duration{20 * time.Second, 10500 * time.Millisecond}},
		"ignore":     {req.IgnoreResult, true},
		"shadow":     {req.Shadow, "shown"},
		"ids":        {req.RootID + req.ParentID, "rp"},
		"reply_to":   {req.ReplyTo, "answers"},
		"headers":    {req.Headers["tenant"], "acme=1"},
		"JSON":       {req.Headers["build"], []any{int32(7), 1.5, map[string]any{"a": true}}},
		"stamps":     {req.Stamps, map[string]any{"run": "5", "n": int64(12345678901)}},
		"reprs":      {req.ArgsRepr + req.KwargsRepr, "('…',){…}"},
		"transient":  {msg.Transient, true},
		"arguments":  {string(req.Args[0]), `"hush"`},
		"stampnames": {req.StampedHeaders, []string{"run", "n"}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s = %#v, want %#v", what, pair[0], pair[1])
		}
	}
}

func TestLinksOfSendAreNamesOrSignatures(t *testing.T) {
	t.Parallel()
	env := embeddedStore(t)
	succeeds(t, env, "send", "tasks.echo", "--link", "tasks.print", "--link",
		`{"task": "tasks.add", "args": [12345678901234567890], "kwargs": {"y": 2}, "immutable": true, "options": {"queue": "sums", "priority": 2}}`,
		"--link-error", "tasks.mail")
	_, req := arrived(t, env, "celery")
	links, err := wire.DecodeSignatures(req.Embed.Callbacks, codec.JSON{})
	if err != nil || len(links) != 2 {
		t.Fatalf("callbacks = %s (%v)", req.Embed.Callbacks, err)
	}
	if links[0].Task != "tasks.print" || len(links[0].Args) != 0 || links[0].Immutable {
		t.Errorf("first link = %+v", links[0])
	}
	succeeds(t, env, "send", "tasks.echo", "--queue", "packed", "--serializer", "msgpack", "--compression", "zstd",
		"--args", "[12345678901234567890, 1.5]", "--link", `{"task": "t", "args": [1, "a"], "options": {"link": [{"task": "u", "args": [2]}]}}`)
	_, packed := arrived(t, env, "packed")
	calls, err := wire.DecodeSignatures(packed.Embed.Callbacks, codec.Msgpack{})
	if err != nil || len(calls) != 1 || len(calls[0].Args) != 2 || len(calls[0].Link) != 1 || len(calls[0].Link[0].Args) != 1 {
		t.Errorf("callbacks in MessagePack = %+v (%v)", calls, err)
	}
	l := links[1]
	if l.Task != "tasks.add" || !l.Immutable || l.Queue != "sums" || l.Priority != 2 || string(l.Args[0].(codec.Raw)) != "12345678901234567890" || string(l.Kwargs["y"].(codec.Raw)) != "2" {
		t.Errorf("second link = %+v", l)
	}
	if errbacks, err := wire.DecodeSignatures(req.Embed.Errbacks, codec.JSON{}); err != nil || len(errbacks) != 1 || errbacks[0].Task != "tasks.mail" {
		t.Errorf("errbacks = %s (%v)", req.Embed.Errbacks, err)
	}
}

func TestSendTakesWhatFlagsLeaveOpenFromTheTask(t *testing.T) {
	t.Parallel()
	env := embeddedStore(t)
	send := func(args ...string) string {
		t.Helper()
		var out strings.Builder
		root := cli.New("myapp", func(app *taskq.App) error {
			return app.Register(task.Remote[struct{}, int]("quiet", task.Queue("calm"), task.Priority(4), task.IgnoreResult(), task.TimeLimit(time.Minute)))
		}, cli.Environ(func(name string) (string, bool) { value, ok := env[name]; return value, ok }))
		root.SetArgs(append([]string{"send", "quiet"}, args...))
		root.SetOut(&out)
		root.SetErr(&strings.Builder{})
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := decode[map[string]string](t, send("-o", "json")); got["queue"] != "calm" || got["task"] != "quiet" || got["id"] == "" {
		t.Errorf("JSON = %v", got)
	}
	if _, req := arrived(t, env, "calm"); req.Priority != 4 || !req.IgnoreResult || req.TimeLimit != time.Minute {
		t.Errorf("request = %+v", req)
	}
	send("--queue", "celery", "--priority", "0", "--time-limit", "0")
	if _, req := arrived(t, env, "celery"); req.Priority != 0 || req.TimeLimit != 0 || !req.IgnoreResult {
		t.Errorf("request = %+v, want the flags to win", req)
	}
	if got := decode[map[string]string](t, send("--exchange", "celery", "--routing-key", "celery", "--json")); got["exchange"] != "celery" || got["routing_key"] != "celery" || got["queue"] != "" {
		t.Errorf("JSON = %v", got)
	}
	if msg, req := arrived(t, env, "celery"); req.Exchange != "celery" || msg.Priority != 4 {
		t.Errorf("request = %+v, want it to come through the exchange", req)
	}
}

func TestAnExchangeThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	_, _, err := inProcess(t, embeddedStore(t), "send", "tasks.add", "--exchange", "nosuch", "--routing-key", "a.b")
	if got := cli.ExitCode(err); got != cli.Misconfigured {
		t.Errorf("exit status = %d, want %d", got, cli.Misconfigured)
	}
	checkSentence(t, err, []string{`exchange "nosuch"`})
}
