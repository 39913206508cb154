package worker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// unlocked is a call of celery.chord_unlock as clients of Celery send it, for the tasks a and, in a group, b and c.
func unlocked(more map[string]any) task.Signature {
	tuple := func(id string) any { return []any{[]any{id, nil}, nil} }
	kwargs := map[string]any{
		"interval": nil, "max_retries": nil, "colour": "red",
		"result": []any{tuple("a"), []any{[]any{"inner", nil}, []any{tuple("b"), tuple("c")}}},
	}
	maps.Copy(kwargs, more)
	sig := func(name string, options map[string]any) any {
		return map[string]any{"task": name, "args": []any{5}, "kwargs": map[string]any{}, "options": options, "subtask_type": nil, "immutable": false}
	}
	body := sig("body", map[string]any{
		"task_id": "B", "reply_to": "caller", "group_id": "G",
		"link_error": []any{sig("errback", nil)}, "chain": []any{sig("next", map[string]any{"task_id": "N"})},
	})
	s := task.Signature{Task: "celery.chord_unlock", Args: []any{"G", body}, Kwargs: kwargs}
	s.ID, s.RootID, s.IgnoreResult = "1", "0", true
	return s
}

// keep stores outcomes.
func (h *house) keep(metas ...task.Meta) {
	h.t.Helper()
	for _, m := range metas {
		if err := h.results.Store(h.t.Context(), m); err != nil {
			h.t.Fatal(err)
		}
	}
}

func returned(id, value string) task.Meta {
	return task.Meta{ID: id, State: task.Success, Result: codec.Raw(value)}
}

func TestAChordThatNobodyCountsIsPolled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out outbox
		quick := task.New("quick", func(context.Context, none) (int, error) { return 7, nil })
		h := start(t, plan{send: out.send, tasks: []task.Definition{quick}, opts: worker.Options{Concurrency: 1}})
		began := time.Now()
		h.send(unlocked(nil))
		h.keep(returned("a", "1"), returned("c", "3"))
		time.Sleep(100 * time.Second)
		wantValue(t, h.outcome(h.send(task.Signature{Task: "quick"})), 7) // the one slot is free
		if n := len(out.sent()); n != 0 {
			t.Fatalf("%d calls were sent before the header had ended", n)
		}
		if meta, _ := h.results.Get(t.Context(), "1"); meta.State != task.Pending {
			t.Errorf("the call that polls is kept as %s", meta.State)
		}
		h.keep(returned("b", "2"))
		time.Sleep(2 * time.Second)
		if len(out.sent()) != 1 {
			t.Fatalf("%d calls were sent %s after the chord, want the body", len(out.sent()), time.Since(began))
		}
		if got, want := describe(t, out.sent()[0]), "body([1, [2, 3]], 5) in G at -1 then next error errback"; got != want {
			t.Errorf("sent %s\nwant %s", got, want)
		}
		if id, reply := out.sent()[0].Headers["id"], out.sent()[0].ReplyTo; id != "B" || reply != "caller" {
			t.Errorf("the body is %v and answers to %s", id, reply)
		}
		h.wantWaiting(queue, 0)
		time.Sleep(time.Hour)
		if len(out.sent()) != 1 {
			t.Errorf("%d bodies were sent", len(out.sent()))
		}
	})
}

func TestAChordIsLookedAtAsOftenAsItsCallSays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		interval any
		want     int64
	}{"default": {nil, 61}, "five seconds": {5, 13}, "half a second": {0.5, 121}, "nonsense": {-1, 61}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &asked{Backend: resultmem.New(resultmem.Config{})}
				h := start(t, plan{results: store})
				h.send(unlocked(map[string]any{"interval": test.interval}))
				time.Sleep(time.Minute + 100*time.Millisecond)
				if got := store.times.Load(); got < test.want-2 || got > test.want {
					t.Errorf("looked %d times within a minute, want %d", got, test.want)
				}
			})
		})
	}
}

// asked counts how often the first task of the header is looked up.
type asked struct {
	result.Backend
	times atomic.Int64
	away  atomic.Bool
}

func (a *asked) Get(ctx context.Context, id string) (task.Meta, error) {
	if id == "a" {
		a.times.Add(1)
	}
	if a.away.Load() {
		return task.Meta{}, result.ErrUnavailable
	}
	return a.Backend.Get(ctx, id)
}

func TestAChordWaitsForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out outbox
		store := &asked{Backend: resultmem.New(resultmem.Config{})}
		h := start(t, plan{results: store, send: out.send})
		h.keep(returned("a", "1"), returned("b", "2"), returned("c", "3"))
		store.away.Store(true)
		h.send(unlocked(nil))
		time.Sleep(time.Minute)
		store.away.Store(false)
		time.Sleep(2 * time.Second)
		if len(out.sent()) != 1 {
			t.Errorf("%d calls were sent, want the body", len(out.sent()))
		}
	})
}

