package sqlite

// schema returns the steps from an empty file to today's tables.
func schema() []string {
	return []string{`
CREATE TABLE results (
	id         TEXT PRIMARY KEY,
	state      TEXT NOT NULL,
	ready      INTEGER NOT NULL,
	result     BLOB,
	traceback  TEXT NOT NULL,
	children   BLOB,
	done_at    INTEGER NOT NULL, -- µs since 1970, 0: not yet
	group_id   TEXT NOT NULL,
	parent_id  TEXT NOT NULL,
	expires_at INTEGER NOT NULL  -- µs since 1970, 0: never
) WITHOUT ROWID;
CREATE INDEX results_expiry ON results (expires_at) WHERE expires_at > 0`, `
DROP INDEX results_expiry;
ALTER TABLE results RENAME TO results_1;
CREATE TABLE results (
	seq          INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of the changes: each writes a new row in place of the old one
	id           TEXT NOT NULL UNIQUE,
	state        TEXT NOT NULL,
	result       BLOB,
	content_type TEXT NOT NULL, -- of the result, empty: JSON
	traceback    TEXT NOT NULL,
	children     BLOB,
	done_at      INTEGER NOT NULL, -- µs since 1970, 0: not yet
	group_id     TEXT NOT NULL,
	parent_id    TEXT NOT NULL,
	extended     BLOB,             -- JSON
	expires_at   INTEGER NOT NULL  -- µs since 1970, 0: never
);
INSERT INTO results (id, state, result, content_type, traceback, children, done_at, group_id, parent_id, expires_at)
	SELECT id, state, result, '', traceback, children, done_at, group_id, parent_id, expires_at FROM results_1;
DROP TABLE results_1;
CREATE INDEX results_expiry ON results (expires_at) WHERE expires_at > 0;
CREATE TABLE result_groups (
	id         TEXT PRIMARY KEY,
	members    BLOB NOT NULL,   -- as Celery keeps groups, JSON
	expires_at INTEGER NOT NULL -- µs since 1970, 0: never
) WITHOUT ROWID;
CREATE INDEX result_groups_expiry ON result_groups (expires_at) WHERE expires_at > 0`, `
CREATE TABLE result_chords (
	id         TEXT PRIMARY KEY,
	header     BLOB,            -- as Celery keeps groups, JSON; NULL when no groups are in it
	expires_at INTEGER NOT NULL -- µs since 1970, 0: never
) WITHOUT ROWID;
CREATE INDEX result_chords_expiry ON result_chords (expires_at) WHERE expires_at > 0;
CREATE TABLE result_chord_tasks (
	chord        TEXT NOT NULL,
	task         TEXT NOT NULL,
	place        INTEGER NOT NULL,
	state        TEXT, -- NULL: it has not ended
	result       BLOB,
	content_type TEXT, -- of the result, empty: JSON
	UNIQUE (chord, task)
);
CREATE INDEX result_chord_tasks_missing ON result_chord_tasks (chord) WHERE state IS NULL;
CREATE TABLE result_claims (
	id         TEXT PRIMARY KEY, -- of a chord's body
	claim      TEXT NOT NULL,
	expires_at INTEGER NOT NULL  -- µs since 1970
) WITHOUT ROWID;
CREATE INDEX result_claims_expiry ON result_claims (expires_at)`}
}
