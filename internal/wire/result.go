package wire

import (
	"fmt"
	"maps"
	"slices"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// EncodeResult writes a task's outcome as the document that Celery's rpc and key-value stores keep, its members in Celery's order
// (celery/backends/base.py, _get_result_meta). The document is written in c, which the result must be encoded with, too; nil means
// JSON.
func EncodeResult(m task.Meta, c codec.Codec) ([]byte, error) {
	c = orJSON(c)
	if have := orJSON(m.Codec).ContentType(); have != c.ContentType() {
		return nil, fmt.Errorf("wire: encode result of %s: it is encoded as %s and the store keeps %s: give both one result serializer",
			m.ID, have, c.ContentType())
	}
	var room [16]member
	body, err := resultDocument(room[:0], &m).encode(c)
	if err != nil {
		return nil, fmt.Errorf("wire: encode result of %s: %w", m.ID, err)
	}
	return body, nil
}

func orJSON(c codec.Codec) codec.Codec {
	if c == nil {
		return codec.JSON{}
	}
	return c
}

// resultDocument appends the members to doc.
func resultDocument(doc document, m *task.Meta) document {
	var done string
	if m.State.Ready() && !m.DoneAt.IsZero() {
		done = codec.FormatTime(m.DoneAt.UTC())
	}
	doc = append(doc,
		text("status", string(m.State)), anything("result", m.Result), note("traceback", m.Traceback),
		anything("children", childrenValue(m.Children)), note("date_done", done))
	if m.GroupID != "" {
		doc = append(doc, text("group_id", m.GroupID))
	}
	if m.ParentID != "" {
		doc = append(doc, text("parent_id", m.ParentID))
	}
	if m.Extended != nil {
		doc = doc.extend(m.Extended)
	}
	return append(doc, text("task_id", m.ID))
}

// extend adds what Celery stores with result_extended. A stamp that is called like another member is left out: it would hide that.
func (d document) extend(x *task.Extended) document {
	d = append(d,
		note("name", x.Name), anything("args", x.Args), anything("kwargs", x.Kwargs), note("worker", x.Worker),
		anything("retries", x.Retries), note("queue", x.Queue))
	if len(x.Stamps) == 0 {
		return d
	}
	d = append(d, anything("stamped_headers", x.StampedHeaders))
	for _, name := range slices.Sorted(maps.Keys(x.Stamps)) {
		if !reserved(name) {
			d = append(d, anything(name, x.Stamps[name]))
		}
	}
	return d
}

// reserved reports whether a member of this name is none of a task's stamps.
func reserved(name string) bool {
	switch name {
	case "status", "result", "traceback", "children", "date_done", "group_id", "parent_id", "task_id",
		"name", "args", "kwargs", "worker", "retries", "queue", "stamped_headers":
		return true
	}
	return false
}

// childrenValue is null for a task that never ran, and a list, mostly an empty one, for all others.
func childrenValue(refs []task.Ref) any {
	if refs == nil {
		return nil
	}
	return tuples(refs)
}

// EncodeException encodes the exception that stands for err; arguments that cannot be encoded become their repr. No error is null, as
// for a retry without a reason. known are the application's exceptions, and may be nil.
func EncodeException(err error, known task.Exceptions) (codec.Raw, error) {
	if err == nil {
		return codec.Raw("null"), nil
	}
	exc := known.From(err)
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
