package worker_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// recorder is a store that remembers all that was stored, in order.
type recorder struct {
	result.Backend
	mu     sync.Mutex
	metas  []task.Meta
	before func(context.Context, task.Meta) error // may be nil
}

func newRecorder() *recorder { return &recorder{Backend: resultmem.New(resultmem.Config{})} }

func (r *recorder) Store(ctx context.Context, meta task.Meta) error {
	if r.before != nil {
		if err := r.before(ctx, meta); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.metas = append(r.metas, meta)
	r.mu.Unlock()
	return r.Backend.Store(ctx, meta)
}

// states are what was stored of a task, as texts.
func (r *recorder) states() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, m := range r.metas {
		all = append(all, string(m.State)+" "+string(m.Result))
	}
	return all
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, r.states()); diff != "" {
		t.Errorf("stored (-want +got)\n%s", diff)
	}
}

type step struct {
	Done int `json:"done"`
}

func TestTasksSetStatesOfTheirOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := task.New("tasks.long", func(ctx context.Context, _ none) (int, error) {
			for _, bad := range []task.State{"", task.Pending, task.Success, task.Failure, task.Retried, task.Revoked} {
				if err := task.SetState(ctx, bad, 1); err == nil {
					t.Errorf("a task can set %q", bad)
				}
			}
			if err := task.Progress(ctx, make(chan int)); err == nil {
				t.Error("a channel is a state")
			}
			return 3, errors.Join(task.Progress(ctx, step{1}), task.SetState(ctx, "CHEWING", "slowly"))
		})
		store := newRecorder()
		h := start(t, plan{results: store, tasks: []task.Definition{long}})
		s := long.S(none{})
		s.GroupID, s.ParentID, s.ReplyTo = "g", "p", "answers"
		id := h.send(s)
		wantValue(t, h.outcome(id), 3)
		store.want(t, `PROGRESS {"done":1}`, `CHEWING "slowly"`, `SUCCESS 3`)
		ignore := cmpopts.IgnoreFields(task.Meta{}, "State", "Result", "DoneAt")
		for _, m := range store.metas[:2] { // the same way goes everything, to the caller's queue say
			if diff := cmp.Diff(store.metas[2], m, ignore); diff != "" || m.ReplyTo != "answers" || !m.DoneAt.IsZero() {
				t.Errorf("%s differs from the outcome\n%s", m.State, diff)
			}
		}
	})
}

func TestNothingIsStoredAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := make(chan error, 2)
		quick := task.New("tasks.quick", func(ctx context.Context, _ none) (int, error) {
			go func() {
				time.Sleep(time.Minute)
				late <- task.Progress(context.WithoutCancel(ctx), 1)
			}()
			return 0, errors.New("early")
		})
		stuck := task.New("tasks.stuck", func(ctx context.Context, _ none) (int, error) {
			<-ctx.Done()
			time.Sleep(time.Minute)
			late <- task.Progress(context.WithoutCancel(ctx), 1)
			return 0, nil
		}, task.TimeLimit(time.Second))
		store := newRecorder()
		h := start(t, plan{results: store, tasks: []task.Definition{quick, stuck}})
		for _, s := range []task.Signature{quick.S(none{}), stuck.S(none{})} {
			h.outcome(h.send(s))
			if err := <-late; !errors.Is(err, task.ErrEnded) {
				t.Errorf("%s: err = %v, want ErrEnded", s.Task, err)
			}
		}
		if states := store.states(); len(states) != 2 {
			t.Errorf("stored %q, want the two outcomes", states)
		}
	})
}

// A state that is on its way when the task ends comes before the outcome.
func TestAStateUnderWayIsStoredBeforeTheOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newRecorder()
		store.before = func(_ context.Context, m task.Meta) error {
			if m.State == task.InProgress {
				time.Sleep(time.Second)
			}
			return nil
		}
		hasty := task.New("tasks.hasty", func(ctx context.Context, _ none) (int, error) {
			go func() { _ = task.Progress(context.WithoutCancel(ctx), 1) }()
			time.Sleep(time.Millisecond)
			return 2, nil
		})
		h := start(t, plan{results: store, tasks: []task.Definition{hasty}})
		wantValue(t, h.outcome(h.send(hasty.S(none{}))), 2)
		store.want(t, `PROGRESS 1`, `SUCCESS 2`)
	})
}

