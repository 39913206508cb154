package task_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

func TestStoredExceptionsAreReadInEveryForm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state  task.State
		stored string
		want   task.RemoteError
	}{
		{task.Failure, `{"exc_type":"E","exc_message":["a"],"exc_module":"m"}`, task.RemoteError{Type: "E", Module: "m", Message: "a", Args: []any{"a"}}},
		{task.Failure, `{"exc_type":"E","exc_message":"a"}`, task.RemoteError{Type: "E", Message: "a", Args: []any{"a"}}},
		{task.Failure, `{"exc_type":"E","exc_module":null}`, task.RemoteError{Type: "E"}},
		{task.Failure, `"boom"`, task.RemoteError{Type: "Exception", Module: "builtins", Message: "boom", Args: []any{"boom"}}},
		{task.Failure, `{}`, task.RemoteError{Type: "Exception", Module: "builtins", Message: "map[]", Args: []any{map[string]any{}}}},
		{task.Failure, `boom`, task.RemoteError{Type: "Exception", Module: "builtins", Message: "boom", Args: []any{"boom"}}},
		{task.Failure, `null`, task.RemoteError{Type: "Exception", Module: "builtins"}},
		{task.Retried, `null`, task.RemoteError{Type: "Retry", Module: "celery.exceptions"}},
		{
			task.Failure, `{"exc_type":"UnpickleableExceptionWrapper","exc_message":["app","Odd",["only one"],"Odd('only one')"],"exc_module":"celery.utils.serialization"}`,
			task.RemoteError{Type: "Odd", Module: "app", Message: "only one", Args: []any{"only one"}},
		},
		{
			task.Failure, `{"exc_type":"UnpickleableExceptionWrapper","exc_message":[1,2,3,4],"exc_module":"m"}`,
			task.RemoteError{Type: "UnpickleableExceptionWrapper", Module: "m", Message: "(1, 2, 3, 4)", Args: []any{int64(1), int64(2), int64(3), int64(4)}},
		},
	} {
		err := task.Meta{State: c.state, Result: codec.Raw(c.stored)}.Err()
		remote, ok := errors.AsType[*task.RemoteError](err)
		if !ok {
			t.Errorf("%s: err = %v, want a *task.RemoteError", c.stored, err)
			continue
		}
		if diff := cmp.Diff(c.want, *remote); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.stored, diff)
		}
	}
}
