package outbox

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
)

// Row is a message in the outbox.
type Row struct {
	ID           int64
	TaskID, Task string
	Queue        string // to be declared; "": none
	broker.Posting
	NotBefore time.Time // when it goes, or is tried again; zero: at once
	Created   time.Time // when the transaction that wrote it began
	Attempts  int       // that failed
	Error     string    // of the last one
}

const rowColumns = "id, task_id, task, queue, exchange, routing_key, properties, body, not_before, created, attempts, error"

// List passes on the rows, the oldest one first, until show returns false; with failed those alone that the broker has refused.
func (s *Store) List(ctx context.Context, failed bool, show func(Row) bool) error {
	where := "true"
	if failed {
		where = "attempts > 0"
	}
	return s.failed("list", s.each(ctx, where, show))
}

// page is how many rows are read at a time.
const page = 500

// each passes on the rows that are chosen, in the order of their ids, until show returns false.
func (s *Store) each(ctx context.Context, where string, show func(Row) bool) error {
	for last := int64(-1 << 63); ; {
		rows, err := s.page(ctx, where, last)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if last = r.ID; !show(r) {
				return nil
			}
		}
		if len(rows) < page {
			return nil
		}
	}
}

func (s *Store) page(ctx context.Context, where string, after int64) ([]Row, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, "SELECT "+rowColumns+" FROM "+s.cfg.Table.String()+" WHERE id > $1 AND "+where+" ORDER BY id LIMIT $2", after, page)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanRow)
}

func scanRow(row pgx.CollectableRow) (Row, error) {
	var r Row
	var properties, body []byte
	var notBefore *time.Time
	err := row.Scan(&r.ID, &r.TaskID, &r.Task, &r.Queue, &r.To.Exchange, &r.To.RoutingKey, &properties, &body, &notBefore,
		&r.Created, &r.Attempts, &r.Error)
	if err != nil {
		return r, err
	}
	if notBefore != nil {
		r.NotBefore = *notBefore
	}
	r.Message, err = record.Decode(properties)
	if err != nil && r.Error == "" {
		r.Error = err.Error() // it is shown all the same
	}
	r.Message.Body = body
	return r, nil
}

// Retry has the rows with these ids that failed tried again at once, all of them when there are no ids. It returns how many there were.
func (s *Store) Retry(ctx context.Context, ids ...int64) (int, error) {
	return s.change(ctx, "retry", "UPDATE "+s.cfg.Table.String()+" SET not_before = NULL, attempts = 0, error = '' WHERE attempts > 0", ids)
}

// Delete removes the rows with these ids and returns how many there were. A message that is on its way right then may arrive all the same.
func (s *Store) Delete(ctx context.Context, ids ...int64) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	return s.change(ctx, "delete", "DELETE FROM "+s.cfg.Table.String()+" WHERE true", ids)
}

func (s *Store) change(ctx context.Context, what, statement string, ids []int64) (int, error) {
	var args []any
	if len(ids) > 0 {
		statement, args = statement+" AND id = ANY($1)", []any{ids}
	}
	done, err := s.Exec(ctx, statement, args...)
	return int(done.RowsAffected()), s.failed(what, err)
}