func TestAStoreThatIsAwayIsTheTasksToIgnore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newRecorder()
		store.before = func(ctx context.Context, m task.Meta) error {
			if m.State.Ready() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		long := task.New("tasks.long", func(ctx context.Context, _ none) (bool, error) {
			return errors.Is(task.Progress(ctx, 1), context.DeadlineExceeded), nil
		}, task.TrackStarted())
		h := start(t, plan{results: store, tasks: []task.Definition{long}})
		before := time.Now()
		wantValue(t, h.outcome(h.send(long.S(none{}))), true)
		if took := time.Since(before); took != 10*time.Second {
			t.Errorf("two states that could not be stored took %s, want 5 s each", took)
		}
	})
}

func TestTheStartIsShownWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		opts     worker.Options
		task     []task.Option
		ignore   bool
		states   string
		hostname string
	}{
		{name: "not", states: "SUCCESS"},
		{name: "by the worker", opts: worker.Options{TrackStarted: true}, states: "STARTED SUCCESS"},
		{name: "by the task", task: []task.Option{task.TrackStarted()}, states: "STARTED SUCCESS"},
		{name: "ignored", opts: worker.Options{TrackStarted: true}, ignore: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newRecorder()
				c.opts.Hostname = "w@h"
				quick := task.New("tasks.quick", func(context.Context, none) (int, error) { return 1, nil }, c.task...)
				h := start(t, plan{opts: c.opts, results: store, tasks: []task.Definition{quick}})
				s := quick.S(none{})
				s.IgnoreResult = c.ignore
				h.send(s)
				synctest.Wait()
				var states []string
				for _, m := range store.metas {
					states = append(states, string(m.State))
				}
				if got := strings.Join(states, " "); got != c.states {
					t.Errorf("states = %q, want %q", got, c.states)
				}
				var where struct {
					PID      int    `json:"pid"`
					Hostname string `json:"hostname"`
				}
				if len(states) > 1 {
					if err := store.metas[0].Value(&where); err != nil || where.PID != os.Getpid() || where.Hostname != "w@h" {
						t.Errorf("started = %s, %v", store.metas[0].Result, err)
					}
				}
			})
		})
	}
}

func TestOutcomesTellWhatWasCalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{opts: worker.Options{ResultExtended: true, Hostname: "w@h"}, tasks: []task.Definition{add()}})
		s := task.Signature{Task: "tasks.add", Args: []any{1}, Kwargs: map[string]any{"y": 2}}
		x := h.outcome(h.send(s)).Extended
		want := &task.Extended{
			Name: "tasks.add", Args: []byte(`[1]`), Kwargs: []byte(`{"y":2}`), ArgsRepr: "(1,)", KwargsRepr: "{'y': 2}", Worker: "w@h", Queue: queue,
		}
		if diff := cmp.Diff(want, x); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		plain := start(t, plan{tasks: []task.Definition{add()}})
		if x := plain.outcome(plain.send(s)).Extended; x != nil {
			t.Errorf("stored without being asked for: %+v", x)
		}
	})
}

// A traceback says where an error came out of a task; nothing came out of one that never ran, was given up, or had its message rejected.
func TestOnlyWhatATaskReturnsHasATraceback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: endings()})
		for name, want := range map[string]bool{"fail": true, "panic": true, "odd": true, "slow": false, "reject": false, "unknown": false} {
			meta := h.outcome(h.send(task.Signature{Task: name}))
			if meta.State != task.Failure || (meta.Traceback != "") != want {
				t.Errorf("%s: %s with the traceback %q", name, meta.State, meta.Traceback)
			}
		}
		time.Sleep(time.Minute) // of virtual time: until the task that was given up has returned
	})
}
