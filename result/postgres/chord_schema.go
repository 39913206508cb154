package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/result"
)

// chordTables are made when the first chord is counted, in the database of a Django site, too: they are not Django's. They refer to
// its counters by their ids without saying so to the database, so that Django can migrate and delete these as if nobody did.
func chordTables() pgdial.Tables {
	return pgdial.Tables{
		Name:   "result_chords",
		Quoted: []string{"taskq_chords", "taskq_chord_parts", "taskq_claims"},
		Steps: []func(context.Context, pgx.Tx) error{func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `
CREATE TABLE IF NOT EXISTS taskq_chords (
    id bigint NOT NULL PRIMARY KEY, -- of django_celery_results_chordcounter
    touched timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS taskq_chords_touched_idx ON taskq_chords (touched);
CREATE TABLE IF NOT EXISTS taskq_chord_parts (
    chord bigint NOT NULL REFERENCES taskq_chords ON DELETE CASCADE,
    task_id text NOT NULL,
    state text NOT NULL,
    result text, -- JSON
    PRIMARY KEY (chord, task_id)
);
CREATE TABLE IF NOT EXISTS taskq_claims (
    id text NOT NULL PRIMARY KEY, -- of the task that is a chord's body
    claim text NOT NULL,
    touched timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS taskq_claims_touched_idx ON taskq_claims (touched);`)
			return err
		}},
	}
}

// chords returns the layout when all that counts chords is there; what is our own of it is created when it is missing.
func (b *Backend) chords(ctx context.Context) (*layout, error) {
	l, err := b.tables(ctx)
	if err != nil || l.chords.Load() {
		return l, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	select {
	case b.looking <- struct{}{}:
		defer func() { <-b.looking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.chords.Load() {
		return l, nil
	}
	var found bool
	if err := b.pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", chordTable).Scan(&found); err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: the table %s is missing: run \"manage.py migrate django_celery_results\"", result.ErrAccess, chordTable)
	}
	if err := chordTables().Migrate(ctx, b.pool); pgdial.State(err) == "42501" {
		return nil, fmt.Errorf("%w: chords need the tables taskq_chords, taskq_chord_parts and taskq_claims, which may not be created: let a user with the "+
			"right CREATE on the schema count a chord once, and grant this one SELECT, INSERT, UPDATE and DELETE on them and SELECT on "+
			"taskq_migrations: %w", result.ErrAccess, err)
	} else if err != nil {
		return nil, err
	}
	l.chords.Store(true)
	return l, nil
}
