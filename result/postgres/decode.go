package postgres

import (
	"encoding/base64"
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// decode makes an outcome of a row, whoever wrote it.
func decode(r row, accept codec.Set) (task.Meta, error) {
	m := task.Meta{ID: r.id, State: task.State(r.status), Traceback: value(r.traceback)}
	if m.State.Ready() && r.done != nil {
		m.DoneAt = r.done.UTC()
	}
	c, err := accept.ForContentType(r.contentType)
	if err == nil {
		m.Result, err = content(r.contentEncoding, r.result)
	}
	if err != nil {
		return m, fmt.Errorf("postgres: the outcome of %s was written with another result_serializer: %w", m.ID, err)
	}
	if _, ok := c.(codec.JSON); !ok {
		m.Codec = c
	}
	m.Extended = extended(r, c)
	if raw, err := content(r.contentEncoding, r.meta); err == nil && raw != nil {
		decodeDetails(&m, c, raw)
	}
	return m, nil
}

// content undoes what Django's store does to values that are no text.
func content(encoding string, column *string) (codec.Raw, error) {
	if column == nil {
		return nil, nil
	}
	if encoding != "binary" {
		return codec.Raw(*column), nil
	}
	decoded, err := base64.StdEncoding.DecodeString(*column)
	if err != nil {
		return nil, fmt.Errorf("content encoding binary: %w", err)
	}
	return decoded, nil
}

// extended is what Python stores with result_extended; nil when it did not.
func extended(r row, c codec.Codec) *task.Extended {
	if r.name == nil && r.worker == nil && r.args == nil && r.kwargs == nil {
		return nil
	}
	x := &task.Extended{Name: value(r.name), Worker: value(r.worker), PeriodicTask: value(r.periodic)}
	x.Args, x.ArgsRepr = readArguments(r.contentEncoding, r.args, c)
	x.Kwargs, x.KwargsRepr = readArguments(r.contentEncoding, r.kwargs, c)
	return x
}

// readArguments returns the arguments, or their text for people when that was kept.
func readArguments(encoding string, column *string, c codec.Codec) (raw codec.Raw, repr string) {
	raw, err := content(encoding, column)
	if err != nil || raw == nil {
		return nil, value(column)
	}
	if c.Unmarshal(raw, &repr) == nil {
		return nil, repr
	}
	var structured any
	if c.Unmarshal(raw, &structured) != nil {
		return nil, string(raw)
	}
	return raw, ""
}

// value returns the text of a column, "" for NULL.
func value(column *string) string {
	if column == nil {
		return ""
	}
	return *column
}
