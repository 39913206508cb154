package accessrecord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// DefaultTable is the table that visits go to unless Config says otherwise.
const DefaultTable = "access_record"

// Config says where visits are stored.
type Config struct {
	// Database is a URL: postgres://… (or postgresql://…) with the parameters of libpq, or sqlite:///path; "" is the embedded file.
	Database string
	// Schema of the table, PostgreSQL only; "" is the first one of the connection's search_path.
	Schema string
	// Table is the table's name; "" is DefaultTable. A table that exists already needs the seven columns of Visit, such as
	// the one of a Django model; it is left as it is.
	Table string
	// Location is the time zone of an atime that comes without one; nil is UTC.
	Location *time.Location
	// MaxAge closes a connection after that time, between two tasks; 0 is never (Django's CONN_MAX_AGE=None).
	MaxAge time.Duration
	// Patience is how long a task tries to store its visit while the database cannot be reached, before it asks to be retried
	// later; 0 is 60 s.
	Patience time.Duration
	// Timeout bounds one try: a server that went away without a word is noticed then; 0 is 10 s.
	Timeout time.Duration
	// Logger; nil discards.
	Logger *slog.Logger
}

// Recorder stores visits. It is safe for concurrent use.
type Recorder struct {
	cfg   Config
	store store
	task  *task.Task[Call, string]
}

// store keeps visits: one of PostgreSQL and SQLite.
type store interface {
	// hooks are the slot resources that insert takes its connection from.
	hooks() []pool.Hook
	// decoder says what a visit for this store may be.
	decoder() decoder
	// insert stores the visits but those of task ids that were stored before. What could not be stored says so in its entry.
	insert(ctx context.Context, entries []*entry)
	list(ctx context.Context, n int) ([]Row, error)
	migrate(ctx context.Context) error
	close() error
}

// New returns a recorder for the database. It connects to nothing yet.
func New(cfg Config) (*Recorder, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Recorder{cfg: cfg}
	if r.store, err = openStore(cfg); err != nil {
		return nil, err
	}
	r.task = r.newTask()
	return r, nil
}

func (c Config) withDefaults() (Config, error) {
	if c.Table == "" {
		c.Table = DefaultTable
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxAge < 0 || c.Patience < 0 || c.Timeout < 0 {
		return c, errors.New("accessrecord: a negative duration in Config")
	}
	if c.Patience == 0 {
		c.Patience = 60 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c, nil
}

func openStore(cfg Config) (store, error) {
	scheme, _, _ := strings.Cut(cfg.Database, ":")
	switch scheme {
	case "postgres", "postgresql":
		return newPostgres(cfg)
	case "", "sqlite":
		return newSQLite(cfg)
	}
	return nil, fmt.Errorf("accessrecord: database %q: want postgres://user@host/name or sqlite:///path", pgdial.Redacted(cfg.Database))
}

// Task returns the task that stores a visit, to be registered with a worker. Its slots own the connections that it needs.
func (r *Recorder) Task() *task.Task[Call, string] { return r.task }

// List returns the n newest visits, the newest first.
func (r *Recorder) List(ctx context.Context, n int) ([]Row, error) {
	if n < 0 {
		return nil, fmt.Errorf("accessrecord: list %d visits: negative number", n)
	}
	return r.store.list(ctx, n)
}

// Migrate creates the tables and indexes that are missing. Several processes may call it at once: each step is done once.
func (r *Recorder) Migrate(ctx context.Context) error { return r.store.migrate(ctx) }

// Close closes what the recorder itself has opened. Connections of slots are closed by their pool.
func (r *Recorder) Close() error { return r.store.close() }
