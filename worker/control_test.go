package worker_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// sameJSON compares texts but for the escapes of JSON.
func sameJSON(a, b string) bool {
	plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", " ", "").Replace
	return plain(a) == plain(b)
}

func TestAnswersAreInCelerysWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{Hostname: "w1@host"}, tasks: []task.Definition{add()}})
		synctest.Wait()
		for _, c := range []struct {
			method string
			args   map[string]any
			want   string
		}{
			{"ping", nil, `{"ok":"pong"}`},
			{"no_such_command", nil, `{"error":"KeyError('no_such_command')"}`},
			{"revoke", nil, `{"error":"TypeError(\"revoke() missing 1 required positional argument: 'task_id'\")"}`},
			{"terminate", nil, `{"error":"TypeError(\"terminate() missing 2 required positional arguments: 'signal' and 'task_id'\")"}`},
			{"revoke", map[string]any{"task_id": "a"}, `{"ok":"tasks {'a'} flagged as revoked"}`},
			{"revoke", map[string]any{"task_id": []string{"b", "c", "b"}, "terminate": false, "signal": "SIGTERM"}, `{"ok":"tasks {'b', 'c'} flagged as revoked"}`},
			{"revoke", map[string]any{"task_id": []string{}}, `{"ok":"tasks set() flagged as revoked"}`},
			{"revoke", map[string]any{"task_id": "d", "terminate": true, "signal": "SIGKILL"}, `{"ok":"terminate: tasks unknown"}`},
			{"terminate", map[string]any{"task_id": "d", "signal": 9}, `{"ok":"terminate: tasks unknown"}`},
			{"revoked", nil, `["a","b","c","d"]`},
			{"dump_revoked", nil, `["a","b","c","d"]`},
			{"hello", map[string]any{"from_node": "w1@host"}, `null`},
		} {
			got := h.ask(control.Request{Method: c.method, Arguments: c.args})
			if len(got) != 1 || got[0] != "w1@host: "+c.want {
				t.Errorf("%s %v = %q, want %s", c.method, c.args, got, c.want)
			}
		}
		for name, args := range map[string]map[string]any{
			"signal": {"task_id": "e", "terminate": true, "signal": "SIGFOO"}, "number": {"task_id": "e", "terminate": true, "signal": 99},
			"id": {"task_id": 7}, "ids": {"task_id": []any{1}}, "terminate": {"task_id": "e", "terminate": "perhaps"},
		} {
			if got := h.ask(control.Request{Method: "revoke", Arguments: args}); len(got) != 1 || !strings.Contains(got[0], `{"error":`) {
				t.Errorf("%s: answer = %q, want an error", name, got)
			}
		}
		if got := h.ask(control.Request{Method: "revoked"}); got[0] != `w1@host: ["a","b","c","d"]` {
			t.Errorf("revoked = %q", got)
		}
	})
}

func TestWorkersKeepTheClockOfThoseTheyHear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{Hostname: "w1@host"}, tasks: []task.Definition{add()}})
		synctest.Wait()
		client := h.client()
		client.Clock.Adjust(1000) // is 1001, and 1002 when it is sent
		replies, err := client.Call(t.Context(), control.Request{Method: "clock"})
		if err != nil || len(replies) != 1 || string(replies[0].Value) != `{"clock":1003}` || client.Clock.Now() != 1005 {
			t.Errorf("replies = %s, %v, clock = %d", replies, err, client.Clock.Now())
		}
	})
}

func TestOnlyTheWorkersThatAreMeantObey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := mem.NewServer()
		h := start(t, plan{server: server, opts: worker.Options{Hostname: "w1@host"}, tasks: []task.Definition{add()}})
		synctest.Wait()
		start(t, plan{server: server, opts: worker.Options{Hostname: "w2@host"}, tasks: []task.Definition{add()}})
		time.Sleep(2 * time.Second)
		for _, c := range []struct {
			request control.Request
			want    []string
		}{
			{control.Request{}, []string{"w1@host", "w2@host"}},
			{control.Request{Destination: []string{"w2@host"}}, []string{"w2@host"}},
			{control.Request{Destination: []string{"w3@host"}}, nil},
			{control.Request{Pattern: "*1@*", Matcher: "glob"}, []string{"w1@host"}},
			{control.Request{Pattern: "w[2-9]", Matcher: "pcre"}, []string{"w2@host"}},
			{control.Request{Pattern: "(", Matcher: "pcre"}, nil},
			{control.Request{Pattern: "w1@host", Matcher: "other"}, nil},
		} {
			c.request.Method = "ping"
			replies, err := h.client().Call(t.Context(), c.request)
			if err != nil {
				t.Fatal(err)
			}
			var nodes []string
			for _, r := range replies {
				nodes = append(nodes, r.Node)
			}
			if !slices.Equal(nodes, c.want) {
				t.Errorf("%+v: %q, want %q", c.request, nodes, c.want)
			}
		}
	})
}

