package task_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

func TestGoErrorsBecomePythonExceptions(t *testing.T) {
	t.Parallel()
	_, atoi := strconv.Atoi("x")
	_, open := os.Open("/does/not/exist")
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("boom"), "builtins.Exception"},
		{fmt.Errorf("deep: %w", errors.New("boom")), "builtins.Exception"},
		{task.Raise("ValueError", "boom"), "builtins.ValueError"},
		{fmt.Errorf("deep: %w", task.Raise("KeyError", "k")), "builtins.KeyError"},
		{&task.PanicError{Value: "oops"}, "taskq.Panic"},
		{context.DeadlineExceeded, "builtins.TimeoutError"},
		{atoi, "builtins.ValueError"},
		{open, "builtins.FileNotFoundError"},
		{&fs.PathError{Op: "read", Path: "x", Err: errors.New("bad disk")}, "io/fs.PathError"},
		{fmt.Errorf("deep: %w", &net.AddrError{Err: "no", Addr: "x"}), "net.AddrError"},
		{task.Permanent(&net.AddrError{Err: "no", Addr: "x"}), "net.AddrError"},
		{fmt.Errorf("%w: 2s", task.ErrTimeLimit), "billiard.exceptions.TimeLimitExceeded"},
		{task.ErrSoftTimeLimit, "billiard.exceptions.SoftTimeLimitExceeded"},
		{task.ErrMaxRetries, "celery.exceptions.MaxRetriesExceededError"},
	} {
		exc := task.ExceptionFrom(c.err)
		if got := exc.Module + "." + exc.Type; got != c.want {
			t.Errorf("%v becomes %s, want %s", c.err, got, c.want)
		}
	}
}

func TestRemoteErrorsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	meta := task.Meta{
		ID: "1", State: task.Failure, Traceback: "Traceback…",
		Result: codec.Raw(`{"exc_type": "ValueError", "exc_message": ["boom", 2], "exc_module": "builtins"}`),
	}
	remote, ok := errors.AsType[*task.RemoteError](meta.Value(nil))
	if !ok {
		t.Fatalf("err = %v, want a *task.RemoteError", meta.Err())
	}
	if remote.Error() != "ValueError: ('boom', 2)" || remote.Traceback != "Traceback…" {
		t.Errorf("remote = %q, traceback %q", remote, remote.Traceback)
	}
	passedOn := task.ExceptionFrom(fmt.Errorf("again: %w", remote))
	if diff := cmp.Diff(task.Exception{Type: "ValueError", Module: "builtins", Message: remote.Args}, passedOn); diff != "" {
		t.Error(diff)
	}
}

func TestRemoteErrorsMatchTheSentinels(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]error{
		"TimeLimitExceeded": task.ErrTimeLimit, "SoftTimeLimitExceeded": task.ErrSoftTimeLimit, "TaskRevokedError": task.ErrRevoked,
		"NotRegistered": task.ErrNotRegistered, "WorkerLostError": task.ErrWorkerLost, "MaxRetriesExceededError": task.ErrMaxRetries,
	} {
		if err := error(&task.RemoteError{Type: class}); !errors.Is(err, want) || errors.Is(err, task.ErrIgnore) {
			t.Errorf("%s does not match %v alone", class, want)
		}
	}
}