func TestAChordThatFailedFailsItsBody(t *testing.T) {
	t.Parallel()
	exc := func(id string, state task.State, class string) task.Meta {
		return task.Meta{ID: id, State: state, Result: codec.Raw(fmt.Sprintf(`{"exc_type": %q, "exc_message": ["x"], "exc_module": "builtins"}`, class))}
	}
	for name, test := range map[string]struct {
		header []task.Meta
		more   map[string]any
		want   string
	}{
		"a failure":        {[]task.Meta{returned("a", "1"), exc("b", task.Failure, "ValueError"), exc("c", task.Failure, "KeyError")}, nil, "Dependency b raised ValueError('x')"},
		"a revoked task":   {[]task.Meta{returned("a", "1"), returned("b", "1"), exc("c", task.Revoked, "TaskRevokedError")}, nil, "Dependency c raised TaskRevokedError('x')"},
		"no tries left":    {[]task.Meta{returned("a", "1")}, map[string]any{"max_retries": 3}, "max retries exceeded: 3, and tasks of the chord G have not ended"},
		"no tries allowed": {nil, map[string]any{"max_retries": 0}, "max retries exceeded: 0, and tasks of the chord G have not ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out outbox
				h := start(t, plan{send: out.send})
				h.keep(test.header...)
				h.send(unlocked(test.more))
				if got := h.wantFailure("B", "ChordError").Message; got != test.want {
					t.Errorf("the body failed with %s\nwant %s", got, test.want)
				}
				h.wantFailure("N", "ChordError") // what was to follow it
				time.Sleep(time.Minute)
				h.wantWaiting(queue, 0)
				h.wantWaiting(dead, 0)
				if len(out.sent()) != 1 || out.sent()[0].Headers["task"] != "errback" || !strings.HasPrefix(string(out.sent()[0].Body), `[["B",5]`) {
					t.Errorf("sent %v, want the errback with the id of the body", out.sent())
				}
			})
		})
	}
}

// A task of the header that was ignored counts as null: it has ended, and nobody will say more of it.
func TestAnIgnoredTaskOfAPolledChordIsNull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out outbox
		h := start(t, plan{send: out.send})
		h.keep(returned("a", "1"), task.Meta{ID: "b", State: "IGNORED"}, returned("c", `{"k": 1.0}`))
		h.send(unlocked(nil))
		time.Sleep(time.Second)
		if len(out.sent()) != 1 || !strings.HasPrefix(string(out.sent()[0].Body), `[[[1,[null,{"k": 1.0}]],5]`) {
			t.Errorf("sent %v", out.sent())
		}
	})
}

// joins is a store that counts.
type joins struct {
	result.Backend
	result.Joiner
}

// The call that polls may come again after it has sent the body. Both messages are of one task, and each says that it is another one, so
// that one of them runs.
func TestAPolledChordThatIsDeliveredAgainSendsTheSameBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out outbox
		h := start(t, plan{send: out.send, results: joins{Backend: resultmem.New(resultmem.Config{})}})
		h.keep(returned("a", "1"), returned("b", "2"), returned("c", "3"))
		h.send(unlocked(nil))
		h.send(unlocked(nil))
		time.Sleep(time.Second)
		if len(out.sent()) != 2 {
			t.Fatalf("%d messages", len(out.sent()))
		}
		first, second := out.sent()[0], out.sent()[1]
		if string(first.Body) != string(second.Body) || first.Headers["id"] != second.Headers["id"] {
			t.Errorf("%s\n%s", first.Body, second.Body)
		}
		if one, other := first.Headers["taskq_claim"], second.Headers["taskq_claim"]; one == nil || other == nil || one == other {
			t.Errorf("claims %v and %v", one, other)
		}
	})
}

func TestWhatIsNoChordFailsTheCallThatPolls(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]task.Signature{
		"no arguments":       builtinCall("celery.chord_unlock", nil, nil),
		"no body":            builtinCall("celery.chord_unlock", []any{"G", 7}, nil),
		"no result tuples":   builtinCall("celery.chord_unlock", []any{"G", map[string]any{"task": "body"}}, map[string]any{"result": []any{7}}),
		"more positions":     builtinCall("celery.chord_unlock", []any{"G", 7, nil, nil, nil, 1, 2, 3}, nil),
		"no group as a name": builtinCall("celery.chord_unlock", []any{nil}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, plan{})
				task.KeepResult()(&call.CallOptions)
				h.wantFailure(h.send(call), "TypeError")
			})
		})
	}
}

// blind is a store that gets outcomes as messages and tells none of others.
type blind struct {
	result.Backend
	asked *atomic.Bool
}

func (b blind) Get(context.Context, string) (task.Meta, error) {
	b.asked.Store(true)
	return task.Meta{}, errors.ErrUnsupported
}

func (blind) Expect(context.Context, string) (string, error) { return "", errors.ErrUnsupported }

func TestAWorkerThatSeesNoOutcomesLeavesChordsToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := mem.NewServer()
		var out outbox
		counted := &counting{}
		var looked atomic.Bool
		h := start(t, plan{server: server, results: blind{resultmem.New(resultmem.Config{}), &looked}, wrap: counted.wrap, send: out.send})
		h.send(unlocked(nil))
		time.Sleep(time.Minute)
		if n := counted.delayed.Load(); n < 50 || n > 61 {
			t.Errorf("the call was put off %d times in a minute, want about once a second", n)
		}
		if looked.Load() {
			t.Error("the worker looked for outcomes that it cannot see")
		}
		store := resultmem.New(resultmem.Config{})
		other := start(t, plan{server: server, results: store, send: out.send})
		other.keep(returned("a", "1"), returned("b", "2"), returned("c", "3"))
		h.cancel() // the two take turns, and who is first is chance
		time.Sleep(5 * time.Second)
		if len(out.sent()) != 1 {
			t.Errorf("%d bodies were sent by the worker that sees outcomes", len(out.sent()))
		}
	})
}

// counting counts what is put off.
type counting struct{ delayed atomic.Int64 }

func (c *counting) wrap(b *mem.Broker) broker.Broker { return countedBroker{b, c} }

type countedBroker struct {
	*mem.Broker
	c *counting
}

func (b countedBroker) PublishDelayed(ctx context.Context, to broker.Address, msg broker.Message, delay time.Duration) error {
	b.c.delayed.Add(1)
	return b.Broker.PublishDelayed(ctx, to, msg, delay)
}

// sent are the calls that were sent until the worker had nothing more to do at the moment.
func (o *outbox) sent() []broker.Message {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.messages)
}
