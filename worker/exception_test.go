package worker_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// counter is a program counter as packages for errors have it: of a type of their own.
type counter uintptr

// traced is an error with a stack, as those packages make it.
type traced struct {
	error
	stack []counter
}

func (e *traced) StackTrace() []counter { return e.stack }

func (e *traced) Unwrap() error { return e.error }

func newTraced(text string) error {
	pcs := make([]uintptr, 20)
	var stack []counter
	for _, pc := range pcs[:runtime.Callers(2, pcs)] {
		stack = append(stack, counter(pc))
	}
	return &traced{errors.New(text), stack}
}

type stock struct{ Tea []int }

func lookInto(s *stock) int { return s.Tea[3] }

// A traceback reads as Python's do: the outermost call first, the error last, and nothing of the machinery.
func TestTracebacksReadAsPythons(t *testing.T) {
	t.Parallel()
	const (
		head  = `^Traceback \(most recent call last\):\n  Go task tasks\.sad\[[0-9a-f-]{36}\] on celery@\S+\n`
		frame = `  File "[^"\n]+_test\.go", line \d+, in \S+worker_test\.`
		adapt = `  File "[^"\n]+task\.go", line \d+, in \S+\n  File "[^"\n]+task\.go", line \d+, in \S+\n`
	)
	for name, c := range map[string]struct {
		fail func() error
		want string
	}{
		"an error":            {func() error { return errors.New("boom") }, `Exception: boom\n$`},
		"a Python class":      {func() error { return task.Raise("ValueError", "boom") }, `ValueError: boom\n$`},
		"a class of a module": {func() error { return fmt.Errorf("%w: 3", task.ErrMaxRetries) }, `celery\.exceptions\.MaxRetriesExceededError: max retries exceeded: 3\n$`},
		"an error with a stack": {
			func() error { return fmt.Errorf("again: %w", newTraced("boom")) },
			adapt + frame + `TestTracebacksReadAsPythons\S+\n` + frame + `TestTracebacksReadAsPythons\S+\n\S+worker_test\.traced: again: boom\n$`,
		},
		"a panic": {
			func() error { return fmt.Errorf("%d", lookInto(&stock{})) },
			adapt + frame + `TestTracebacksReadAsPythons\S+\n` + frame + `TestTracebacksReadAsPythons\S+\n` + frame + `lookInto\ntaskq\.Panic: panic: runtime error: index out of range \[3\] with length 0\n$`,
		},
		"a nil pointer": {
			func() error { return fmt.Errorf("%d", lookInto(nil)) },
			frame + `lookInto\ntaskq\.Panic: panic: runtime error: invalid memory address or nil pointer dereference\n$`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sad := task.New("tasks.sad", func(context.Context, none) (int, error) { return 0, c.fail() })
				h := start(t, plan{tasks: []task.Definition{sad}})
				text := h.outcome(h.send(sad.S(none{}))).Traceback
				for _, want := range []string{head, c.want} {
					if !regexp.MustCompile(want).MatchString(text) {
						t.Errorf("traceback\n%s\nwant %s", text, want)
					}
				}
				if strings.Contains(text, "runtime.") || strings.Contains(text, "(*execution)") {
					t.Errorf("traceback\n%s\nwith the worker's own or the runtime's functions", text)
				}
			})
		})
	}
}

var errOutOfStock = errors.New("out of stock")

func TestErrorsBecomeTheClassesThatTheRulesName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sad := task.New("tasks.sad", func(context.Context, none) (int, error) { return 0, fmt.Errorf("tea: %w", errOutOfStock) })
		h := start(t, plan{
			tasks:      []task.Definition{sad},
			exceptions: task.Exceptions{{Type: "OutOfStock", Module: "shop.errors", Err: errOutOfStock}},
		})
		remote := h.wantFailure(h.send(sad.S(none{})), "OutOfStock")
		if remote.Module != "shop.errors" || remote.Message != "tea: out of stock" || !strings.Contains(remote.Traceback, "\nshop.errors.OutOfStock: tea: out of stock\n") {
			t.Errorf("remote = %+v", remote)
		}
	})
}

// A retry is a child of its own task, and says so even without a reason.
func TestARetryIsStoredAsInCelery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newRecorder()
		once := task.New("tasks.once", func(ctx context.Context, _ none) (int, error) {
			if task.FromContext(ctx).Retries == 0 {
				return 0, task.RetryAfter(nil, time.Minute)
			}
			return 1, nil
		})
		h := start(t, plan{results: store, tasks: []task.Definition{once}})
		id := h.send(once.S(none{}))
		wantValue(t, h.outcome(id), 1)
		retry := store.metas[0]
		if len(retry.Children) != 1 || retry.Children[0].ID != id || retry.Children[0].Parent != nil {
			t.Errorf("children = %+v, want the task itself", retry.Children)
		}
		if string(retry.Result) != "null" || !strings.HasSuffix(retry.Traceback, "\ncelery.exceptions.Retry: Retry in 60s\n") {
			t.Errorf("result %s, traceback %q", retry.Result, retry.Traceback)
		}
		if done := store.metas[1]; done.Children == nil || len(done.Children) != 0 {
			t.Errorf("children of the outcome = %#v, want an empty list", done.Children)
		}
	})
}
