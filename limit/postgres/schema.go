package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/limit"
)

const (
	placesTable  = "taskq_limit_places"
	turnsTable   = "taskq_limit_turns"
	versionTable = "taskq_limit_version"
)

// steps bring the tables up to date, each applied once. They are only ever appended.
func steps() []string {
	return []string{tablesSQL + functionSQL}
}

// Times are µs since 1970. Keys and owners are bytes, since texts cannot hold all of them. A row of places is of one key: its owners and
// the ends of their places, as a call reads and writes all of them. over is when a row has no meaning any more.
const tablesSQL = `
CREATE TABLE taskq_limit_places (
    key bytea NOT NULL PRIMARY KEY,
    owners bytea[] NOT NULL,
    ends bigint[] NOT NULL,
    over bigint NOT NULL
);
CREATE INDEX taskq_limit_places_over ON taskq_limit_places (over);
CREATE TABLE taskq_limit_turns (
    key bytea NOT NULL PRIMARY KEY,
    last bigint NOT NULL,
    over bigint NOT NULL
);
CREATE INDEX taskq_limit_turns_over ON taskq_limit_turns (over);
`

// functionSQL does what a batch of calls asks for, one after the other, and answers each with a row. The time is looked at anew once a row
// is locked: the transaction's own would be that of its beginning, before it waited.
const functionSQL = `
CREATE FUNCTION taskq_limit_now() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

CREATE FUNCTION taskq_limit_place(op text, k bytea, who bytea, most bigint, span bigint,
    OUT held boolean, OUT fresh boolean, OUT holder bytea) LANGUAGE plpgsql AS $$
DECLARE
    names bytea[];
    times bigint[];
    moment bigint;
    pos integer;
BEGIN
    held := false;
    fresh := false;
    LOOP
        SELECT p.owners, p.ends INTO names, times FROM taskq_limit_places AS p WHERE p.key = k FOR UPDATE;
        EXIT WHEN FOUND;
        IF op <> 'acquire' THEN
            RETURN;
        END IF;
        moment := taskq_limit_now();
        INSERT INTO taskq_limit_places VALUES (k, ARRAY[who], ARRAY[moment + span], moment + span) ON CONFLICT DO NOTHING;
        IF FOUND THEN
            held := true;
            fresh := true;
            RETURN;
        END IF;
    END LOOP;
    moment := taskq_limit_now();
    SELECT coalesce(array_agg(u.o ORDER BY u.e), '{}'), coalesce(array_agg(u.e ORDER BY u.e), '{}') INTO names, times
        FROM unnest(names, times) AS u(o, e) WHERE u.e > moment;
    pos := array_position(names, who);
    held := pos IS NOT NULL;
    IF op = 'release' THEN
        IF pos IS NOT NULL THEN
            names := names[:pos - 1] || names[pos + 1:];
            times := times[:pos - 1] || times[pos + 1:];
        END IF;
    ELSIF pos IS NOT NULL THEN
        times[pos] := CASE op WHEN 'extend' THEN moment + span ELSE greatest(times[pos], moment + span) END;
    ELSIF op = 'acquire' AND cardinality(names) < most THEN
        names := array_append(names, who);
        times := array_append(times, moment + span);
        held := true;
        fresh := true;
    ELSE
        IF op = 'acquire' THEN
            holder := names[1];
        END IF;
        RETURN;
    END IF;
    IF cardinality(names) = 0 THEN
        DELETE FROM taskq_limit_places AS p WHERE p.key = k;
    ELSE
        UPDATE taskq_limit_places AS p SET owners = names, ends = times, over = (SELECT max(e) FROM unnest(times) AS u(e)) WHERE p.key = k;
    END IF;
END $$;

CREATE FUNCTION taskq_limit_turn(k bytea, every bigint, slack bigint, horizon bigint, OUT wait bigint) LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
    moment bigint;
    turn bigint;
    known boolean;
BEGIN
    LOOP
        SELECT t.last INTO before FROM taskq_limit_turns AS t WHERE t.key = k FOR UPDATE;
        known := FOUND;
        moment := taskq_limit_now();
        turn := CASE WHEN known THEN greatest(moment, before + every) ELSE moment END;
        wait := greatest(0, turn - slack - moment);
        IF wait > horizon THEN
            RETURN;
        END IF;
        IF known THEN
            UPDATE taskq_limit_turns AS t SET last = turn, over = turn + every WHERE t.key = k;
            RETURN;
        END IF;
        INSERT INTO taskq_limit_turns VALUES (k, turn, turn + every) ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RETURN;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION taskq_limit(ops text[], names bytea[], who bytea[], most bigint[], spans bigint[], slacks bigint[], horizons bigint[])
    RETURNS TABLE (held boolean, fresh boolean, holder bytea, wait bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. cardinality(ops) LOOP
        held := false;
        fresh := false;
        holder := NULL;
        wait := 0;
        IF ops[i] = 'reserve' THEN
            wait := taskq_limit_turn(names[i], spans[i], slacks[i], horizons[i]);
        ELSE
            SELECT p.held, p.fresh, p.holder INTO held, fresh, holder
                FROM taskq_limit_place(ops[i], names[i], who[i], most[i], spans[i]) AS p;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
`

// prepare makes sure of the tables once in the life of the store.
func (s *Store) prepare(ctx context.Context) error {
	if s.ready.Load() {
		return nil
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	version, err := version(ctx, conn.Conn())
	if err == nil && version < len(steps()) {
		err = pgdial.Alone(ctx, conn, func(tx pgx.Tx) error { return migrate(ctx, tx) })
		if err == nil {
			s.cfg.Logger.InfoContext(ctx, "tables of limits created", "table", placesTable)
		}
	}
	if err == nil && version > len(steps()) {
		err = newer(version)
	}
	s.ready.Store(err == nil)
	return err
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// version is how many steps were applied; 0 where there are no tables.
func version(ctx context.Context, q querier) (version int, err error) {
	var there bool
	if err := q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", versionTable).Scan(&there); err != nil || !there {
		return 0, err
	}
	return version, q.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+versionTable).Scan(&version)
}

// migrate applies the steps that are missing.
func migrate(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+versionTable+" (version integer NOT NULL PRIMARY KEY)"); err != nil {
		return err
	}
	done, err := version(ctx, tx)
	if err != nil {
		return err
	}
	if done > len(steps()) {
		return newer(done)
	}
	for i, step := range steps()[done:] {
		if _, err := tx.Exec(ctx, step); err != nil {
			return fmt.Errorf("step %d of the tables: %w", done+i+1, err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO "+versionTable+" VALUES ($1)", done+i+1); err != nil {
			return err
		}
	}
	return nil
}

func newer(version int) error {
	return fmt.Errorf("%w: the version of its tables is %d, this program knows up to %d: use a newer taskq or another database",
		limit.ErrAccess, version, len(steps()))
}

// absent reports whether a table or function is not there.
func absent(err error) bool {
	switch pgdial.State(err) {
	case "42P01", "42883", "42703", "3F000": // undefined table, function, column; no schema
		return true
	}
	return false
}
