package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// client asks the workers of the house's broker.
func (h *house) client() *control.Client {
	return &control.Client{Broker: h.broker, Clock: &control.Clock{}, Logger: slog.New(slog.DiscardHandler)}
}

// ask sends a command and returns the answers, as "node: value".
func (h *house) ask(r control.Request) []string {
	h.t.Helper()
	replies, err := h.client().Call(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	texts := []string{}
	for _, r := range replies {
		texts = append(texts, r.Node+": "+string(r.Value))
	}
	return texts
}

// revoke tells the workers, and waits until they have heard it.
func (h *house) revoke(id string, opts ...task.RevokeOption) {
	h.t.Helper()
	how, err := task.NewRevocation(opts...)
	if err == nil {
		err = h.client().Cast(h.t.Context(), control.Revoke([]string{id}, how))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	synctest.Wait()
}

func (h *house) wantRevoked(id, reason string) {
	h.t.Helper()
	meta := h.outcome(id)
	remote, _ := errors.AsType[*task.RemoteError](meta.Err())
	if meta.State != task.Revoked || remote == nil || remote.Type != "TaskRevokedError" || remote.Message != reason ||
		!errors.Is(remote, task.ErrRevoked) || meta.Traceback != "" {
		h.t.Errorf("outcome = %s, %v, traceback %q; want REVOKED, %s", meta.State, meta.Err(), meta.Traceback, reason)
	}
}

// counted is a task that counts how often it ran.
func counted(runs *atomic.Int32, opts ...task.Option) *task.Task[none, int] {
	return task.New("tasks.counted", func(context.Context, none) (int, error) { return int(runs.Add(1)), nil }, opts...)
}

func TestARevokedTaskDoesNotRun(t *testing.T) {
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprint("early=", early), func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				var runs atomic.Int32
				var more []task.Option
				if early {
					more = append(more, task.AckEarly())
				}
				h := start(t, plan{opts: opts, tasks: []task.Definition{counted(&runs, more...)}})
				synctest.Wait()
				h.revoke("1")
				h.send(counted(&runs, more...).S(none{}, task.ID("1")))
				h.wantRevoked("1", "revoked")
				synctest.Wait()
				if runs.Load() != 0 || h.worker.Stats().Settled != 1 || h.worker.Stats().Running != 0 {
					t.Errorf("runs = %d, stats = %+v", runs.Load(), h.worker.Stats())
				}
				h.wantWaiting(queue, 0)
				h.wantWaiting(dead, 0)
			})
		})
	}
}

func TestATaskRevokedWhileItWaitsForASlotDoesNotRun(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		var runs atomic.Int32
		release := make(chan struct{})
		busy := task.New("tasks.busy", func(context.Context, none) (int, error) { <-release; return 0, nil })
		late := counted(&runs, task.AckEarly())
		h := start(t, plan{opts: opts, tasks: []task.Definition{busy, late}})
		for range opts.Concurrency {
			h.send(busy.S(none{}))
		}
		synctest.Wait()
		h.send(late.S(none{}, task.ID("1")))
		synctest.Wait()
		h.revoke("1")
		close(release)
		h.wantRevoked("1", "revoked")
		synctest.Wait()
		if runs.Load() != 0 || h.worker.Stats().Running != 0 {
			t.Errorf("runs = %d, stats = %+v", runs.Load(), h.worker.Stats())
		}
		h.wantWaiting(queue, 0)
	})
}

func TestATerminatedTaskIsRevokedAndItsSlotGoesOn(t *testing.T) {
	for _, signal := range []string{"", "SIGTERM", "SIGUSR1", "KILL"} {
		t.Run(signal, func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				causes := make(chan error, 1)
				sleeper := task.New("tasks.sleeper", func(ctx context.Context, _ none) (int, error) {
					<-ctx.Done()
					causes <- context.Cause(ctx)
					return 0, fmt.Errorf("asleep: %w", ctx.Err())
				}, task.Retry(task.RetryPolicy{Max: 3}))
				h := start(t, plan{opts: opts, tasks: []task.Definition{sleeper, add()}})
				id := h.send(sleeper.S(none{}))
				synctest.Wait()
				h.revoke(id, task.Terminate(signal))
				h.wantRevoked(id, "terminated")
				if cause := <-causes; !errors.Is(cause, task.ErrRevoked) {
					t.Errorf("cause = %v, want ErrRevoked", cause)
				}
				synctest.Wait()
				if s := h.worker.Stats(); s.Running != 0 || s.Pool.Stuck != 0 {
					t.Errorf("stats = %+v", s)
				}
				for range 2 * opts.Concurrency {
					wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
				}
				h.wantWaiting(queue, 0)
			})
		})
	}
}

