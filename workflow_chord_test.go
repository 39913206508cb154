package taskq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

func TestChordsRunOverEveryStoreThatCounts(t *testing.T) {
	t.Parallel()
	one := add().S(pair{1, 1})
	var ten []task.Signature
	for i := range 10 {
		ten = append(ten, add().S(pair{i, i}))
	}
	inner := canvas.Chord([]task.Signature{one, one}, sum())
	for name, cfg := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t, cfg, add(), sums(), fails())
			if name == "rpc" {
				for what, s := range map[string]task.Signature{
					"a chord": inner, "in a chain": canvas.Chain(one, canvas.Group(plus(1), plus(2)), sum()), "in a group": canvas.Group(one, inner),
					"after a step": canvas.Chain(one, canvas.Chord([]task.Signature{plus(1), plus(2)}, sum())),
				} {
					if _, err := app.Send(t.Context(), s); !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), "result_backend") {
						t.Errorf("%s: %v, want an error that says what to configure", what, err)
					}
				}
				return
			}
			work(t, app)
			for what, tt := range map[string]struct {
				workflow task.Signature
				want     string
			}{
				"ten":                  {canvas.Chord(ten, sum()), "90"},
				"a chain in it":        {canvas.Chord([]task.Signature{one, canvas.Chain(one, plus(10))}, sum()), "14"},
				"a chord in it":        {canvas.Chord([]task.Signature{one, inner}, sum()), "6"},
				"a chain for a body":   {canvas.Chord([]task.Signature{one, one}, canvas.Chain(sum(), plus(5))), "9"},
				"a group in a chain":   {canvas.Chain(one, canvas.Group(plus(1), plus(2)), sum(), plus(100)), "107"},
				"in a group":           {canvas.Group(inner, one), "[4 2]"},
				"nothing to wait for":  {canvas.Chord(nil, sum()), "0"},
				"one to wait for":      {canvas.Chord([]task.Signature{one}, sum()), "2"},
				"a group for a header": {canvas.Chord([]task.Signature{canvas.Group(one, one, one)}, sum()), "6"},
			} {
				if got, err := value(t, app, tt.workflow); err != nil || got != tt.want {
					t.Errorf("%s: %s, %v; want %s", what, got, err, tt.want)
				}
			}
		})
	}
}

func TestAChordWhoseHeaderFailsFails(t *testing.T) {
	t.Parallel()
	for name, cfg := range stores(t) {
		if name == "rpc" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t, cfg, add(), sums(), fails())
			work(t, app)
			sent, err := app.Send(t.Context(), canvas.Chain(
				canvas.Chord([]task.Signature{add().S(pair{1, 1}), {Task: "tasks.fail"}}, sum()), plus(1),
			))
			if err != nil {
				t.Fatal(err)
			}
			_, err = sent.Get(t.Context())
			if remote, ok := errors.AsType[*task.RemoteError](err); !ok || remote.Type != "ChordError" {
				t.Errorf("err = %v, want a ChordError", err)
			}
			header := sent.Parent()
			for header != nil && !header.IsGroup() {
				header = header.Parent()
			}
			if header == nil {
				t.Fatal("the result has no header before it")
			}
			metas, err := header.Outcomes(t.Context())
			if err != nil || len(metas) != 2 || metas[0].State != task.Success || metas[1].State != task.Failure {
				t.Errorf("outcomes of the header = %+v, %v", metas, err)
			}
		})
	}
}

func TestAnErrbackOfAChordIsCalledForItsHeaderWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, onHeader := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var calls []int // how many arguments they had: the id of the body, or none as the header's are immutable
			cleanUp := task.Raw("tasks.clean", task.HandlerFunc(func(_ context.Context, req *task.Request) (any, error) {
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, len(req.Args))
				return 0, nil
			}))
			app := newApp(t, taskq.Config{BrokerURL: "memory://", ErrbacksOnHeader: onHeader}, sums(), fails(), cleanUp)
			work(t, app)
			chord := canvas.Chord([]task.Signature{{Task: "tasks.fail"}}, sum())
			if _, err := app.Send(t.Context(), chord.With(task.LinkError(task.Signature{Task: "tasks.clean"}))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(calls)
			if want := map[bool][]int{false: {1}, true: {0, 1}}[onHeader]; !slices.Equal(calls, want) {
				t.Errorf("on header = %t: called with %v arguments, want %v", onHeader, calls, want)
			}
		})
	}
}

