package task_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
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
		{&fs.PathError{Op: "read", Path: "x", Err: errors.New("bad disk")}, "builtins.OSError"},
		{fmt.Errorf("deep: %w", &exec.Error{Name: "x", Err: errors.New("no")}), "os/exec.Error"},
		{task.Permanent(&exec.Error{Name: "x", Err: errors.New("no")}), "os/exec.Error"},
		{fmt.Errorf("deep: %w", &net.AddrError{Err: "no", Addr: "x"}), "builtins.ValueError"},
		{json.Unmarshal([]byte("{"), new(any)), "builtins.ValueError"},
		{json.Unmarshal([]byte(`"x"`), new(int)), "builtins.ValueError"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "builtins.ConnectionRefusedError"},
		{&net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, "builtins.TimeoutError"},
		{&net.DNSError{Err: "no such host", Name: "x"}, "socket.gaierror"},
		{&net.DNSError{Err: "no answer", Name: "x", IsTimeout: true}, "builtins.TimeoutError"},
		{&net.OpError{Op: "write", Net: "tcp", Err: errors.New("odd")}, "builtins.OSError"},
		{context.Canceled, "concurrent.futures.CancelledError"},
		{fmt.Errorf("read: %w", io.EOF), "builtins.EOFError"},
		{errors.Join(errors.New("one"), errors.ErrUnsupported), "builtins.NotImplementedError"},
		{errors.Join(errors.New("one"), errors.New("two")), "builtins.Exception"},
		{fmt.Errorf("%w: 2s", task.ErrTimeLimit), "billiard.exceptions.TimeLimitExceeded"},
		{task.ErrSoftTimeLimit, "billiard.exceptions.SoftTimeLimitExceeded"},
		{task.ErrMaxRetries, "celery.exceptions.MaxRetriesExceededError"},
	} {
		exc := task.Exceptions(nil).From(c.err)
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
	passedOn := task.Exceptions(nil).From(fmt.Errorf("again: %w", remote))
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

var errOutOfStock = errors.New("out of stock")

// An application's rules go both ways, come before what is known of the standard library, and leave to a Raiser what it says itself.
func TestRulesMapErrorsToExceptionsAndBack(t *testing.T) {
	t.Parallel()
	rules := task.Exceptions{
		{Type: "OutOfStock", Module: "shop.errors", Err: errOutOfStock},
		{Type: "Gone", Module: "shop.errors", Err: fs.ErrNotExist},
		{Type: "LookupError", If: func(err error) bool { _, ok := errors.AsType[*exec.Error](err); return ok }},
	}
	if err := rules.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("tea: %w", errOutOfStock), "shop.errors.OutOfStock [tea: out of stock]"},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, "shop.errors.Gone [open x: file does not exist]"},
		{&exec.Error{Name: "x", Err: errors.New("no")}, `builtins.LookupError [exec: "x": no]`},
		{fmt.Errorf("%w: %w", errOutOfStock, task.Raise("KeyError", "tea")), "builtins.KeyError [tea]"},
		{io.EOF, "builtins.EOFError [EOF]"},
	} {
		exc := rules.From(c.err)
		if got := fmt.Sprintf("%s.%s %v", exc.Module, exc.Type, exc.Message); got != c.want {
			t.Errorf("%v becomes %s, want %s", c.err, got, c.want)
		}
		meta := task.Meta{State: task.Failure, Exceptions: rules, Result: codec.Raw(fmt.Sprintf(`{"exc_type": %q, "exc_message": [], "exc_module": %q}`, exc.Type, exc.Module))}
		if back := errors.Is(meta.Err(), errOutOfStock); back != (exc.Type == "OutOfStock") {
			t.Errorf("%v is out of stock: %t", meta.Err(), back)
		}
	}
}

func TestRulesThatMapNothingAreRefused(t *testing.T) {
	t.Parallel()
	for _, rule := range []task.ExceptionRule{
		{Err: errOutOfStock},
		{Type: "X"},
		{Type: "X", Err: errOutOfStock, If: func(error) bool { return true }},
	} {
		if err := (task.Exceptions{rule}).Validate(); err == nil {
			t.Errorf("%+v is taken", rule)
		}
	}
}

// Python's classes match the errors of the standard library that mean the same, but none that callers take for something else.
func TestPythonsExceptionsMatchTheStandardLibrary(t *testing.T) {
	t.Parallel()
	all := []error{
		fs.ErrNotExist, fs.ErrPermission, os.ErrDeadlineExceeded, syscall.ECONNREFUSED, errors.ErrUnsupported,
		context.DeadlineExceeded, context.Canceled, io.EOF, strconv.ErrSyntax, task.ErrRevoked,
	}
	for _, c := range []struct {
		class, module string
		want          error
	}{
		{"FileNotFoundError", "builtins", fs.ErrNotExist},
		{"PermissionError", "builtins", fs.ErrPermission},
		{"TimeoutError", "builtins", os.ErrDeadlineExceeded},
		{"ConnectionRefusedError", "builtins", syscall.ECONNREFUSED},
		{"NotImplementedError", "builtins", errors.ErrUnsupported},
		{"TaskRevokedError", "celery.exceptions", task.ErrRevoked},
		{"TaskRevokedError", "shop.errors", nil},
		{"FileNotFoundError", "shop.errors", nil},
		{"EOFError", "builtins", nil},
		{"ValueError", "builtins", nil},
		{"CancelledError", "concurrent.futures", nil},
	} {
		for _, target := range all {
			err := error(&task.RemoteError{Type: c.class, Module: c.module})
			if got := errors.Is(err, target); got != errors.Is(target, c.want) {
				t.Errorf("%s.%s is %q: %t", c.module, c.class, target, got)
			}
		}
	}
}
