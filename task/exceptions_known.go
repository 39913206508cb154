package task

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// knownException is an exception that stands for a Go error everywhere.
type knownException struct {
	ExceptionRule
	// oneWay: the exception does not match the error, because callers take that error for something else.
	oneWay bool
}

// knownExceptions are Celery's own exceptions behind the sentinels of this package, in the modules that Celery uses; and the errors
// of the standard library that Python has a class for. A TimeoutError that a task ended with is not the context's DeadlineExceeded,
// which says that Get waited long enough; nor is an EOFError the end of anything of the caller's.
func knownExceptions() []knownException {
	celery := func(err error, class, module string) knownException {
		return knownException{ExceptionRule: ExceptionRule{Type: class, Module: module, Err: err}}
	}
	python := func(err error, class string) knownException {
		return knownException{ExceptionRule: ExceptionRule{Type: class, Err: err}}
	}
	oneWay := func(err error, class string) knownException {
		return knownException{ExceptionRule: ExceptionRule{Type: class, Err: err}, oneWay: true}
	}
	return []knownException{
		celery(ErrSoftTimeLimit, "SoftTimeLimitExceeded", "billiard.exceptions"),
		celery(ErrTimeLimit, "TimeLimitExceeded", "billiard.exceptions"),
		celery(ErrWorkerLost, "WorkerLostError", "billiard.exceptions"),
		celery(ErrRevoked, "TaskRevokedError", "celery.exceptions"),
		celery(ErrNotRegistered, "NotRegistered", "celery.exceptions"),
		celery(ErrMaxRetries, "MaxRetriesExceededError", "celery.exceptions"),
		{ExceptionRule{Type: "CancelledError", Module: "concurrent.futures", Err: context.Canceled}, true}, // asyncio's is no Exception
		oneWay(context.DeadlineExceeded, "TimeoutError"),
		python(os.ErrDeadlineExceeded, "TimeoutError"),
		python(syscall.ETIMEDOUT, "TimeoutError"),
		python(fs.ErrNotExist, "FileNotFoundError"),
		python(fs.ErrPermission, "PermissionError"),
		python(fs.ErrExist, "FileExistsError"),
		python(syscall.EISDIR, "IsADirectoryError"),
		python(syscall.ENOTDIR, "NotADirectoryError"),
		python(syscall.ECONNREFUSED, "ConnectionRefusedError"),
		python(syscall.ECONNRESET, "ConnectionResetError"),
		python(syscall.ECONNABORTED, "ConnectionAbortedError"),
		python(syscall.EPIPE, "BrokenPipeError"),
		python(errors.ErrUnsupported, "NotImplementedError"),
		oneWay(io.EOF, "EOFError"),
		oneWay(io.ErrUnexpectedEOF, "EOFError"),
		oneWay(strconv.ErrSyntax, "ValueError"),
		oneWay(strconv.ErrRange, "ValueError"),
		oneWay(hex.ErrLength, "ValueError"),
	}
}

// names reports whether e is the exception. Celery's own ones have moved between modules, so each of its modules will do for them.
func (k knownException) names(e *RemoteError) bool {
	if k.Type != e.Type {
		return false
	}
	if k.Module == "" {
		return e.Module == builtins
	}
	root, _, _ := strings.Cut(e.Module, ".")
	return root == "celery" || root == "billiard" || root == ""
}

// typicalException is the class for the standard library's error types, behind the sentinels: what Python raises in the same place.
func typicalException(err error) (ExceptionRule, bool) {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return ExceptionRule{Type: "TimeoutError"}, true
	}
	for _, class := range []struct {
		ExceptionRule
		types []func(error) bool
	}{
		{ExceptionRule{Type: "gaierror", Module: "socket"}, []func(error) bool{isA[*net.DNSError]}},
		{ExceptionRule{Type: "ValueError"}, []func(error) bool{
			isA[*json.SyntaxError], isA[*json.UnmarshalTypeError], isA[*time.ParseError], isA[url.EscapeError],
			isA[base64.CorruptInputError], isA[hex.InvalidByteError], isA[*net.ParseError], isA[*net.AddrError],
		}},
		{ExceptionRule{Type: "OSError"}, []func(error) bool{
			isA[*fs.PathError], isA[*os.LinkError], isA[*os.SyscallError], isA[*net.OpError], isA[syscall.Errno],
		}},
	} {
		for _, fits := range class.types {
			if fits(err) {
				return class.ExceptionRule, true
			}
		}
	}
	return ExceptionRule{}, false
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