func TestBadCommandsLeaveTheWorkerAsItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: []task.Definition{add()}})
		synctest.Wait()
		for _, msg := range []broker.Message{
			{},
			{ContentType: "application/json", Body: []byte(`{`)},
			{ContentType: "application/json", Body: []byte(`[]`)},
			{ContentType: "application/x-python-serialize", Body: []byte("\x80\x04K\x01.")},
			{ContentType: "application/json", Body: []byte(`{"method": "revoke", "arguments": {"task_id": {"a": 1}}}`)},
			{ContentType: "application/json", Body: []byte(`{"method": "ping", "reply_to": {"exchange": "nowhere", "routing_key": "x"}}`)},
			{ContentType: "application/json", Headers: broker.Table{"clock": "x"}, Body: []byte(`{"method": "election", "arguments": {"id": 1}}`)},
		} {
			if err := h.broker.Publish(t.Context(), broker.Address{Exchange: "celery.pidbox"}, msg); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.ask(control.Request{Method: "ping"}); len(got) != 1 {
			t.Errorf("answers = %q", got)
		}
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
	})
}

func TestRemoteControlCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{NoRemoteControl: true}, tasks: []task.Definition{add()}})
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
		if got := h.ask(control.Request{Method: "ping"}); len(got) != 0 {
			t.Errorf("answers = %q", got)
		}
	})
}

// In Celery each of them hears half of the commands.
func TestWorkersOfOneNameAllHearAndLearn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := mem.NewServer()
		first := start(t, plan{server: server, tasks: []task.Definition{add()}})
		synctest.Wait()
		first.revoke("before")
		second := start(t, plan{server: server, tasks: []task.Definition{add()}})
		time.Sleep(time.Second)
		for range 3 {
			if got := first.ask(control.Request{Method: "ping"}); len(got) != 2 {
				t.Errorf("answers = %q, want two", got)
			}
		}
		first.revoke("after")
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		if got := second.ask(control.Request{Method: "revoked"}); len(got) != 1 || !strings.HasSuffix(got[0], `["before","after"]`) {
			t.Errorf("revoked = %q", got)
		}
	})
}

// refusing is a broker that lets nobody have a mailbox, until it does.
type refusing struct {
	*mem.Broker
	until time.Time
	err   error
}

func (b refusing) Declare(ctx context.Context, topology broker.Topology) error {
	if len(topology.Queues) > 0 && strings.HasSuffix(topology.Queues[0].Name, ".celery.pidbox") && time.Now().Before(b.until) {
		return b.err
	}
	return b.Broker.Declare(ctx, topology)
}

func TestTasksGoOnWhereTheBrokerRefusesTheMailboxWhichIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, err := range []error{broker.ErrAccess, broker.ErrUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			until := time.Now().Add(10 * time.Minute)
			h := start(t, plan{tasks: []task.Definition{add()}, wrap: func(b *mem.Broker) broker.Broker { return refusing{b, until, err} }})
			wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
			time.Sleep(time.Until(until))
			if got := h.ask(control.Request{Method: "ping"}); len(got) != 0 {
				t.Errorf("answers = %q", got)
			}
			time.Sleep(time.Minute)
			if got := h.ask(control.Request{Method: "ping"}); len(got) != 1 {
				t.Errorf("answers = %q, want one", got)
			}
		})
	}
}

func TestAWorkerLearnsFromTheOthersWhatWasRevokedBeforeItStartsATask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		server := mem.NewServer()
		old := start(t, plan{server: server, opts: worker.Options{Hostname: "old@host"}, queues: []string{elsewhere}, tasks: []task.Definition{add()}})
		synctest.Wait()
		old.revoke("1")
		old.send(counted(&runs).S(none{}, task.ID("1")))
		began := time.Now()
		fresh := start(t, plan{server: server, opts: worker.Options{Hostname: "new@host"}, results: old.results, tasks: []task.Definition{counted(&runs)}})
		old.send(counted(&runs).S(none{}, task.ID("2")))
		fresh.outcome("2")
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("the start took %s, want 1 s at the most", took)
		}
		synctest.Wait()
		if runs.Load() != 1 {
			t.Errorf("runs = %d, want the other task alone", runs.Load())
		}
		if got := fresh.ask(control.Request{Method: "revoked", Destination: []string{"new@host"}}); !slices.Equal(got, []string{`new@host: ["1"]`}) {
			t.Errorf("revoked = %q", got)
		}
	})
}

func TestAWorkerThatStartsAloneWaitsForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		h := start(t, plan{tasks: []task.Definition{add()}})
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
		if took := time.Since(began); took > 0 {
			t.Errorf("the start took %s", took)
		}
	})
}
