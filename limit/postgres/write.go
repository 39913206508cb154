package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/limit"
)

const (
	batchCalls = 200
	// tries is how often a batch is written when the database could not put it in order with others.
	tries = 10
)

// What the function taskq_limit does.
const (
	opAcquire = "acquire"
	opExtend  = "extend"
	opRelease = "release"
	opReserve = "reserve"
)

// call is one of the store's methods on its way. All that it says of time are durations, in µs.
type call struct {
	op, key, owner       string
	places               int64
	span, slack, horizon int64

	answer answer
	err    error
	done   chan struct{} // closed by write, when answer and err are there
}

type answer struct {
	held, fresh bool
	holder      []byte
	wait        int64
}

// call hands c to the writer. Who leaves before that leaves nothing behind; afterwards it may be done all the same.
func (s *Store) call(ctx context.Context, c *call) (answer, error) {
	if s.life.Err() != nil {
		return answer{}, limit.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	c.done = make(chan struct{})
	select {
	case s.queue <- c:
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-s.life.Done():
		return answer{}, limit.ErrClosed
	}
	select {
	case <-c.done:
		return c.answer, c.err
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-s.life.Done():
		return answer{}, limit.ErrClosed
	}
}

// write writes what is called for until the store is closed. Calls that come while others are being written are written together: a
// commit is what costs.
func (s *Store) write() {
	swept := time.Now()
	for {
		var batch []*call
		select {
		case first := <-s.queue:
			batch = s.collect(first)
		case <-s.life.Done():
			return
		}
		s.flush(batch)
		if time.Since(swept) >= s.cfg.Sweep {
			swept = time.Now()
			s.sweep()
		}
	}
}

// collect takes what else is there, in the order of its coming.
func (s *Store) collect(first *call) []*call {
	batch := []*call{first}
	for len(batch) < batchCalls {
		select {
		case next := <-s.queue:
			batch = append(batch, next)
			continue
		default:
		}
		break
	}
	return batch
}

// flush writes a batch and answers each call.
func (s *Store) flush(batch []*call) {
	ctx, cancel := context.WithTimeout(s.life, s.cfg.Timeout)
	defer cancel()
	err := s.prepare(ctx)
	// Rows are locked in one order, so that two processes do not wait for each other: first places, then turns, by key. What is called for
	// on one key keeps its order.
	slices.SortStableFunc(batch, func(a, b *call) int {
		return cmp.Or(cmp.Compare(a.table(), b.table()), cmp.Compare(a.key, b.key))
	})
	for try := 1; err == nil; try++ {
		if err = s.execute(ctx, batch); err == nil || try == tries || !conflict(err) {
			break
		}
		err = nil
	}
	for _, c := range batch {
		c.err = err
		close(c.done)
	}
}

// table is where the row is that the call locks.
func (c *call) table() int {
	if c.op == opReserve {
		return 1
	}
	return 0
}

// conflict reports whether the database undid the batch for the sake of others, so that it may be tried again.
func conflict(err error) bool {
	state := pgdial.State(err)
	return state == "40001" || state == "40P01" // serialization failure, deadlock
}

const callSQL = "SELECT held, fresh, holder, wait FROM taskq_limit($1::text[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])"

// execute writes the batch in one statement, which is one transaction.
func (s *Store) execute(ctx context.Context, batch []*call) error {
	n := len(batch)
	ops, keys, owners := make([]string, n), make([][]byte, n), make([][]byte, n)
	places, spans, slacks, horizons := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, c := range batch {
		ops[i], keys[i], owners[i] = c.op, []byte(c.key), []byte(c.owner)
		places[i], spans[i], slacks[i], horizons[i] = c.places, c.span, c.slack, c.horizon
	}
	rows, err := s.pool.Query(ctx, callSQL, ops, keys, owners, places, spans, slacks, horizons)
	if err != nil {
		return err
	}
	answers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a answer, err error) {
		return a, row.Scan(&a.held, &a.fresh, &a.holder, &a.wait)
	})
	if err != nil {
		return err
	}
	if len(answers) != n {
		return fmt.Errorf("%w: the function taskq_limit gave %d answers to %d calls: drop it and %s, so that both are created anew",
			limit.ErrAccess, len(answers), n, versionTable)
	}
	for i, c := range batch {
		c.answer = answers[i]
	}
	return nil
}

// sweepRows is how many rows are deleted at once.
const sweepRows = 1000

// sweep deletes what nobody uses any more. Rows that somebody else has locked are left to them.
func (s *Store) sweep() {
	ctx, cancel := context.WithTimeout(s.life, s.cfg.Timeout)
	defer cancel()
	for _, table := range []string{placesTable, turnsTable} {
		for more := true; more; {
			tag, err := s.pool.Exec(ctx, "DELETE FROM "+table+" WHERE key IN (SELECT key FROM "+table+
				" WHERE over <= taskq_limit_now() ORDER BY over LIMIT $1 FOR UPDATE SKIP LOCKED)", sweepRows)
			if err != nil {
				if s.life.Err() == nil {
					s.cfg.Logger.WarnContext(ctx, "places and turns that are over could not be deleted", "error", pgdial.Plain(err))
				}
				return
			}
			more = tag.RowsAffected() == sweepRows
		}
	}
}