func TestATaskThatSucceedsAllTheSameStaysASuccess(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		stubborn := task.New("tasks.stubborn", func(ctx context.Context, _ none) (int, error) { <-ctx.Done(); return 7, nil })
		h := start(t, plan{opts: opts, tasks: []task.Definition{stubborn}})
		id := h.send(stubborn.S(none{}))
		synctest.Wait()
		h.revoke(id, task.Terminate(""))
		synctest.Wait()
		wantValue(t, h.outcome(id), 7)
	})
}

func TestSIGKILLGivesUpTheSlotOfATaskThatGoesOn(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		release := make(chan struct{})
		deaf := task.New("tasks.deaf", func(context.Context, none) (int, error) { <-release; return 7, nil })
		h := start(t, plan{opts: opts, tasks: []task.Definition{deaf, add()}})
		id := h.send(deaf.S(none{}))
		synctest.Wait()
		h.revoke(id, task.Terminate("SIGTERM"))
		if s := h.worker.Stats(); s.Running != 1 || s.Pool.Stuck != 0 {
			t.Errorf("after SIGTERM: stats = %+v", s)
		}
		h.revoke(id, task.Terminate("SIGKILL"))
		h.wantRevoked(id, "terminated")
		synctest.Wait()
		if s := h.worker.Stats(); s.Running != 0 || s.Pool.Stuck != 1 {
			t.Errorf("after SIGKILL: stats = %+v", s)
		}
		wantValue(t, h.outcome(h.send(add().S(pair{1, 2}))), 3)
		close(release)
		synctest.Wait()
		h.wantRevoked(id, "terminated")
		if s := h.worker.Stats(); s.Pool.Stuck != 0 {
			t.Errorf("in the end: stats = %+v", s)
		}
	})
}

// slowStore holds the storing of a success up.
type slowStore struct {
	result.Backend
	begun, release chan struct{}
}

func (s slowStore) Store(ctx context.Context, m task.Meta) error {
	if m.State == task.Success {
		close(s.begun)
		<-s.release
	}
	return s.Backend.Store(ctx, m)
}

func TestARevokeThatComesWhileTheSuccessIsStoredIsTooLate(t *testing.T) {
	for _, signal := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(signal, func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				store := slowStore{resultmem.New(resultmem.Config{}), make(chan struct{}), make(chan struct{})}
				h := start(t, plan{opts: opts, results: store, tasks: []task.Definition{add()}})
				id := h.send(add().S(pair{1, 2}))
				<-store.begun
				h.revoke(id, task.Terminate(signal))
				close(store.release)
				wantValue(t, h.outcome(id), 3)
				synctest.Wait()
				wantValue(t, h.outcome(id), 3)
				if s := h.worker.Stats(); s.Running != 0 || s.Settled != 1 || s.Pool.Stuck != 0 {
					t.Errorf("stats = %+v", s)
				}
			})
		})
	}
}

func TestATaskRevokedWhileItIsParkedIsRevokedAtOnceAndDoesNotRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		h := start(t, plan{tasks: []task.Definition{counted(&runs)}})
		began := time.Now()
		h.send(counted(&runs).S(none{}, task.ID("1"), task.ETA(began.Add(time.Hour))))
		synctest.Wait()
		h.revoke("1")
		h.wantRevoked("1", "revoked")
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it was revoked after %s", took)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if s := h.worker.Stats(); runs.Load() != 0 || s.Settled < 2 || s.Running != 0 {
			t.Errorf("runs = %d, stats = %+v", runs.Load(), s)
		}
	})
}

func TestARevokedTaskIsNotParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		h := start(t, plan{tasks: []task.Definition{counted(&runs)}})
		synctest.Wait()
		h.revoke("1")
		h.send(counted(&runs).S(none{}, task.ID("1"), task.ETA(time.Now().Add(time.Hour))))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if s := h.worker.Stats(); runs.Load() != 0 || s.Received != 1 || s.Settled != 1 {
			t.Errorf("runs = %d, stats = %+v; want one delivery", runs.Load(), s)
		}
	})
}

// startingStore holds the storing of STARTED up.
type startingStore struct {
	result.Backend
	begun, release chan struct{}
}

func (s startingStore) Store(ctx context.Context, m task.Meta) error {
	if m.State == task.Started {
		close(s.begun)
		<-s.release
	}
	return s.Backend.Store(ctx, m)
}

