package sqlite

import (
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

const columns = "id, state, result, content_type, traceback, children, done_at, group_id, parent_id, extended"

// row is a task's outcome in the table.
type row struct {
	meta               task.Meta
	contentType        string
	children, extended []byte
	done               int64 // µs since 1970
}

// encode makes the row of an outcome.
func (b *Backend) encode(m task.Meta) (r row, err error) {
	r.meta = m
	if r.contentType, err = b.contentType(m.Codec); err != nil {
		return row{}, err
	}
	if r.children, err = wire.EncodeRefs(m.Children); err != nil {
		return row{}, err
	}
	if m.Extended != nil {
		if r.extended, err = (codec.JSON{}).Marshal(keep(m.Extended)); err != nil {
			return row{}, err
		}
	}
	if !m.DoneAt.IsZero() {
		r.done = m.DoneAt.UnixMicro()
	}
	return r, nil
}

// contentType is how the table names a codec: "" is JSON. Nobody could read what is not accepted.
func (b *Backend) contentType(c codec.Codec) (string, error) {
	if c == nil || c.ContentType() == (codec.JSON{}).ContentType() {
		return "", nil
	}
	_, err := b.accept.ForContentType(c.ContentType())
	return c.ContentType(), err
}

// write puts the row in place of the earlier one of its task, unless that is a SUCCESS that has not expired.
func (r row) write(tx *sqlitedb.Tx, now time.Time, expires int64) (int64, error) {
	m := r.meta
	return tx.Exec(`
INSERT OR REPLACE INTO results (`+columns+`, expires_at) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
WHERE NOT EXISTS (SELECT 1 FROM results WHERE id = ? AND state = 'SUCCESS' AND (expires_at = 0 OR expires_at > ?))`,
		m.ID, string(m.State), []byte(m.Result), r.contentType, m.Traceback, r.children, r.done, m.GroupID, m.ParentID, r.extended, expires,
		m.ID, now.UnixMicro())
}

// scan reads the columns.
func (b *Backend) scan(columns func(...any) error) (task.Meta, error) {
	var r row
	m := &r.meta
	if err := columns(&m.ID, &m.State, (*[]byte)(&m.Result), &r.contentType, &m.Traceback, &r.children, &r.done, &m.GroupID, &m.ParentID, &r.extended); err != nil {
		return task.Meta{}, err
	}
	err := b.decode(&r)
	if err != nil {
		return task.Meta{}, fmt.Errorf("outcome of %s: %w", m.ID, err)
	}
	return r.meta, nil
}

func (b *Backend) decode(r *row) (err error) {
	m := &r.meta
	if r.contentType != "" {
		if m.Codec, err = b.accept.ForContentType(r.contentType); err != nil {
			return err
		}
	}
	if m.Children, err = wire.DecodeRefs(r.children, nil); err != nil {
		return err
	}
	if r.extended != nil {
		var x kept
		if err := (codec.JSON{}).Unmarshal(r.extended, &x); err != nil {
			return err
		}
		m.Extended = x.extended()
	}
	if r.done > 0 {
		m.DoneAt = time.UnixMicro(r.done).UTC()
	}
	return nil
}

// kept is task.Extended as JSON, whatever the arguments are encoded in.
type kept struct {
	Name           string         `json:"name"`
	Args           []byte         `json:"args,omitempty"`
	Kwargs         []byte         `json:"kwargs,omitempty"`
	ArgsRepr       string         `json:"argsrepr,omitempty"`
	KwargsRepr     string         `json:"kwargsrepr,omitempty"`
	Worker         string         `json:"worker"`
	Retries        int            `json:"retries"`
	Queue          string         `json:"queue"`
	StampedHeaders []string       `json:"stamped_headers,omitempty"`
	Stamps         map[string]any `json:"stamps,omitempty"`
}

func keep(x *task.Extended) kept {
	return kept{x.Name, x.Args, x.Kwargs, x.ArgsRepr, x.KwargsRepr, x.Worker, x.Retries, x.Queue, x.StampedHeaders, x.Stamps}
}

func (k kept) extended() *task.Extended {
	return &task.Extended{
		Name: k.Name, Args: k.Args, Kwargs: k.Kwargs, ArgsRepr: k.ArgsRepr, KwargsRepr: k.KwargsRepr,
		Worker: k.Worker, Retries: k.Retries, Queue: k.Queue, StampedHeaders: k.StampedHeaders, Stamps: k.Stamps,
	}
}
