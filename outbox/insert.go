package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
)

// Tx is the caller's transaction: a pgx.Tx. A connection or a pool of pgx is one, too, and makes a transaction of each statement.
// SQL makes one of a transaction of database/sql.
type Tx interface {
	Exec(ctx context.Context, statement string, args ...any) (pgconn.CommandTag, error)
}

// SQL makes a transaction of database/sql the caller's one. The driver must be pgx's (pgx/v5/stdlib) to insert several entries at once.
func SQL(tx *sql.Tx) Tx { return sqlTx{tx} }

type sqlTx struct{ tx *sql.Tx }

// Exec implements Tx. Nobody here asks how many rows it were.
func (t sqlTx) Exec(ctx context.Context, statement string, args ...any) (pgconn.CommandTag, error) {
	_, err := t.tx.ExecContext(ctx, statement, args...)
	return pgconn.CommandTag{}, err
}

// Entry is a message on its way into the outbox.
type Entry struct {
	broker.Posting
	// TaskID and Task, its name, are shown to people.
	TaskID, Task string
	// Queue is declared before the message is published; "" when it goes to an exchange, which must exist.
	Queue string
	// Delay is how long the message stays in the outbox at least, counted by the database's clock; 0 sends it as soon as it is committed.
	Delay time.Duration
}

// Check refuses what neither the database nor a broker can carry. It wraps broker.ErrInvalid.
func (e Entry) Check() error {
	if err := record.Check(e.To, e.Message); err != nil {
		return err
	}
	for _, s := range []struct{ name, value string }{
		{"task id", e.TaskID}, {"task name", e.Task}, {"queue", e.Queue}, {"exchange", e.To.Exchange}, {"routing key", e.To.RoutingKey},
	} {
		if !utf8.ValidString(s.value) || strings.ContainsRune(s.value, 0) {
			return fmt.Errorf("%s %q: %w: PostgreSQL keeps UTF-8 without NUL", s.name, s.value, broker.ErrInvalid)
		}
	}
	return nil
}

const insertColumns = "task_id, task, exchange, routing_key, queue, properties, body, not_before"

// notBefore is a time that is so many seconds away, by the database's clock; null for now.
func notBefore(seconds string) string {
	return "CASE WHEN " + seconds + " > 0 THEN clock_timestamp() + " + seconds + " * interval '1 second' END"
}

// Insert writes the entries in the caller's transaction, in their order, by one statement. Entries that can never be sent are refused
// before: such an error wraps broker.ErrInvalid and leaves the transaction as it is. Every other error has failed the transaction.
func Insert(ctx context.Context, tx Tx, t Table, entries ...Entry) error {
	if err := t.Validate(); err != nil {
		return err
	}
	for _, e := range entries {
		if err := e.Check(); err != nil {
			return fmt.Errorf("outbox: %s: %w", e.TaskID, err)
		}
	}
	var err error
	switch len(entries) {
	case 0:
		return nil
	case 1:
		e := entries[0]
		_, err = tx.Exec(ctx, "INSERT INTO "+t.String()+" ("+insertColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, "+notBefore("$8::float8")+")",
			e.TaskID, e.Task, e.To.Exchange, e.To.RoutingKey, e.Queue, record.Encode(e.Message), bytesOf(e.Message.Body), e.Delay.Seconds())
	default:
		_, err = tx.Exec(ctx, "INSERT INTO "+t.String()+" ("+insertColumns+") SELECT task_id, task, exchange, routing_key, queue, properties, body, "+
			notBefore("delay")+" FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::float8[]) "+
			"WITH ORDINALITY AS e(task_id, task, exchange, routing_key, queue, properties, body, delay, place) ORDER BY place", columnsOf(entries)...)
	}
	if err != nil {
		return fmt.Errorf("outbox: %w", explain(err, t))
	}
	return nil
}

// columnsOf are the entries as one array for each column.
func columnsOf(entries []Entry) []any {
	n := len(entries)
	texts := make([][]string, 5)
	properties, bodies, delays := make([][]byte, 0, n), make([][]byte, 0, n), make([]float64, 0, n)
	for _, e := range entries {
		for i, text := range []string{e.TaskID, e.Task, e.To.Exchange, e.To.RoutingKey, e.Queue} {
			texts[i] = append(texts[i], text)
		}
		properties, bodies = append(properties, record.Encode(e.Message)), append(bodies, bytesOf(e.Message.Body))
		delays = append(delays, e.Delay.Seconds())
	}
	return []any{texts[0], texts[1], texts[2], texts[3], texts[4], properties, bodies, delays}
}

// bytesOf is an empty body rather than none, which would be null.
func bytesOf(body []byte) []byte {
	if body == nil {
		return []byte{}
	}
	return body
}