func TestATaskThatIsTerminatedJustBeforeItRunsDoesNotRun(t *testing.T) {
	for _, signal := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(signal, func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				var runs atomic.Int32
				store := startingStore{resultmem.New(resultmem.Config{}), make(chan struct{}), make(chan struct{})}
				opts.TrackStarted = true
				h := start(t, plan{opts: opts, results: store, tasks: []task.Definition{counted(&runs)}})
				id := h.send(counted(&runs).S(none{}))
				<-store.begun
				h.revoke(id, task.Terminate(signal))
				close(store.release)
				h.wantRevoked(id, "terminated")
				synctest.Wait()
				if s := h.worker.Stats(); runs.Load() != 0 || s.Running != 0 || s.Settled != 1 {
					t.Errorf("runs = %d, stats = %+v", runs.Load(), s)
				}
			})
		})
	}
}

func TestWhatHasEndedStaysAsItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fail := task.New("tasks.fail", func(context.Context, none) (int, error) { return 0, errors.New("boom") })
		h := start(t, plan{tasks: []task.Definition{fail}})
		id := h.send(fail.S(none{}))
		h.outcome(id)
		h.revoke(id)
		if meta := h.outcome(id); meta.State != task.Failure {
			t.Errorf("state = %s, want FAILURE", meta.State)
		}
	})
}

func TestTasksAreRevokedByTheirStamps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		sleeper := task.New("tasks.sleeper", func(ctx context.Context, _ none) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		h := start(t, plan{opts: worker.Options{Concurrency: 4}, tasks: []task.Definition{counted(&runs), sleeper}})
		running := h.send(sleeper.S(none{}, task.Stamp("team", []string{"red", "blue"})))
		other := h.send(sleeper.S(none{}, task.Stamp("team", "green")))
		synctest.Wait()
		node := worker.NodeName("celery@%h")
		for _, c := range []struct {
			stamps    map[string]any
			terminate bool
			want      string
		}{
			{map[string]any{"tenant": []string{"acme"}}, false, "headers {'tenant': ['acme']} flagged as revoked, but not terminated"},
			{map[string]any{"tenant": []string{"acme"}}, true, "headers {'tenant': ['acme']} were not terminated"},
			{map[string]any{"team": []string{"blue"}}, true, "headers defaultdict(<class 'set'>, {'team': {'blue'}}) revoked"},
			{map[string]any{"batch": 7}, false, "headers {'batch': 7} flagged as revoked, but not terminated"},
		} {
			text, _ := json.Marshal(c.want)
			got := h.ask(control.RevokeByStamps(c.stamps, task.Revocation{Terminate: c.terminate}))
			if want := node + `: {"ok":` + string(text) + `}`; len(got) != 1 || !sameJSON(got[0], want) {
				t.Errorf("answer = %q, want %q", got, want)
			}
		}
		h.wantRevoked(running, "terminated")
		for i, stamp := range []task.SendOption{task.Stamp("tenant", "acme"), task.Stamp("tenant", []string{"x", "acme"}), task.Stamp("batch", 7)} {
			id := h.send(counted(&runs).S(none{}, stamp))
			h.wantRevoked(id, "revoked")
			if runs.Load() != 0 {
				t.Fatalf("%d: it ran", i)
			}
		}
		for _, stamp := range []task.SendOption{task.Stamp("tenant", "other"), task.Stamp("other", "acme"), task.Stamp("batch", "7")} {
			h.outcome(h.send(counted(&runs).S(none{}, stamp)))
		}
		if runs.Load() != 3 {
			t.Errorf("runs = %d, want 3", runs.Load())
		}
		if meta, err := h.results.Get(t.Context(), other); err != nil || meta.State.Ready() {
			t.Errorf("the task of the other team: %s, %v", meta.State, err)
		}
	})
}

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

func TestRevokesSurviveARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "worker.state")
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		opts := worker.Options{StateDB: path, RevokeExpires: time.Hour}
		run := func(do func(*house)) {
			h := start(t, plan{opts: opts, tasks: []task.Definition{counted(&runs)}})
			synctest.Wait()
			do(h)
			if err := h.stop(); err != nil {
				t.Error(err)
			}
		}
		run(func(h *house) {
			h.revoke("1")
			h.ask(control.RevokeByStamps(map[string]any{"tenant": "acme"}, task.Revocation{}))
		})
		time.Sleep(30 * time.Minute)
		run(func(h *house) {
			h.wantRevoked(h.send(counted(&runs).S(none{}, task.ID("1"))), "revoked")
			h.wantRevoked(h.send(counted(&runs).S(none{}, task.Stamp("tenant", "acme"))), "revoked")
		})
		if runs.Load() != 0 {
			t.Errorf("runs = %d", runs.Load())
		}
		time.Sleep(31 * time.Minute)
		run(func(h *house) { wantValue(t, h.outcome(h.send(counted(&runs).S(none{}, task.ID("1")))), 1) })
	})
}