func TestAChordThatATaskSendsIsItsHeaderAmongTheChildren(t *testing.T) {
	t.Parallel()
	var app *taskq.App
	parent := task.New("parent", func(ctx context.Context, _ struct{}) (string, error) {
		r, err := app.Send(ctx, canvas.Chord([]task.Signature{add().S(pair{1, 1}), add().S(pair{2, 2})}, sum()))
		if err != nil {
			return "", err
		}
		return r.ID(), nil
	})
	app = newApp(t, taskq.Config{Worker: worker.Options{Concurrency: 1}}, add(), sums(), parent)
	work(t, app)
	sent, err := parent.Send(t.Context(), app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := sent.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := app.Result(body).Get(t.Context()); err != nil || fmt.Sprint(got) != "6" {
		t.Errorf("body = %v, %v", got, err)
	}
	children, err := sent.Children(t.Context())
	if err != nil || len(children) != 1 || !children[0].IsGroup() || len(children[0].Members()) != 2 {
		t.Errorf("children = %v, %v; want the header", children, err)
	}
}

// A call that the broker refuses is one that a chord would wait for: the chord is given up. What was sent runs.
func TestAWorkflowThatTheBrokerTakesByHalfSaysSo(t *testing.T) {
	t.Parallel()
	for _, results := range []string{"redis", "postgres"} {
		t.Run(results, func(t *testing.T) {
			t.Parallel()
			url := testserver.Redis(t)
			if results == "postgres" {
				url = testserver.Postgres(t)
			}
			app := newApp(t, taskq.Config{BrokerURL: testserver.AMQPVhost(t), ResultBackend: url}, add(), sums())
			b, err := app.Broker(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			topology := broker.Topology{Queues: []broker.Queue{{Name: "full", Arguments: broker.Table{"x-max-length": int32(0), "x-overflow": "reject-publish"}}}}
			if err := b.Declare(t.Context(), topology); err != nil {
				t.Fatal(err)
			}
			refused := add().S(pair{1, 2}, task.Queue("full"), task.FailFast())
			members := []task.Signature{add().S(pair{1, 1}), refused, add().S(pair{2, 2})}
			for name, s := range map[string]task.Signature{"group": canvas.Group(members...), "chord": canvas.Chord(members, sum())} {
				sent, err := app.Send(t.Context(), s)
				failed, ok := errors.AsType[*task.BatchError](err)
				if !ok || sent == nil || len(failed.Errors) != 3 || failed.Errors[0] != nil || failed.Errors[1] == nil || failed.Errors[2] != nil {
					t.Fatalf("%s: %v, %v; want that the second call was not sent", name, sent, err)
				}
				if name == "chord" != strings.Contains(err.Error(), "bodies never run") {
					t.Errorf("%s: %v", name, err)
				}
			}
			work(t, app)
			if got, err := value(t, app, canvas.Chord([]task.Signature{members[0], members[2]}, sum())); err != nil || got != "6" {
				t.Errorf("the next one = %s, %v", got, err)
			}
		})
	}
}

func TestAChordWithACallThatCannotBeSentIsNotNoted(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add(), sums())
	bad := task.Signature{Task: "tasks.add", Args: []any{make(chan int)}}
	results, err := app.SendBatch(t.Context(), []task.Signature{
		canvas.Chord([]task.Signature{plus(1), bad}, sum()), canvas.Chord([]task.Signature{add().S(pair{1, 1}), add().S(pair{1, 1})}, sum()),
	})
	failed, ok := errors.AsType[*task.BatchError](err)
	if !ok || failed.Errors[0] == nil || failed.Errors[1] != nil || results[0] != nil {
		t.Fatalf("results = %v, err = %v; want the first refused", results, err)
	}
	work(t, app)
	if got, err := results[1].Get(t.Context()); err != nil || fmt.Sprint(got) != "4" {
		t.Errorf("the second = %v, %v", got, err)
	}
}

// poor is a result store that keeps outcomes and counts nothing.
type poor struct{ result.Backend }

// forgetful is one that counts chords, and notes which it is told to forget.
type forgetful struct {
	*resultmem.Backend
	opened, forgotten []string
}

func (f *forgetful) OpenChord(ctx context.Context, header task.Ref) error {
	f.opened = append(f.opened, header.ID)
	return f.Backend.OpenChord(ctx, header)
}

func (f *forgetful) ForgetChord(ctx context.Context, group string) error {
	f.forgotten = append(f.forgotten, group)
	return f.Backend.ForgetChord(ctx, group)
}

func TestAChordIsLookedAfterWhereNobodyCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app, err := taskq.New(taskq.Config{
			Broker: mem.NewServer().Open(), Results: poor{resultmem.New(resultmem.Config{})}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer app.Close(t.Context())
		if err := app.Register(add(), sums()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- app.Run(ctx) }()
		chord := canvas.Chord([]task.Signature{add().S(pair{1, 1}), add().S(pair{2, 2})}, sum())
		if got, err := value(t, app, chord); err != nil || got != "6" {
			t.Errorf("chord = %s, %v", got, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyTheChordsThatAreNotWholeAreForgotten(t *testing.T) {
	t.Parallel()
	store := &forgetful{Backend: resultmem.New(resultmem.Config{})}
	server := mem.NewServer()
	app, err := taskq.New(taskq.Config{Broker: server.Open(), Results: store, Declare: broker.DeclareNever, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close(t.Context())
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Declare(t.Context(), broker.TaskQueue(broker.Queue{Name: "celery"})); err != nil {
		t.Fatal(err)
	}
	lost := add().S(pair{1, 1}, task.Queue("nowhere"))
	whole := canvas.Chord([]task.Signature{plus(1), plus(2)}, sum())
	half := canvas.Chord([]task.Signature{plus(1), canvas.Chain(lost, plus(2))}, sum())
	outer := canvas.Chord([]task.Signature{plus(1), half}, sum())
	if _, err := app.Send(t.Context(), canvas.Group(whole, outer)); !errors.Is(err, broker.ErrUnroutable) || !strings.Contains(err.Error(), "2 of its chords") {
		t.Errorf("err = %v, want it to say that two chords are given up", err)
	}
	if len(store.opened) != 3 || !slices.Equal(store.forgotten, store.opened[1:]) {
		t.Errorf("opened %v, forgotten %v; want the second and the third", store.opened, store.forgotten)
	}
}
