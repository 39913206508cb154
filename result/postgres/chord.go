package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/internal/chord"
	"github.com/seed-399731e2/taskq/task"
)

// A chord is the row that django-celery-results counts it with, so that workers of both languages count down one number
// (django_celery_results/backends/database.py). Which tasks it was counted down for here, and their outcomes, are in tables of our own:
// a task that runs again counts once, and parts need no outcome in the table of tasks. Whoever changes anything locks Django's row first.

// OpenChord implements result.Joiner.
func (b *Backend) OpenChord(ctx context.Context, header task.Ref) error {
	if err := chord.CheckHeader(header); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	tasks, err := wire.EncodeRefs(header.Members)
	if err != nil {
		return fmt.Errorf("postgres: chord %s: %w: %w", header.ID, result.ErrInvalid, err)
	}
	return b.chord(ctx, header.ID, func(ctx context.Context, tx pgx.Tx, l *layout) error {
		_, err := tx.Exec(ctx, "DELETE FROM "+chordTable+" AS c USING taskq_chords AS t WHERE c.group_id = $1 AND t.id = c.id AND NOT "+fresh,
			header.ID, l.expires.Microseconds())
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "WITH opened AS (INSERT INTO "+chordTable+" (group_id, sub_tasks, count) VALUES ($1, $2, $3)"+
			" ON CONFLICT (group_id) DO NOTHING RETURNING id) INSERT INTO taskq_chords (id) SELECT id FROM opened ON CONFLICT DO NOTHING",
			header.ID, string(tasks), len(header.Tasks()))
		return err
	})
}