// A crash loses what was revoked within the last second.
func TestRevokesAreSavedSoon(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "worker.state")
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{StateDB: path}, tasks: []task.Definition{add()}})
		synctest.Wait()
		h.revoke("some-id")
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "some-id") {
			t.Errorf("state = %s, %v", text, err)
		}
	})
}

func TestWorkersThatShareAStateFileLoseNothingOfEachOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "worker.state")
	synctest.Test(t, func(t *testing.T) {
		for _, id := range []string{"1", "2"} {
			h := start(t, plan{opts: worker.Options{StateDB: path, Hostname: "w" + id + "@host"}, tasks: []task.Definition{add()}})
			synctest.Wait()
			h.revoke(id)
			defer h.stop()
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{StateDB: path, Hostname: "w@host"}, tasks: []task.Definition{add()}})
		synctest.Wait()
		if got := h.ask(control.Request{Method: "revoked"}); len(got) != 1 || !strings.Contains(got[0], `"1"`) || !strings.Contains(got[0], `"2"`) {
			t.Errorf("revoked = %q", got)
		}
	})
}

func TestAForeignStateFileIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "celery.db")
	if err := os.WriteFile(path, []byte("\x13\x57\x9a\xce shelve"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := worker.New(worker.Config{
		Options: worker.Options{Queues: []string{queue}, StateDB: path}, Broker: mem.NewServer().Open(), Registry: &task.Registry{},
	})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--statedb") {
		t.Errorf("err = %v", err)
	}
}

func TestTheRevokedAreBoundedAndExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{RevokesMax: 3}, tasks: []task.Definition{add()}})
		synctest.Wait()
		for i := range 5 {
			h.revoke(fmt.Sprint(i))
			time.Sleep(time.Hour)
		}
		if got := h.ask(control.Request{Method: "revoked"}); !strings.HasSuffix(got[0], `["3","4"]`) { // "2" is over
			t.Errorf("revoked = %q", got)
		}
		for i := range 5 {
			h.revoke(fmt.Sprint(i))
		}
		if got := h.ask(control.Request{Method: "revoked"}); !strings.HasSuffix(got[0], `["2","3","4"]`) {
			t.Errorf("revoked = %q", got)
		}
	})
}

func TestARevokedCallIsLeftOutOfItsBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sums
		sum := s.task()
		h := start(t, plan{tasks: []task.Definition{sum}})
		first := h.send(sum.S(pair{1, 1}))
		revoked := h.send(sum.S(pair{2, 2}))
		synctest.Wait()
		h.revoke(revoked)
		wantValue(t, h.outcome(first), 2)
		h.wantRevoked(revoked, "revoked")
		synctest.Wait()
		if sizes, _ := s.seen(); !slices.Equal(sizes, []int{1}) {
			t.Errorf("batches of %v, want one of 1", sizes)
		}
		if s := h.worker.Stats(); s.Running != 0 || s.Settled != 2 {
			t.Errorf("stats = %+v", s)
		}
	})
}

// The slot is that of the other calls of the batch, too: it is not given up for one of them.
func TestACallOfABatchIsTerminatedAlone(t *testing.T) {
	for _, signal := range []string{"SIGTERM", "SIGKILL"} {
		t.Run(signal, func(t *testing.T) {
			inEveryPool(t, func(t *testing.T, opts worker.Options) {
				release := make(chan struct{})
				slow := task.NewBatch("tasks.slow", func(_ context.Context, calls []*adding) error {
					<-release
					for _, c := range calls {
						if context.Cause(c.Context()) == nil {
							c.Succeed(c.Args.X + c.Args.Y)
						}
					}
					return nil
				}, task.BatchSize(2), task.BatchWait(time.Minute))
				h := start(t, plan{opts: opts, tasks: []task.Definition{slow}})
				stays, goes := h.send(slow.S(pair{1, 1})), h.send(slow.S(pair{2, 2}))
				synctest.Wait()
				h.revoke(goes, task.Terminate(signal))
				if s := h.worker.Stats(); s.Pool.Stuck != 0 {
					t.Errorf("stats = %+v", s)
				}
				close(release)
				wantValue(t, h.outcome(stays), 2)
				h.wantRevoked(goes, "terminated")
				synctest.Wait()
				if s := h.worker.Stats(); s.Pool.Stuck != 0 || s.Running != 0 {
					t.Errorf("stats = %+v", s)
				}
			})
		})
	}
}
