package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/internal/chord"
	"github.com/seed-399731e2/taskq/task"
)

// OpenChord implements result.Joiner.
func (b *Backend) OpenChord(ctx context.Context, header task.Ref) error {
	if err := chord.CheckHeader(header); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	var structure []byte
	if nested := chord.Nested(header); nested != nil {
		var err error
		if structure, err = wire.EncodeGroup(*nested, nil); err != nil {
			return fmt.Errorf("sqlite: chord %s: %w: %w", header.ID, result.ErrInvalid, err)
		}
	}
	return b.chord(ctx, header.ID, func(tx *sqlitedb.Tx, now time.Time) error {
		if found, err := b.touch(tx, header.ID, now); err != nil || found {
			return err
		}
		if err := forget(tx, header.ID); err != nil { // it may have expired
			return err
		}
		if _, err := tx.Exec("INSERT INTO result_chords (id, header, expires_at) VALUES (?, ?, ?)", header.ID, structure, b.expiry(now)); err != nil {
			return err
		}
		return add(tx, header.ID, 0, header.Tasks())
	})
}

// JoinChord implements result.Joiner.
func (b *Backend) JoinChord(ctx context.Context, part result.ChordPart) (joined *result.Joined, err error) {
	if err := chord.CheckPart(part); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	contentType, err := b.contentType(part.Codec)
	if err != nil {
		return nil, fmt.Errorf("sqlite: chord %s: %w: %w", part.GroupID, result.ErrInvalid, err)
	}
	err = b.chord(ctx, part.GroupID, func(tx *sqlitedb.Tx, now time.Time) error {
		joined = nil // it may run twice
		found, err := b.touch(tx, part.GroupID, now)
		if err != nil || !found {
			return err
		}
		_, err = tx.Exec("UPDATE result_chord_tasks SET state = ?, result = ?, content_type = ? WHERE chord = ? AND task = ? AND state IS NULL",
			string(part.State), []byte(part.Result), contentType, part.GroupID, part.ID)
		if err != nil {
			return err
		}
		joined, err = b.joined(tx, part.GroupID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return joined, nil
}

// joined is nil while a task has not ended.
func (b *Backend) joined(tx *sqlitedb.Tx, id string) (*result.Joined, error) {
	var waits bool
	err := tx.QueryRow("SELECT EXISTS (SELECT 1 FROM result_chord_tasks WHERE chord = ? AND state IS NULL)", []any{id}, &waits)
	if err != nil || waits {
		return nil, err
	}
	var structure []byte
	if err := tx.QueryRow("SELECT header FROM result_chords WHERE id = ?", []any{id}, &structure); err != nil {
		return nil, err
	}
	j := &result.Joined{}
	if structure != nil {
		header, err := wire.DecodeGroup(structure, nil)
		if err != nil {
			return nil, err
		}
		j.Header = &header
	}
	return j, tx.Query(func(rows *sql.Rows) error {
		var m task.Meta
		var contentType string
		if err := rows.Scan(&m.ID, &m.State, (*[]byte)(&m.Result), &contentType); err != nil {
			return err
		}
		if contentType != "" {
			var err error
			if m.Codec, err = b.accept.ForContentType(contentType); err != nil {
				return fmt.Errorf("outcome of %s: %w", m.ID, err)
			}
		}
		j.Parts = append(j.Parts, m)
		return nil
	}, "SELECT task, state, result, content_type FROM result_chord_tasks WHERE chord = ? ORDER BY place", id)
}

// GrowChord implements result.Joiner.
func (b *Backend) GrowChord(ctx context.Context, group string, ids ...string) error {
	if err := chord.CheckAdded(group, ids); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return b.chord(ctx, group, func(tx *sqlitedb.Tx, now time.Time) error {
		found, err := b.touch(tx, group, now)
		if err != nil || !found {
			return err
		}
		var next int
		if err := tx.QueryRow("SELECT max(place) + 1 FROM result_chord_tasks WHERE chord = ?", []any{group}, &next); err != nil {
			return err
		}
		return add(tx, group, next, ids)
	})
}

// ForgetChord implements result.Joiner.
func (b *Backend) ForgetChord(ctx context.Context, group string) error {
	return b.chord(ctx, group, func(tx *sqlitedb.Tx, _ time.Time) error { return forget(tx, group) })
}

// ClaimBody implements result.Joiner.
func (b *Backend) ClaimBody(ctx context.Context, id, claim string) (first bool, err error) {
	if err := chord.CheckClaim(id, claim); err != nil {
		return false, fmt.Errorf("sqlite: %w", err)
	}
	if err := b.waiters.Err(); err != nil {
		return false, err
	}
	now := time.Now()
	expires := b.expiry(now)
	if expires == 0 {
		expires = now.Add(defaultExpires).UnixMicro()
	}
	err = b.db.Write(ctx, func(tx *sqlitedb.Tx) error {
		changed, err := tx.Exec(`
INSERT INTO result_claims AS old (id, claim, expires_at) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET claim = excluded.claim, expires_at = excluded.expires_at
	WHERE old.claim = excluded.claim OR old.expires_at <= ?`, id, claim, expires, now.UnixMicro())
		first = changed > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("sqlite: claim the body %s: %w", id, err)
	}
	return first, nil
}

// chord changes what is noted of a chord.
func (b *Backend) chord(ctx context.Context, id string, change func(*sqlitedb.Tx, time.Time) error) error {
	if err := b.waiters.Err(); err != nil {
		return err
	}
	now := time.Now()
	err := b.db.Write(ctx, func(tx *sqlitedb.Tx) error {
		if err := change(tx, now); err != nil {
			return err
		}
		return b.sweep(tx, now)
	})
	if err != nil {
		return fmt.Errorf("sqlite: chord %s: %w", id, err)
	}
	return nil
}

// touch reports whether the chord is noted, and has it kept from now on.
func (b *Backend) touch(tx *sqlitedb.Tx, id string, now time.Time) (found bool, err error) {
	n, err := tx.Exec("UPDATE result_chords SET expires_at = ? WHERE id = ? AND (expires_at = 0 OR expires_at > ?)", b.expiry(now), id, now.UnixMicro())
	return n > 0, err
}

// add has the chord wait for the tasks that it does not wait for yet.
func add(tx *sqlitedb.Tx, id string, place int, tasks []string) error {
	for i, task := range tasks {
		if _, err := tx.Exec("INSERT OR IGNORE INTO result_chord_tasks (chord, task, place) VALUES (?, ?, ?)", id, task, place+i); err != nil {
			return err
		}
	}
	return nil
}

func forget(tx *sqlitedb.Tx, id string) error {
	_, err := tx.Exec("DELETE FROM result_chords WHERE id = ?", id)
	_, parts := tx.Exec("DELETE FROM result_chord_tasks WHERE chord = ?", id)
	return errors.Join(err, parts)
}
