package wire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

func TestDecodesWhatCeleryAnswers(t *testing.T) {
	t.Parallel()
	for _, file := range paths(t, "results-rpc") {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			f := load(t, file)
			meta, err := wire.DecodeResult(f.Body, nil)
			if err != nil {
				t.Fatal(err)
			}
			doc := plainJSON[map[string]any](t, string(f.Body))
			text := func(key string) string { s, _ := doc[key].(string); return s }
			got := map[string]string{
				"task_id": meta.ID, "status": string(meta.State), "traceback": meta.Traceback, "group_id": meta.GroupID,
				"parent_id": meta.ParentID,
			}
			for key, value := range got {
				if value != text(key) {
					t.Errorf("%s = %q, want %q", key, value, text(key))
				}
			}
			if got := plainJSON[any](t, string(meta.Result)); !cmp.Equal(got, doc["result"]) {
				t.Errorf("result = %v, want %v", got, doc["result"])
			}
			if s := text("date_done"); meta.DoneAt.IsZero() != (s == "") || s != "" && !strings.HasPrefix(s, meta.DoneAt.Format("2006-01-02T15:04:05")) {
				t.Errorf("done at %v, want %s", meta.DoneAt, s)
			}
			checkError(t, meta, doc["result"])
		})
	}
}

// checkError compares the failure as callers see it with the document.
func checkError(t *testing.T, meta task.Meta, result any) {
	t.Helper()
	remote, failed := errors.AsType[*task.RemoteError](meta.Err())
	exc, ok := result.(map[string]any)
	if failed != meta.State.Exceptional() {
		t.Fatalf("state %s: error %v", meta.State, meta.Err())
	}
	if !ok || !failed { // a value, or a retry without a reason
		return
	}
	args := exc["exc_message"].([]any)
	if exc["exc_type"] == "UnpickleableExceptionWrapper" {
		exc = map[string]any{"exc_module": args[0], "exc_type": args[1]}
		args = args[2].([]any)
	}
	if remote.Type != exc["exc_type"] || remote.Module != exc["exc_module"] || len(remote.Args) != len(args) {
		t.Errorf("error = %+v, want %v", remote, exc)
	}
}

func TestResultsOfTasksThatRunHaveNoTime(t *testing.T) {
	t.Parallel()
	body, err := wire.EncodeResult(task.Meta{ID: "t1", State: task.Started, DoneAt: time.Now(), Children: []task.Ref{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"status":"STARTED","result":null,"traceback":null,"children":[],"date_done":null,"task_id":"t1"}`
	if string(body) != want {
		t.Errorf("body = %s, want %s", body, want)
	}
}

func TestBadResultDocumentsAreErrors(t *testing.T) {
	t.Parallel()
	for body, text := range map[string]string{
		``:                      "the text ends",
		`[]`:                    "got a list",
		`null`:                  "no task_id",
		`{"task_id": "a"}`:      "no status",
		`{"status": "SUCCESS"}`: "no task_id",
		`{"task_id": 5}`:        "task_id: json: got an integer",
		`{"task_id":"a","status":"SUCCESS","date_done":"soon"}`: `date_done: "soon" is no ISO 8601 time`,
	} {
		if _, err := wire.DecodeResult([]byte(body), nil); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error = %v, want %s", body, err, text)
		}
	}
	if _, err := wire.EncodeResult(task.Meta{ID: "a", State: task.Success, Result: codec.Raw("{")}, nil); err == nil {
		t.Error("encoded a result that is no JSON")
	}
}

type oddError struct{}

func (oddError) Error() string { return "odd" }

func (oddError) PythonException() task.Exception {
	return task.Exception{Type: "Odd", Module: "m", Message: []any{"text", 5, make(chan int), []any{1.0, nil}}}
}

func TestExceptionsThatCannotBeEncodedBecomeText(t *testing.T) {
	t.Parallel()
	raw, err := wire.EncodeException(fmt.Errorf("outer: %w", oddError{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"exc_type":"Odd","exc_message":["text",5,"<chan int>",[1.0,null]],"exc_module":"m"}`; string(raw) != want {
		t.Errorf("exception = %s, want %s", raw, want)
	}
	if raw, err := wire.EncodeException(nil, nil); err != nil || string(raw) != "null" {
		t.Errorf("no error = %s, %v, want null", raw, err)
	}
	var exc map[string]any
	raw, err = wire.EncodeException(task.Raise("ValueError", "boom"), nil)
	if err != nil || json.Unmarshal(raw, &exc) != nil || exc["exc_module"] != "builtins" {
		t.Errorf("ValueError = %s, %v", raw, err)
	}
}
