package taskq_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// plus returns a call that adds n to what it is given.
func plus(n int, opts ...task.SendOption) task.Signature {
	return task.Signature{Task: "tasks.add", Args: []any{n}}.With(opts...)
}

func sum(numbers ...int) task.Signature {
	s := task.Signature{Task: "tasks.sum"}
	if numbers != nil {
		s.Args = []any{numbers}
	}
	return s
}

func sums() *task.Task[[]int, int] {
	return task.New("tasks.sum", func(_ context.Context, numbers []int) (int, error) {
		total := 0
		for _, n := range numbers {
			total += n
		}
		return total, nil
	})
}

func fails() *task.Task[task.Arguments, any] {
	return task.Raw("tasks.fail", task.HandlerFunc(func(context.Context, *task.Request) (any, error) { return 0, errOutOfStock }))
}

// value sends a workflow and returns what it comes to, as text.
func value(t *testing.T, app *taskq.App, s task.Signature) (string, error) {
	t.Helper()
	r, err := app.Send(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Get(t.Context())
	return fmt.Sprint(got), err
}

// stores are a broker and a result store for each kind of them.
func stores(t *testing.T) map[string]taskq.Config {
	t.Helper()
	amqp := func() string { return testserver.AMQPVhost(t) }
	return map[string]taskq.Config{
		"rpc":        {BrokerURL: amqp()},
		"Redis":      {BrokerURL: amqp(), ResultBackend: testserver.Redis(t)},
		"PostgreSQL": {BrokerURL: amqp(), ResultBackend: testserver.Postgres(t)},
		"embedded":   {BrokerURL: "sqlite://" + filepath.Join(t.TempDir(), "taskq.db")},
		"memory":     {BrokerURL: "memory://"},
	}
}

func TestWorkflowsRunOverEveryStore(t *testing.T) {
	t.Parallel()
	var ten []task.Signature
	for i := range 10 {
		ten = append(ten, task.Signature{Task: "tasks.add", Args: []any{i, i}})
	}
	chain := canvas.Chain(add().S(pair{1, 1}), plus(10), plus(100))
	nested := canvas.Group(chain, canvas.Group(ten[:2]...), ten[4])
	for name, cfg := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t, cfg, add(), sums(), fails())
			work(t, app)
			for _, tt := range []struct {
				workflow task.Signature
				want     string
			}{
				{chain, "112"},
				{canvas.Group(ten...), "[0 2 4 6 8 10 12 14 16 18]"},
				{nested, "[112 0 2 8]"},
				{canvas.Group(), "[]"},
				{canvas.Chain(add().S(pair{1, 2}), canvas.Group(plus(1), plus(2))), "[4 5]"},
			} {
				if got, err := value(t, app, tt.workflow); err != nil || got != tt.want {
					t.Errorf("%s of %d = %s, %v; want %s", tt.workflow.Type, len(tt.workflow.Tasks), got, err, tt.want)
				}
			}
		})
	}
}

func TestNothingOfAWorkflowIsSentUnlessAllOfItCanBe(t *testing.T) {
	t.Parallel()
	app := newApp(t, taskq.Config{}, add())
	group := canvas.Group(plus(1), plus(2), task.Signature{Task: "bad", Args: []any{make(chan int)}})
	r, err := app.Send(t.Context(), group)
	failed, ok := errors.AsType[*task.BatchError](err)
	if !ok || !errors.Is(err, broker.ErrInvalid) || len(failed.Unwrap()) != 3 || r != nil || !strings.Contains(err.Error(), "bad") {
		t.Errorf("a group with a call that cannot be encoded: %v, %v", r, err)
	}
	b, err := app.Broker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats, err := b.(broker.Measurer).Measure(t.Context(), "celery"); err == nil && stats.Messages > 0 {
		t.Errorf("%d messages were sent", stats.Messages)
	}
	for name, s := range map[string]task.Signature{"no steps": canvas.Chain(), "no name": canvas.Group(task.Signature{}), "no such thing": {Task: "x", Type: "map"}} {
		if _, err := app.Send(t.Context(), s); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestAWorkflowThatATaskSendsIsOneChild(t *testing.T) {
	t.Parallel()
	var app *taskq.App
	var sent []string
	app = newApp(t, taskq.Config{Worker: worker.Options{Concurrency: 1}}, add(), task.New("parent", func(ctx context.Context, _ struct{}) (int, error) {
		chain, err := app.Send(ctx, canvas.Chain(sum(1), plus(2)))
		if err != nil {
			return 0, err
		}
		group := canvas.Group(plus(1), plus(2))
		results, err := app.SendBatch(ctx, []task.Signature{plus(3), group, canvas.Chain()})
		if failed, ok := errors.AsType[*task.BatchError](err); !ok || len(failed.Errors) != 3 || failed.Errors[0] != nil || failed.Errors[1] != nil {
			t.Errorf("err = %v, want one for the chain", err)
		}
		group.Detached = true
		if _, err := app.Send(ctx, group); err != nil {
			return 0, err
		}
		sent = []string{chain.Parent().ID(), results[0].ID(), results[1].ID()}
		return 0, nil
	}))
	work(t, app)
	r, err := app.Send(t.Context(), task.Signature{Task: "parent"})
	if err != nil {
		t.Fatal(err)
	}
	meta, err := r.Wait(t.Context())
	if err != nil || meta.State != task.Success {
		t.Fatal(meta.Err(), err)
	}
	var children []string
	for _, ref := range meta.Children {
		children = append(children, ref.ID)
	}
	if !slices.Equal(children, sent) {
		t.Errorf("children = %q; want the chain's first step, the call and the group: %q", children, sent)
	}
	if group := meta.Children[2]; !group.Group || len(group.Members) != 2 {
		t.Errorf("group = %+v", group)
	}
}
