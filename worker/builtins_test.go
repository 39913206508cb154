package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

type sum struct {
	X int `task:"x"`
	Y int `task:"y,optional"`
}

// builtinCall is a call of one of Celery's own tasks.
func builtinCall(name string, args []any, kwargs map[string]any) task.Signature {
	return task.Signature{Task: name, Args: args, Kwargs: kwargs}
}

// over are the arguments of celery.map and celery.starmap.
func over(name string, items ...any) map[string]any {
	return map[string]any{"task": map[string]any{"task": name, "args": []any{99}, "subtask_type": nil}, "it": items}
}

// items are tasks that end in all ways, by their argument.
func items(seen *[]string) []task.Definition {
	note := func(label string) task.Middleware {
		return func(next task.Handler) task.Handler {
			return task.HandlerFunc(func(ctx context.Context, req *task.Request) (any, error) {
				*seen = append(*seen, fmt.Sprintf("%s %s %s", label, req.Name, req.ID))
				return next.Handle(ctx, req)
			})
		}
	}
	return []task.Definition{
		task.New("add", func(_ context.Context, s sum) (int, error) { return s.X + s.Y, nil }, task.With(note("own"))),
		task.New("fail", func(_ context.Context, n int) (int, error) {
			if n == 2 {
				return 0, task.Raise("ValueError", "two")
			}
			return n, nil
		}, task.Retry(task.RetryPolicy{})),
		task.New("retry", func(_ context.Context, n int) (int, error) {
			return 0, task.RetryAfter(task.Raise("ValueError", "later"), time.Second)
		}),
		task.New("again", func(_ context.Context, n int) (int, error) { return 0, task.RetryAfter(nil, time.Second) }),
		task.New("ignore", func(_ context.Context, n int) (int, error) { return 0, task.ErrIgnore }),
		task.New("reject", func(_ context.Context, n int) (int, error) { return 0, task.Reject(errors.New("no")) }),
		task.New("panic", func(_ context.Context, n int) (int, error) { panic("oops") }),
		task.New("wait", func(ctx context.Context, n int) (int, error) { time.Sleep(time.Minute); return n, nil }),
		task.NewBatch("batch", func(_ context.Context, calls []*task.BatchCall[int, int]) error {
			for _, c := range calls {
				c.Succeed(10*c.Args + len(calls))
			}
			return nil
		}),
		task.Remote[int, int]("remote"),
	}
}

func TestTheBuiltInTasksOfCeleryRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		call task.Signature
		want string
	}{
		"map":                   {builtinCall("celery.map", nil, over("add", 1, 2, 3)), "[1,2,3]"},
		"map of nothing":        {builtinCall("celery.map", nil, over("add")), "[]"},
		"map by position":       {builtinCall("celery.map", []any{map[string]any{"task": "add"}, []any{7}}, nil), "[7]"},
		"starmap":               {builtinCall("celery.starmap", nil, over("add", []any{1, 2}, []any{3}, []any{-1, 1})), "[3,3,0]"},
		"map of a batch":        {builtinCall("celery.map", nil, over("batch", 1, 2)), "[11,21]"},
		"map of a built-in":     {builtinCall("celery.map", nil, over("celery.accumulate", 1, "a")), `[[1],["a"]]`},
		"accumulate":            {builtinCall("celery.accumulate", []any{1, 2.5, "a", nil}, nil), `[1,2.5,"a",null]`},
		"accumulate nothing":    {builtinCall("celery.accumulate", nil, nil), "[]"},
		"accumulate one":        {builtinCall("celery.accumulate", []any{[]any{1, 2}, 3}, map[string]any{"index": 0}), "[1,2]"},
		"accumulate the last":   {builtinCall("celery.accumulate", []any{1, 2}, map[string]any{"index": -1}), "2"},
		"accumulate, null":      {builtinCall("celery.accumulate", []any{1}, map[string]any{"index": nil}), "[1]"},
		"accumulate, more told": {builtinCall("celery.accumulate", []any{1}, map[string]any{"colour": "red"}), "[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, plan{tasks: items(new([]string))})
				meta := h.outcome(h.send(test.call))
				if got := string(meta.Result); meta.State != task.Success || got != test.want {
					t.Errorf("outcome = %s %s, want %s", meta.State, got, test.want)
				}
			})
		})
	}
}

