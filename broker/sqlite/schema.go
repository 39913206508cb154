package sqlite

// schema is the broker's tables, step by step; see sqlitedb.Migrate. Times are Unix milliseconds.
func schema() []string {
	return []string{`
-- a running Broker; gone or past its time: what it leased is free again
CREATE TABLE broker_owners (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	lock    TEXT NOT NULL,    -- name of the file that it keeps locked as long as it lives, beside the store
	expires INTEGER NOT NULL
);
CREATE TABLE broker_exchanges (
	name TEXT PRIMARY KEY,
	kind TEXT NOT NULL,
	spec BLOB NOT NULL        -- the declaration, to compare others with
) WITHOUT ROWID;
CREATE TABLE broker_queues (
	id            INTEGER PRIMARY KEY AUTOINCREMENT,
	name          TEXT NOT NULL UNIQUE,
	spec          BLOB NOT NULL,
	owner         INTEGER,               -- of an exclusive queue
	auto_delete   INTEGER NOT NULL,
	max_priority  INTEGER NOT NULL,
	ttl           INTEGER,               -- milliseconds; NULL: for ever
	dead_exchange TEXT,                  -- NULL: dead messages vanish
	dead_key      TEXT NOT NULL,
	idle_for      INTEGER NOT NULL,      -- milliseconds without use until the queue goes; 0: it stays
	idle_since    INTEGER NOT NULL       -- 0 while it has consumers
);
CREATE TABLE broker_bindings (
	exchange TEXT NOT NULL,
	key      TEXT NOT NULL,
	queue    INTEGER NOT NULL,
	PRIMARY KEY (exchange, key, queue)
) WITHOUT ROWID;
CREATE TABLE broker_consumers (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	owner     INTEGER NOT NULL,
	queue     INTEGER NOT NULL,
	exclusive INTEGER NOT NULL
);
CREATE INDEX broker_consumers_queue ON broker_consumers (queue);
-- ids are never used again, so that a stale delivery cannot settle another message
CREATE TABLE broker_messages (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	queue      INTEGER NOT NULL,
	priority   INTEGER NOT NULL,
	lease      INTEGER NOT NULL,            -- 0: ready, -1: parked until due, else the owner's id
	due        INTEGER NOT NULL,            -- when it came, or may come out of parking
	expires    INTEGER NOT NULL,            -- 0: never
	deliveries INTEGER NOT NULL DEFAULT 0,  -- how many times it was handed out
	exchange   TEXT NOT NULL,
	key        TEXT NOT NULL,
	properties BLOB NOT NULL,
	body       BLOB NOT NULL
);
-- partial: a claim looks at what is ready and at nothing else, however large the backlog
CREATE INDEX broker_messages_ready   ON broker_messages (queue, priority DESC, id) WHERE lease = 0;
CREATE INDEX broker_messages_expires ON broker_messages (expires) WHERE lease = 0 AND expires > 0;
CREATE INDEX broker_messages_due     ON broker_messages (due) WHERE lease = -1;
CREATE INDEX broker_messages_leased  ON broker_messages (lease) WHERE lease > 0;
`, `
-- what an exchange of kind headers compares with
CREATE TABLE broker_bindings_with_arguments (
	exchange  TEXT NOT NULL,
	key       TEXT NOT NULL,
	queue     INTEGER NOT NULL,
	arguments BLOB NOT NULL,
	PRIMARY KEY (exchange, key, queue, arguments)
) WITHOUT ROWID;
INSERT INTO broker_bindings_with_arguments SELECT exchange, key, queue, x'' FROM broker_bindings;
DROP TABLE broker_bindings;
ALTER TABLE broker_bindings_with_arguments RENAME TO broker_bindings;
`, `
-- due: when the message came, or became due
DROP INDEX broker_messages_ready;
CREATE INDEX broker_messages_ready ON broker_messages (queue, priority DESC, due, id) WHERE lease = 0;
`}
}
