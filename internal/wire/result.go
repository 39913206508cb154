package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// document is a task's outcome as Celery's rpc and key-value stores keep it (celery/backends/base.py, _get_result_meta).
type document struct {
	Status    string    `json:"status"`
	Result    codec.Raw `json:"result"`
	Traceback *string   `json:"traceback"`
	Children  codec.Raw `json:"children"`
	DateDone  *string   `json:"date_done"`
	TaskID    string    `json:"task_id"`
	GroupID   string    `json:"group_id,omitempty"`
	ParentID  string    `json:"parent_id,omitempty"`
}

// EncodeResult writes a task's outcome as the JSON document that Celery's rpc and key-value stores keep. The result must be encoded
// in JSON.
func EncodeResult(m task.Meta) ([]byte, error) {
	if m.Codec != nil && m.Codec.ContentType() != (codec.JSON{}).ContentType() {
		return nil, fmt.Errorf("wire: encode result of %s: it is encoded as %s, not as JSON", m.ID, m.Codec.ContentType())
	}
	children, err := EncodeRefs(m.Children)
	if err != nil {
		return nil, fmt.Errorf("wire: encode result of %s: %w", m.ID, err)
	}
	doc := document{
		Status: string(m.State), Result: m.Result, Children: children,
		TaskID: m.ID, GroupID: m.GroupID, ParentID: m.ParentID,
	}
	if m.Traceback != "" {
		doc.Traceback = &m.Traceback
	}
	if m.State.Ready() && !m.DoneAt.IsZero() {
		done := codec.FormatTime(m.DoneAt.UTC())
		doc.DateDone = &done
	}
	body, err := codec.JSON{}.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("wire: encode result of %s: %w", m.ID, err)
	}
	return body, nil
}

// DecodeResult reads the document of EncodeResult, also in the shorter form of Celery ≤ 5.6. The result aliases body.
func DecodeResult(body []byte) (task.Meta, error) {
	var doc document
	if err := (codec.JSON{}).Unmarshal(body, &doc); err != nil {
		return task.Meta{}, fmt.Errorf("wire: decode result: %w", err)
	}
	switch {
	case doc.TaskID == "":
		return task.Meta{}, errors.New("wire: decode result: it has no task_id")
	case doc.Status == "":
		return task.Meta{}, fmt.Errorf("wire: decode result of %s: it has no status", doc.TaskID)
	}
	m := task.Meta{
		ID: doc.TaskID, State: task.State(doc.Status), Result: doc.Result,
		GroupID: doc.GroupID, ParentID: doc.ParentID, Codec: codec.JSON{},
	}
	if doc.Children != nil {
		var err error
		if m.Children, err = DecodeRefs(doc.Children); err != nil {
			return task.Meta{}, fmt.Errorf("wire: decode result of %s: children: %w", doc.TaskID, err)
		}
	}
	if doc.Traceback != nil {
		m.Traceback = *doc.Traceback
	}
	if doc.DateDone != nil {
		done, err := codec.ParseTime(*doc.DateDone)
		if err != nil {
			return task.Meta{}, fmt.Errorf("wire: decode result of %s: date_done: %w", doc.TaskID, err)
		}
		m.DoneAt = done.In(time.UTC)
	}
	return m, nil
}

// EncodeException encodes the exception that stands for err; arguments that cannot be encoded become their repr. No error is null, as
// for a retry without a reason.
func EncodeException(err error) (codec.Raw, error) {
	if err == nil {
		return codec.Raw("null"), nil
	}
	exc := task.ExceptionFrom(err)
	args := make([]any, len(exc.Message))
	for i, arg := range exc.Message {
		raw, err := codec.JSON{}.Marshal(arg)
		if err != nil {
			args[i] = task.Repr(arg)
			continue
		}
		args[i] = codec.Raw(raw)
	}
	exc.Message = args
	raw, err := codec.JSON{}.Marshal(exc)
	if err != nil {
		return nil, fmt.Errorf("wire: encode exception %s: %w", exc.Type, err)
	}
	return raw, nil
}