func TestWhatABuiltInTaskCannotDoFailsIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		call        task.Signature
		class, text string
	}{
		"a failing item":     {builtinCall("celery.map", nil, over("fail", 1, 2, 3)), "ValueError", "two"},
		"an unknown task":    {builtinCall("celery.map", nil, over("unknown", 1)), "NotRegistered", "unknown"},
		"a task elsewhere":   {builtinCall("celery.map", nil, over("remote", 1)), "NotRegistered", "remote"},
		"a wrong item":       {builtinCall("celery.map", nil, over("add", "x")), "TypeError", "x"},
		"an item too long":   {builtinCall("celery.starmap", nil, over("add", []any{1, 2, 3})), "TypeError", "positional"},
		"no list":            {builtinCall("celery.starmap", nil, over("add", 1)), "TypeError", "must be a list"},
		"null":               {builtinCall("celery.starmap", nil, over("add", nil)), "TypeError", "must be a list"},
		"no items":           {builtinCall("celery.map", nil, map[string]any{"task": map[string]any{"task": "add"}}), "TypeError", "missing"},
		"no signature":       {builtinCall("celery.map", nil, map[string]any{"task": 7, "it": []any{1}}), "TypeError", "argument task: wire: decode signature"},
		"a retry":            {builtinCall("celery.map", nil, over("retry", 1)), "ValueError", "later"},
		"a retry of nothing": {builtinCall("celery.map", nil, over("again", 1)), "Exception", "cannot be tried again"},
		"a panic":            {builtinCall("celery.map", nil, over("panic", 1)), "Panic", "oops"},
		"no such index":      {builtinCall("celery.accumulate", []any{1}, map[string]any{"index": 1}), "IndexError", "out of range"},
		"below all indices":  {builtinCall("celery.accumulate", []any{1}, map[string]any{"index": -2}), "IndexError", "out of range"},
		"no index at all":    {builtinCall("celery.accumulate", []any{1}, map[string]any{"index": "x"}), "TypeError", "'x'"},
		"a rejected item":    {builtinCall("celery.map", nil, over("reject", 1)), "Reject", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, plan{tasks: items(new([]string))})
				remote := h.wantFailure(h.send(test.call), test.class)
				if !strings.Contains(remote.Message, test.text) {
					t.Errorf("message = %s, want … %s …", remote.Message, test.text)
				}
			})
		})
	}
}

func TestAnItemThatIsIgnoredIsTheWholeCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: items(new([]string))})
		id := h.send(builtinCall("celery.map", nil, over("ignore", 1)))
		synctest.Wait()
		h.wantWaiting(queue, 0)
		if meta, err := h.results.Get(t.Context(), id); err != nil || meta.State != task.Pending {
			t.Errorf("outcome = %s, %v; want none", meta.State, err)
		}
	})
}

// The worker's middleware stands for Celery's signals, which a task that is called directly does not send; that of the task for its class.
func TestTheMiddlewareOfATaskIsAroundEachItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		h := start(t, plan{tasks: items(&seen), middleware: []task.Middleware{func(next task.Handler) task.Handler {
			return task.HandlerFunc(func(ctx context.Context, req *task.Request) (any, error) {
				seen = append(seen, "worker's "+req.Name)
				return next.Handle(ctx, req)
			})
		}}})
		s := builtinCall("celery.map", nil, over("add", 1, 2))
		s.ID = "1"
		h.send(s)
		h.outcome("1")
		if got, want := strings.Join(seen, ", "), "worker's celery.map, own add 1, own add 1"; got != want {
			t.Errorf("middleware saw %s\nwant %s", got, want)
		}
	})
}

func TestWhatAnItemSendsIsAChildOfTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type where struct{ id, arguments string }
		var seen []where
		look := task.New("look", func(ctx context.Context, n int) (any, error) {
			req := task.FromContext(ctx)
			seen = append(seen, where{req.ID, string(req.Args[0])})
			task.TrailFrom(ctx).Add(task.Ref{ID: fmt.Sprint("child", n)})
			return nil, nil
		})
		h := start(t, plan{tasks: []task.Definition{look}})
		id := h.send(builtinCall("celery.map", nil, over("look", 1, 2)))
		meta := h.outcome(id)
		if got := fmt.Sprint(seen); got != fmt.Sprintf("[{%s 1} {%s 2}]", id, id) {
			t.Errorf("items saw %s", got)
		}
		if got := family(meta.Children); got != "child1 child2" {
			t.Errorf("children = %s", got)
		}
	})
}

// One slot runs all of the items, with its own resources, one after the other.
func TestTheItemsRunInOneSlotWithItsResources(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opened := 0
		conn := &pool.Resource[int]{Name: "conn", Open: func(context.Context) (int, error) { opened++; return opened, nil }}
		use := task.New("use", func(ctx context.Context, n int) (int, error) {
			c, err := conn.Get(ctx)
			return 100*c + n, err
		}, task.Needs(conn))
		h := start(t, plan{tasks: []task.Definition{use}, opts: worker.Options{Concurrency: 1}})
		meta := h.outcome(h.send(builtinCall("celery.map", nil, over("use", 1, 2))))
		if got := string(meta.Result); got != "[101,102]" {
			t.Errorf("results = %s, %v", got, meta.Err())
		}
	})
}

func TestALimitEndsAMapBetweenItsItems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: items(new([]string)), opts: worker.Options{
			Tasks: map[string]worker.TaskOptions{"celery.map": {SoftTimeLimit: 90 * time.Second}},
		}})
		began := time.Now()
		s := builtinCall("celery.map", nil, over("wait", 1, 2, 3))
		h.wantFailure(h.send(s), "SoftTimeLimitExceeded")
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("it took %s, want the two items that had begun", took)
		}
	})
}

func TestATaskOfTheProgramGoesBeforeTheBuiltInOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own := task.New("celery.accumulate", func(context.Context, int) (string, error) { return "own", nil })
		sends := task.Remote[int, int]("celery.map") // a program that sends it has not made one
		h := start(t, plan{tasks: append(items(new([]string)), own, sends)})
		wantValue(t, h.outcome(h.send(builtinCall("celery.accumulate", []any{1}, nil))), "own")
		if meta := h.outcome(h.send(builtinCall("celery.map", nil, over("add", 1)))); string(meta.Result) != "[1]" {
			t.Errorf("map = %s %v", meta.Result, meta.Err())
		}
	})
}
