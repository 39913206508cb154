package taskq_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/task"
)

func TestChunksAreAListOfLists(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{BrokerURL: "memory://"}, add())
	work(t, app)
	chunks := canvas.Chunks(task.Signature{Task: add().Spec().Name}, [][]int{{1, 2}, {3, 4}, {5, 6}}, 2)
	sent, err := app.Send(t.Context(), chunks)
	if err != nil {
		t.Fatal(err)
	}
	values, err := task.ResultAs[[][]int](sent).Get(t.Context())
	if want := [][]int{{3, 7}, {11}}; err != nil || !slices.EqualFunc(values, want, slices.Equal) {
		t.Errorf("values = %v, %v; want %v", values, err, want)
	}
}

func TestAGroupThatWasSavedIsFoundElsewhere(t *testing.T) {
	t.Parallel()
	for name, cfg := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t, cfg, add())
			work(t, app)
			sent, err := app.Send(t.Context(), canvas.Group(add().S(pair{1, 2}), canvas.Chain(add().S(pair{1, 1}), plus(2))))
			if err != nil {
				t.Fatal(err)
			}
			err = app.SaveGroup(t.Context(), task.ResultAs[[]int](sent))
			if name == "rpc" {
				if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(app.ForgetGroup(t.Context(), sent.ID()), errors.ErrUnsupported) {
					t.Errorf("err = %v, want ErrUnsupported", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			elsewhere := app // nothing in memory is elsewhere
			if name != "memory" {
				elsewhere = newApp(t, cfg)
			}
			found, err := elsewhere.Group(t.Context(), sent.ID())
			if err != nil {
				t.Fatal(err)
			}
			if values, err := task.ResultAs[[]int](found).Get(t.Context()); err != nil || !slices.Equal(values, []int{3, 4}) {
				t.Errorf("values = %v, %v", values, err)
			}
			if p := found.Members()[1].Parent(); p == nil || p.ID() != sent.Members()[1].Parent().ID() {
				t.Errorf("the chain's first step is %v, want it kept", p)
			}
			if counts, err := found.Counts(t.Context()); err != nil || counts != (task.Counts{Tasks: 2, Succeeded: 2}) {
				t.Errorf("counts = %+v, %v", counts, err)
			}
			if err := errors.Join(elsewhere.ForgetGroup(t.Context(), sent.ID()), app.ForgetGroup(t.Context(), sent.ID())); err != nil {
				t.Error(err)
			}
			if _, err := app.Group(t.Context(), sent.ID()); !errors.Is(err, task.ErrUnknownGroup) {
				t.Errorf("err = %v, want ErrUnknownGroup", err)
			}
		})
	}
}

func TestOnlyGroupsAreSaved(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{})
	if err := app.SaveGroup(t.Context(), app.Result("x")); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("err = %v, want ErrUnsupported", err)
	}
}

func TestMembersOfAGroupComeInAsTheyEnd(t *testing.T) {
	t.Parallel()
	for name, cfg := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gates := make([]chan struct{}, 4)
			for i := range gates {
				gates[i] = make(chan struct{})
			}
			gated := task.New("gated", func(ctx context.Context, i int) (int, error) {
				select {
				case <-gates[i]:
				case <-ctx.Done():
				}
				if i == 1 {
					return 0, errOutOfStock
				}
				return 10 * i, nil
			})
			cfg.Worker.Concurrency = len(gates)
			app := newApp(t, cfg, gated)
			work(t, app)
			group := canvas.Group(gated.S(0), gated.S(1), gated.S(2), gated.S(3))
			sent, err := app.Send(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			order := []int{2, 1, 3, 0}
			close(gates[order[0]])
			var seen []string
			for member, err := range sent.Completed(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				var value int
				err = member.Value(&value)
				seen = append(seen, fmt.Sprint(member.Index, value, err != nil))
				if n := len(seen); n < len(order) {
					close(gates[order[n]])
				}
			}
			if want := []string{"2 20 false", "1 0 true", "3 30 false", "0 0 false"}; !slices.Equal(seen, want) {
				t.Errorf("seen %q, want %q", seen, want)
			}
			if metas, err := sent.Outcomes(t.Context()); err != nil || len(metas) != 4 || metas[1].State != task.Failure || string(metas[3].Result) != "30" {
				t.Errorf("outcomes = %+v, %v", metas, err)
			}
		})
	}
}

func TestAFailedStepIsWhatAChainComesTo(t *testing.T) {
	t.Parallel()
	for name, cfg := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t, cfg, add(), fails())
			work(t, app)
			chain := canvas.Chain(add().S(pair{1, 2}), task.Signature{Task: "tasks.fail"}, plus(1), plus(2))
			sent, err := app.Send(t.Context(), chain)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sent.Get(t.Context()); err == nil || !strings.HasSuffix(err.Error(), ": out of stock") {
				t.Errorf("err = %v", err)
			}
			if first := sent.Parent().Parent().Parent(); first == nil || first.Parent() != nil {
				t.Fatalf("the chain's first step is %v", first)
			} else if value, err := first.Get(t.Context()); err != nil || fmt.Sprint(value) != "3" {
				t.Errorf("first step = %v, %v", value, err)
			}
		})
	}
}

func TestIgnoredOutcomesOfAWorkflowAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add(), task.New("silent", func(context.Context, struct{}) (int, error) { return 0, nil }, task.IgnoreResult()))
	for name, s := range map[string]task.Signature{
		"a member":       canvas.Group(task.Signature{Task: "silent"}, plus(1)),
		"the last step":  canvas.Chain(add().S(pair{1, 2}), task.Signature{Task: "silent"}),
		"by the call":    canvas.Chain(add().S(pair{1, 2}), plus(1, task.IgnoreResult())),
		"of all of them": canvas.Group(plus(1), plus(2)).With(task.IgnoreResult()),
		"a chain's last": canvas.Group(canvas.Chain(plus(1), plus(2, task.IgnoreResult()))),
	} {
		r, err := app.Send(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Get(t.Context()); !errors.Is(err, task.ErrResultIgnored) {
			t.Errorf("%s: %v, want ErrResultIgnored", name, err)
		}
	}
}
