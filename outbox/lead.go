package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/internal/record"
)

const (
	probeEvery   = 15 * time.Second // of a connection that is silent
	probeTimeout = 5 * time.Second
)

// lead is the connection of a relay. Who holds the lock of the table on it publishes; what was published is deleted on the same
// connection, so that who has lost the lock without knowing it deletes nothing.
type lead struct {
	conn    *pgx.Conn
	table   Table
	timeout time.Duration // of each statement
}

// take waits for the lock; begun is called when the table is known to be there.
func (l *lead) take(ctx context.Context, begun func()) error {
	if err := l.exec(ctx, sessionSQL); err != nil {
		return err
	}
	for {
		var got, may, writes bool
		err := l.timed(ctx, func(ctx context.Context) error {
			return l.conn.QueryRow(ctx, lockSQL, l.table.String()).Scan(&got, &may, &writes)
		})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			if err := l.create(ctx); err != nil {
				return err
			}
		case err != nil:
			return err
		case !may:
			return mayNot(l.table, errors.New("the user of the relay lacks one of these"))
		case !writes:
			return fmt.Errorf("%w: it only reads, as a standby does or one with default_transaction_read_only", ErrUnavailable)
		}
		begun()
		if got {
			return nil
		}
		if err := l.idle(ctx, leadEvery); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// create makes the table, as far as the user may.
func (l *lead) create(ctx context.Context) error {
	err := l.timed(ctx, func(ctx context.Context) error { return migrate(ctx, l.conn, l.table) })
	if pgdial.State(err) == "42501" {
		return noTable(l.table, err)
	}
	return err
}

// sessionSQL makes the server notice within half a minute that a relay is gone without a word, keeps it from ending a silent one, and
// keeps the planner to the indexes: statistics of a table that is nearly empty most of the time say nothing.
const sessionSQL = `SELECT set_config(s.name, v.value, false)
FROM (VALUES ('tcp_keepalives_idle', '15'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '15000'),
	('idle_session_timeout', '0'), ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off')) AS v(name, value)
JOIN pg_settings s USING (name)`

// lockSQL asks for the lock of the table, whatever the search path calls it, and whether rows can be deleted and changed: who could not
// would publish the same ones again and again. A statement that waits for a lock would hold a snapshot, and with it the dead rows of the
// whole database: it only asks.
const lockSQL = `SELECT pg_try_advisory_lock(hashtextextended('taskq outbox ' || n.nspname || '.' || c.relname, 0)),
	has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'),
	current_setting('transaction_read_only') = 'off'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`

// dueRow is a message to be published.
type dueRow struct {
	id       int64
	attempts int // that failed
	entry    Entry
	damaged  error // why it cannot be read; nil when it can
}

// due reads what may go now, in the order of the ids, as much as is published together. It takes no locks and opens no transaction: the
// rows are this connection's as long as it holds the lock. There is no "after the last one": rows are committed in another order than that of
// their ids.
func (l *lead) due(ctx context.Context) (rows []dueRow, err error) {
	err = l.timed(ctx, func(ctx context.Context) error {
		found, err := l.conn.Query(ctx, dueSQL(l.table), batchRows, batchBytes)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, scanDue)
		return err
	})
	return rows, err
}

// dueSQL reads each kind of row by its own index. Of large bodies at least one is read.
func dueSQL(t Table) string {
	columns := "id, task_id, queue, exchange, routing_key, properties, body, attempts"
	return "SELECT " + columns + " FROM (SELECT *, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS before FROM (" +
		"(SELECT " + columns + " FROM " + t.String() + " WHERE not_before IS NULL ORDER BY id LIMIT $1) UNION ALL " +
		"(SELECT " + columns + " FROM " + t.String() + " WHERE not_before <= now() ORDER BY not_before LIMIT $1)" +
		") AS ready ORDER BY id LIMIT $1) AS weighed WHERE before < $2 ORDER BY id"
}

func scanDue(row pgx.CollectableRow) (dueRow, error) {
	var r dueRow
	var properties, body []byte
	e := &r.entry
	err := row.Scan(&r.id, &e.TaskID, &e.Queue, &e.To.Exchange, &e.To.RoutingKey, &properties, &body, &r.attempts)
	if err != nil {
		return r, err
	}
	e.Message, r.damaged = record.Decode(properties)
	e.Message.Body = body
	return r, nil
}

// settle deletes what the broker has taken and notes what it refused, to be tried again later and later. Also when ctx is done.
func (l *lead) settle(ctx context.Context, done outcome) error {
	ctx = context.WithoutCancel(ctx)
	if len(done.taken) > 0 {
		if err := l.exec(ctx, "DELETE FROM "+l.table.String()+" WHERE id = ANY($1)", done.taken); err != nil {
			return fmt.Errorf("delete what was published: %w", err)
		}
	}
	for _, f := range done.refused {
		err := l.exec(ctx, "UPDATE "+l.table.String()+" SET attempts = attempts + 1, error = $2, "+
			"not_before = clock_timestamp() + $3::float8 * interval '1 second' WHERE id = $1", f.id, f.text(), f.again().Seconds())
		if err != nil {
			return fmt.Errorf("note what was refused: %w", err)
		}
	}
	return nil
}

// idle waits for so long, or until ctx is done or the connection is lost.
func (l *lead) idle(ctx context.Context, limit time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := l.conn.WaitForNotification(waiting); err != nil && waiting.Err() == nil {
		return fmt.Errorf("connection is lost: %w", err)
	}
	return nil
}

// during does something and cancels its context when the connection is lost, or stopGrace after ctx is done. It returns an error
// when the connection is lost.
func (l *lead) during(ctx context.Context, do func(context.Context)) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		pause(working, stopGrace)
		stop()
	})()
	watching, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	lost := make(chan error, 1)
	go func() {
		err := l.watch(watching)
		if err != nil {
			stop()
		}
		lost <- err
	}()
	do(working)
	done()
	return <-lost
}

// watch returns an error when the connection is lost, nil once ctx is done.
func (l *lead) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		waiting, cancel := context.WithTimeout(ctx, probeEvery)
		_, err := l.conn.WaitForNotification(waiting)
		silent := waiting.Err() != nil
		cancel()
		switch {
		case err != nil && !silent:
			return fmt.Errorf("connection is lost: %w", err)
		case ctx.Err() != nil || err == nil:
			continue
		}
		probing, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout) // a cancelled ping would end the connection
		err = l.conn.Ping(probing)
		cancel()
		if err != nil {
			return fmt.Errorf("the database does not answer: %w", err)
		}
	}
	return nil
}

func (l *lead) exec(ctx context.Context, statement string, args ...any) error {
	return l.timed(ctx, func(ctx context.Context) error {
		_, err := l.conn.Exec(ctx, statement, args...)
		return err
	})
}

// timed bounds a statement. One that is cancelled ends the connection: it is not cancelled by who stops the relay.
func (l *lead) timed(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	return do(ctx)
}

// hangUp ends the connection, and with it the lock, also when ctx is done.
func (l *lead) hangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx) // it is being thrown away; there is nobody to tell
	select {
	case <-l.conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