// JoinChord implements result.Joiner. Of tasks that ran in Python the outcomes that are stored are the parts. One that ran in both
// languages was counted down for twice: if that ends the count before all tasks have ended, it is set to what is missing.
func (b *Backend) JoinChord(ctx context.Context, part result.ChordPart) (joined *result.Joined, err error) {
	if err := chord.CheckPart(part); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	value, err := encodePart(part.Meta)
	if err != nil {
		return nil, fmt.Errorf("postgres: chord %s: %w", part.GroupID, err)
	}
	err = b.chord(ctx, part.GroupID, func(ctx context.Context, tx pgx.Tx, l *layout) error {
		c, found, err := note(ctx, tx, l, part, value)
		if err != nil || !found || c.left > 0 {
			return err
		}
		joined, err = b.join(ctx, tx, l, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return joined, nil
}

// encodePart returns the value that is kept of a part, nil for none.
func encodePart(m task.Meta) (*string, error) {
	switch {
	case m.Codec != nil && m.Codec.ContentType() != (codec.JSON{}).ContentType():
		return nil, fmt.Errorf("%w: the parts of a chord are kept as JSON, not as %s", result.ErrInvalid, m.Codec.ContentType())
	case len(m.Result) > maxRow:
		return nil, fmt.Errorf("%w: part %s has %d bytes, and there is room for %d", result.ErrInvalid, m.ID, len(m.Result), maxRow)
	case m.Result == nil:
		return nil, nil
	}
	value := string(m.Result)
	return &value, nil
}

// counter is a chord's row; what its tasks are is read once none is left.
type counter struct {
	id     int64
	group  string
	left   int
	header task.Ref
}

// fresh holds for a chord t that has not expired, or that nobody here has noted anything of; $2 is how long it is kept, in µs.
const fresh = "(t.touched IS NULL OR $2::bigint = 0 OR t.touched > now() - $2::bigint * interval '1 microsecond')"

// note counts a task that was not noted. The first statement waits at the lock for those who count at the same time, and goes on with what
// they have left; the second one, which goes to the server with it, sees what came of both.
func note(ctx context.Context, tx pgx.Tx, l *layout, part result.ChordPart, value *string) (c counter, found bool, err error) {
	c.group = part.GroupID
	from := " FROM " + chordTable + " AS c LEFT JOIN taskq_chords AS t ON t.id = c.id WHERE c.group_id = $1 AND " + fresh
	batch := &pgx.Batch{}
	batch.Queue("WITH open AS (SELECT c.id"+from+` FOR UPDATE OF c),
			touched AS (INSERT INTO taskq_chords (id) SELECT id FROM open ON CONFLICT (id) DO UPDATE SET touched = now()),
			noted AS (INSERT INTO taskq_chord_parts (chord, task_id, state, result) SELECT id, $3, $4, $5 FROM open
				ON CONFLICT DO NOTHING RETURNING chord)
		UPDATE `+chordTable+" AS c SET count = c.count - 1 FROM noted WHERE c.id = noted.chord AND c.count > 0",
		c.group, l.expires.Microseconds(), part.ID, string(part.State), value)
	var tasks *string
	batch.Queue("SELECT c.id, c.count, CASE WHEN c.count = 0 THEN c.sub_tasks END"+from, c.group, l.expires.Microseconds()).
		QueryRow(func(row pgx.Row) error {
			err := row.Scan(&c.id, &c.left, &tasks)
			if found = err == nil; errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil || tasks == nil {
		return c, found, err
	}
	c.header, err = header(c.group, *tasks)
	return c, found, err
}

// header reads the results that a chord waits for, as json.dumps has written them.
func header(group, tasks string) (task.Ref, error) {
	members, err := wire.DecodeRefs(codec.Raw(tasks), nil)
	if err != nil {
		return task.Ref{}, fmt.Errorf("its tasks: %w", err)
	}
	return task.Ref{ID: group, Group: true, Members: members}, nil
}

// join returns what came of a chord that is counted down, or counts it up to what is missing.
func (b *Backend) join(ctx context.Context, tx pgx.Tx, l *layout, c counter) (*result.Joined, error) {
	ids := c.header.Tasks()
	parts, err := noted(ctx, tx, c.id)
	if err != nil {
		return nil, err
	}
	if err := b.stored(ctx, tx, l, ids, parts); err != nil {
		return nil, err
	}
	joined := &result.Joined{Header: chord.Nested(c.header)}
	for _, id := range ids {
		if part, ok := parts[id]; ok {
			joined.Parts = append(joined.Parts, part)
		}
	}
	if missing := len(ids) - len(joined.Parts); missing > 0 {
		_, err := tx.Exec(ctx, "UPDATE "+chordTable+" SET count = $2 WHERE id = $1", c.id, missing)
		return nil, err
	}
	return joined, nil
}

// noted are the parts that were noted here, by their tasks.
func noted(ctx context.Context, tx pgx.Tx, id int64) (map[string]task.Meta, error) {
	rows, err := tx.Query(ctx, "SELECT task_id, state, result FROM taskq_chord_parts WHERE chord = $1", id)
	if err != nil {
		return nil, err
	}
	parts := map[string]task.Meta{}
	var of, state string
	var value *string
	_, err = pgx.ForEachRow(rows, []any{&of, &state, &value}, func() error {
		m := task.Meta{ID: of, State: task.State(state)}
		if value != nil {
			m.Result = codec.Raw(*value)
		}
		parts[of] = m
		return nil
	})
	return parts, err
}

// stored adds the parts of tasks that have ended elsewhere.
func (b *Backend) stored(ctx context.Context, tx pgx.Tx, l *layout, ids []string, parts map[string]task.Meta) error {
	var missing []string
	for _, id := range ids {
		if _, ok := parts[id]; !ok {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, l.lookup, missing)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (row, error) { return scan(row) })
	if err != nil {
		return err
	}
	for _, r := range found {
		if !task.State(r.status).Ready() {
			continue
		}
		m, err := decode(r, b.cfg.Accept)
		if err != nil {
			return err
		}
		parts[m.ID] = task.Meta{ID: m.ID, State: m.State, Result: m.Result, Codec: m.Codec}
	}
	return nil
}

// GrowChord implements result.Joiner.
func (b *Backend) GrowChord(ctx context.Context, group string, ids ...string) error {
	if err := chord.CheckAdded(group, ids); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return b.chord(ctx, group, func(ctx context.Context, tx pgx.Tx, l *layout) error {
		var id int64
		var tasks string
		err := tx.QueryRow(ctx, "SELECT c.id, c.sub_tasks FROM "+chordTable+" AS c LEFT JOIN taskq_chords AS t ON t.id = c.id WHERE c.group_id = $1 AND "+
			fresh+" FOR UPDATE OF c", group, l.expires.Microseconds()).Scan(&id, &tasks)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		ref, err := header(group, tasks)
		if err != nil {
			return err
		}
		return grow(ctx, tx, id, ref, ids)
	})
}

// grow adds the tasks that the chord does not wait for yet.
func grow(ctx context.Context, tx pgx.Tx, id int64, ref task.Ref, ids []string) error {
	known := map[string]bool{}
	for _, id := range ref.Tasks() {
		known[id] = true
	}
	added := 0
	for _, id := range ids {
		if !known[id] {
			known[id], added = true, added+1
			ref.Members = append(ref.Members, task.Ref{ID: id})
		}
	}
	tasks, err := wire.EncodeRefs(ref.Members)
	if err != nil {
		return fmt.Errorf("%w: %w", result.ErrInvalid, err)
	}
	if _, err := tx.Exec(ctx, "UPDATE "+chordTable+" SET count = count + $2, sub_tasks = $3 WHERE id = $1", id, added, string(tasks)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO taskq_chords (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET touched = now()", id)
	return err
}

// ForgetChord implements result.Joiner. A counter that Python has deleted leaves what was noted here to the sweep.
func (b *Backend) ForgetChord(ctx context.Context, group string) error {
	return b.chord(ctx, group, func(ctx context.Context, tx pgx.Tx, _ *layout) error {
		var id int64
		err := tx.QueryRow(ctx, "DELETE FROM "+chordTable+" WHERE group_id = $1 RETURNING id", group).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			_, err = tx.Exec(ctx, "DELETE FROM taskq_chords WHERE id = $1", id)
		}
		return err
	})
}

// ClaimBody implements result.Joiner.
func (b *Backend) ClaimBody(ctx context.Context, id, claim string) (first bool, err error) {
	if err := chord.CheckClaim(id, claim); err != nil {
		return false, fmt.Errorf("postgres: %w", err)
	}
	l, err := b.chords(ctx)
	if err != nil {
		return false, b.failed("claim the body "+id, err)
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	tag, err := b.pool.Exec(ctx, `INSERT INTO taskq_claims AS old (id, claim) VALUES ($1, $2) ON CONFLICT (id)
		DO UPDATE SET claim = excluded.claim, touched = now()
		WHERE old.claim = excluded.claim OR old.touched <= now() - $3::bigint * interval '1 microsecond'`, id, claim, claimed(l).Microseconds())
	return tag.RowsAffected() > 0, b.failed("claim the body "+id, err)
}

// claimed is how long a claim is kept: it ends where outcomes do not.
func claimed(l *layout) time.Duration {
	if l.expires == 0 {
		return defaultExpires
	}
	return l.expires
}

// chord runs a change to a chord in a transaction. Read committed lets a statement see what was committed while an earlier one waited.
func (b *Backend) chord(ctx context.Context, group string, change func(context.Context, pgx.Tx, *layout) error) error {
	what := "chord " + group
	l, err := b.chords(ctx)
	if err != nil {
		return b.failed(what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	return b.failed(what, pgx.BeginTxFunc(ctx, b.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		return change(ctx, tx, l)
	}))
}
