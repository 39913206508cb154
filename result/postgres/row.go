package postgres

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/task"
)

// maxRow is how large a result may be: PostgreSQL takes no parameter of a gigabyte.
const maxRow = 512 << 20

// row is an outcome as the table keeps it; nil is NULL.
type row struct {
	id, status, contentType, contentEncoding string
	result, traceback, meta                  *string
	done                                     *time.Time
	name, args, kwargs, worker, periodic     *string
}

// source says where the value of a column comes from.
type source struct {
	column   string
	required bool                    // by all versions of django-celery-results
	text     func(r *row) *string    // the parameter
	time     func(r *row) *time.Time // the parameter, of another type
	value    string                  // SQL expression; "" is the parameter
	update   string                  // SQL expression when the row exists; "" is the new value, or the old one without a parameter
}

// given reports whether there is a parameter.
func (s source) given() bool { return s.text != nil || s.time != nil }

// kind is the parameter's type in SQL.
func (s source) kind() string {
	if s.time != nil {
		return "timestamptz"
	}
	return "text"
}

// sources are the columns of all versions of django-celery-results.
func sources() []source {
	return []source{
		{column: "task_id", required: true, text: func(r *row) *string { return &r.id }},
		{column: "status", required: true, text: func(r *row) *string { return &r.status }},
		{column: "content_type", required: true, text: func(r *row) *string { return &r.contentType }},
		{column: "content_encoding", required: true, text: func(r *row) *string { return &r.contentEncoding }},
		{column: "result", required: true, text: func(r *row) *string { return r.result }},
		{column: "traceback", required: true, text: func(r *row) *string { return r.traceback }},
		{column: "meta", required: true, text: func(r *row) *string { return r.meta }},
		{column: "date_done", required: true, time: func(r *row) *time.Time { return r.done }, value: "coalesce(n.date_done, now())"},
		{column: "hidden", value: "false"}, // until migration 0007
		{column: "task_name", text: func(r *row) *string { return r.name }},
		{column: "task_args", text: func(r *row) *string { return r.args }},
		{column: "task_kwargs", text: func(r *row) *string { return r.kwargs }},
		{column: "worker", text: func(r *row) *string { return r.worker }},
		{column: "periodic_task_name", text: func(r *row) *string { return r.periodic }},
		{column: "date_created", value: "now()"},
		{
			column: "date_started", value: "CASE WHEN n.status = 'STARTED' THEN now() END",
			update: "coalesce(excluded.date_started, t.date_started)",
		},
	}
}

// encode makes a row of an outcome. What a column has no room for is cut where that does no harm.
func (l *layout) encode(m task.Meta) (row, error) {
	r := row{
		id: m.ID, status: string(m.State), contentType: codec.JSON{}.ContentType(), contentEncoding: codec.JSON{}.ContentEncoding(),
		traceback: text(m.Traceback, 0),
	}
	if m.Codec != nil && m.Codec.ContentType() != r.contentType {
		return row{}, fmt.Errorf("%w: results are kept as JSON, not as %s", result.ErrInvalid, m.Codec.ContentType())
	}
	if len(m.Result) > maxRow {
		return row{}, fmt.Errorf("%w: its result has %d bytes, and there is room for %d", result.ErrInvalid, len(m.Result), maxRow)
	}
	meta, err := encodeDetails(m)
	if err != nil {
		return row{}, fmt.Errorf("%w: its metadata: %w", result.ErrInvalid, err)
	}
	r.meta = &meta
	if m.Result != nil {
		value := string(m.Result)
		r.result = &value
	}
	if m.State.Ready() && !m.DoneAt.IsZero() {
		r.done = &m.DoneAt
	}
	if x := m.Extended; x != nil {
		r.name, r.worker = text(x.Name, l.widths["task_name"]), text(x.Worker, l.widths["worker"])
		r.periodic = text(x.PeriodicTask, l.widths["periodic_task_name"])
		r.args, r.kwargs = arguments(x.ArgsRepr, x.Args), arguments(x.KwargsRepr, x.Kwargs)
	}
	return r, nil
}

// size is about how many bytes the row has.
func (r row) size() int {
	n := len(r.id) + 200
	for _, s := range []*string{r.result, r.traceback, r.meta, r.args, r.kwargs} {
		if s != nil {
			n += len(*s)
		}
	}
	return n
}

// arguments are kept as Celery keeps them: the text for people, as JSON.
func arguments(repr string, raw codec.Raw) *string {
	value := string(raw)
	if repr != "" {
		encoded, err := codec.JSON{}.Marshal(strings.ToValidUTF8(repr, "\uFFFD"))
		if err != nil {
			return nil // they are there to be read; the outcome counts
		}
		value = string(encoded)
	}
	if value == "" {
		return nil
	}
	return &value
}

// text returns what a column of a width in characters can hold of s, nil for "". PostgreSQL's text holds no zero byte.
func text(s string, width int) *string {
	if s == "" {
		return nil
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if width > 0 && utf8.RuneCountInString(s) > width {
		s = string([]rune(s)[:width])
	}
	return &s
}

// readColumns are the columns that an outcome is read from, in the order of scan.
func readColumns() []string {
	return []string{
		"task_id", "status", "content_type", "content_encoding", "result", "traceback", "meta", "date_done",
		"task_name", "task_args", "task_kwargs", "worker", "periodic_task_name",
	}
}

// scan reads a row.
func scan(columns pgx.Row) (r row, err error) {
	err = columns.Scan(&r.id, &r.status, &r.contentType, &r.contentEncoding, &r.result, &r.traceback, &r.meta, &r.done,
		&r.name, &r.args, &r.kwargs, &r.worker, &r.periodic)
	return r, err
}
