package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// DecodeResult reads the document of EncodeResult, which is encoded with c (nil: JSON), also in the shorter form of rpc messages of
// Celery ≤ 5.6. A time without a zone, as Celery ≤ 5.4 writes it, is in UTC. The result aliases body.
func DecodeResult(body []byte, c codec.Codec) (task.Meta, error) {
	d := resultReader{codec: orJSON(c)}
	if err := deep(d.codec).Unmarshal(body, &d.members); err != nil {
		return task.Meta{}, fmt.Errorf("wire: decode result: %w", err)
	}
	m := d.meta()
	switch {
	case d.err != nil && m.ID != "":
		return task.Meta{}, fmt.Errorf("wire: decode result of %s: %w", m.ID, d.err)
	case d.err != nil:
		return task.Meta{}, fmt.Errorf("wire: decode result: %w", d.err)
	case m.ID == "":
		return task.Meta{}, errors.New("wire: decode result: it has no task_id")
	case m.State == "":
		return task.Meta{}, fmt.Errorf("wire: decode result of %s: it has no status", m.ID)
	}
	return m, nil
}

// resultReader reads the members of a document and keeps the first error.
type resultReader struct {
	codec   codec.Codec
	members map[string]codec.Raw
	err     error
}

func (d *resultReader) meta() task.Meta {
	m := task.Meta{
		ID: d.text("task_id"), State: task.State(d.text("status")), Result: d.members["result"], Codec: d.codec,
		Traceback: d.text("traceback"), GroupID: d.text("group_id"), ParentID: d.text("parent_id"),
	}
	m.Children = d.children()
	m.DoneAt = d.time("date_done")
	if _, extended := d.members["name"]; extended {
		m.Extended = d.extended()
	}
	return m
}

func (d *resultReader) extended() *task.Extended {
	x := &task.Extended{
		Name: d.text("name"), Args: d.members["args"], Kwargs: d.members["kwargs"], Worker: d.text("worker"), Queue: d.text("queue"),
	}
	d.read("retries", &x.Retries)
	d.read("stamped_headers", &x.StampedHeaders)
	for _, name := range x.StampedHeaders {
		if _, ok := d.members[name]; !ok || reserved(name) {
			continue
		}
		var value any
		d.read(name, &value)
		if x.Stamps == nil {
			x.Stamps = make(map[string]any, len(x.StampedHeaders))
		}
		x.Stamps[name] = value
	}
	return x
}

// read decodes a member that may be missing or null.
func (d *resultReader) read(key string, dst any) {
	if raw, ok := d.members[key]; ok {
		d.fail(key, d.codec.Unmarshal(raw, dst))
	}
}

func (d *resultReader) fail(key string, err error) {
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("%s: %w", key, err)
	}
}

func (d *resultReader) text(key string) string {
	raw := d.members[key]
	if len(raw) == 0 {
		return ""
	}
	if _, ok := d.codec.(codec.JSON); ok { // the plain ones, which are most, without a detour
		switch {
		case string(raw) == "null":
			return ""
		case len(raw) > 1 && raw[0] == '"' && plain(raw[1:len(raw)-1]):
			return string(raw[1 : len(raw)-1])
		}
	}
	var s *string
	d.read(key, &s)
	if s == nil {
		return ""
	}
	return *s
}

func (d *resultReader) time(key string) time.Time {
	text := d.text(key)
	if text == "" {
		return time.Time{}
	}
	t, err := codec.ParseTime(text)
	d.fail(key, err)
	return t.In(time.UTC)
}

func (d *resultReader) children() []task.Ref {
	raw := d.members["children"]
	if string(raw) == "[]" {
		return []task.Ref{}
	}
	refs, err := DecodeRefs(raw, d.codec)
	d.fail("children", err)
	return refs
}
