package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// heldStore does not say what it keeps until it is told to, and counts who waits for that.
type heldStore struct {
	result.Backend
	asked   atomic.Int32
	release chan struct{}
}

func (s *heldStore) Get(ctx context.Context, id string) (task.Meta, error) {
	s.asked.Add(1)
	<-s.release
	return s.Backend.Get(ctx, id)
}

func TestCommandsToRevokeDoNotAddUpWhileTheStoreIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		store := &heldStore{Backend: resultmem.New(resultmem.Config{}), release: make(chan struct{})}
		h := start(t, plan{tasks: []task.Definition{counted(&runs)}, results: store})
		synctest.Wait() // it hears commands
		for i := range 100 {
			h.revoke(strconv.Itoa(i))
		}
		if asked := store.asked.Load(); asked != 16 {
			t.Errorf("%d commands wait for the store, want 16", asked)
		}
		close(store.release)
		h.wantRevoked("0", "revoked")
		h.send(counted(&runs).S(none{}, task.ID("99"))) // it was not marked, and does not run
		h.wantRevoked("99", "revoked")
		if runs.Load() != 0 {
			t.Errorf("the revoked task ran")
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
