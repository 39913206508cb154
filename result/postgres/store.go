package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-399731e2/taskq/task"
)

// What one statement writes at the most.
const (
	batchRows  = 500
	batchBytes = 4 << 20
)

// request is one call of Store.
type request struct {
	meta task.Meta
	row  row
	done chan error // one place: nobody may be there any more
}

// Store implements result.Backend. Calls that come while another one is being written are written together.
func (b *Backend) Store(ctx context.Context, meta task.Meta) error {
	l, err := b.tables(ctx)
	if err != nil {
		return b.failed("store the outcome of "+meta.ID, err)
	}
	meta.ReplyTo, meta.CorrelationID = "", ""
	row, err := l.encode(meta)
	if err != nil {
		return b.failed("store the outcome of "+meta.ID, err)
	}
	req := &request{meta: meta, row: row, done: make(chan error, 1)}
	select {
	case b.queue <- req:
	case <-ctx.Done():
		return b.failed("store the outcome of "+meta.ID, ctx.Err())
	case <-b.ended:
		return b.waiters.Err()
	}
	select {
	case err := <-req.done:
		return b.failed("store the outcome of "+meta.ID, err)
	case <-ctx.Done(): // it may be written all the same
		return b.failed("store the outcome of "+meta.ID, ctx.Err())
	case <-b.ended:
		return b.waiters.Err()
	}
}

// write writes what Store asks for until ctx ends.
func (b *Backend) write(ctx context.Context) {
	var next *request
	sweep := newSweep()
	for {
		var batch []*request
		if batch, next = b.collect(ctx, next); batch == nil {
			return
		}
		b.flush(ctx, batch)
		sweep.maybe(ctx, b)
	}
}

// collect waits for a request, and takes those that are there already, too. One whose task is in the batch comes after it: a statement
// may write a row only once.
func (b *Backend) collect(ctx context.Context, first *request) (batch []*request, next *request) {
	if first == nil {
		select {
		case first = <-b.queue:
		case <-ctx.Done():
			return nil, nil
		}
	}
	batch = []*request{first}
	seen := map[string]bool{first.row.id: true}
	for size := first.row.size(); len(batch) < batchRows && size < batchBytes; {
		select {
		case req := <-b.queue:
			if seen[req.row.id] {
				return batch, req
			}
			seen[req.row.id] = true
			size += req.row.size()
			batch = append(batch, req)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

// flush writes a batch and answers each request. When the database refuses it for one row's sake, each row is written by itself, so
// that the others do not pay for it.
func (b *Backend) flush(ctx context.Context, batch []*request) {
	err := b.upsert(ctx, batch)
	if refused(err) && len(batch) > 1 {
		for i := range batch {
			batch[i].done <- b.upsert(ctx, batch[i:i+1])
		}
		return
	}
	for _, req := range batch {
		req.done <- err
	}
}

// upsert writes the outcomes in one statement, unless a SUCCESS is there, and announces them.
func (b *Backend) upsert(ctx context.Context, batch []*request) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	l, err := b.tables(ctx)
	if err != nil {
		return err
	}
	// in one order, so that two processes that write the same tasks do not lock each other out
	sorted := slices.SortedFunc(slices.Values(batch), func(a, b *request) int { return strings.Compare(a.row.id, b.row.id) })
	rows, err := b.pool.Query(ctx, l.upsert, parameters(l.sources, sorted)...)
	if err != nil {
		return err
	}
	stored := make(map[string]bool, len(batch))
	var id string
	var announced *string
	if _, err = pgx.ForEachRow(rows, []any{&id, &announced}, func() error { stored[id] = true; return nil }); err != nil {
		return err
	}
	for _, req := range batch {
		if stored[req.row.id] && req.meta.State.Ready() { // others are read in order by who follows
			b.waiters.Deliver(req.meta)
		}
	}
	return nil
}

// parameters are the columns of a batch, one array for each.
func parameters(sources []source, batch []*request) []any {
	params := make([]any, len(sources))
	for i, s := range sources {
		if s.time != nil {
			times := make([]*time.Time, len(batch))
			for j, req := range batch {
				times[j] = s.time(&req.row)
			}
			params[i] = times
			continue
		}
		values := make(texts, len(batch))
		for j, req := range batch {
			values[j] = (*cell)(s.text(&req.row))
		}
		params[i] = values
	}
	return params
}

// texts is an array of texts as the driver takes it without reflection, for which it would copy each.
type texts []*cell

// Dimensions implements pgtype.ArrayGetter.
func (t texts) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(t)), LowerBound: 1}} //nolint:gosec // at most batchRows
}

// Index implements pgtype.ArrayGetter.
func (t texts) Index(i int) any { return t[i] }

// IndexType implements pgtype.ArrayGetter.
func (t texts) IndexType() any { return new(cell) }

// cell is the text of a column; nil is NULL.
type cell string

// TextValue implements pgtype.TextValuer.
func (c *cell) TextValue() (pgtype.Text, error) {
	if c == nil {
		return pgtype.Text{}, nil
	}
	return pgtype.Text{String: string(*c), Valid: true}, nil
}
