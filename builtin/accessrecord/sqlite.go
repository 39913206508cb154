package accessrecord

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// sqlite keeps visits in a file. All slots share it: SQLite has one writer at a time.
type sqlite struct {
	cfg  Config
	path string

	mu sync.Mutex
	db *sqlitedb.DB // guarded by mu; nil until it is needed
}

var _ store = (*sqlite)(nil)

func newSQLite(cfg Config) (store, error) {
	if cfg.Schema != "" {
		return nil, fmt.Errorf("accessrecord: schema %q: SQLite has no schemas", cfg.Schema)
	}
	if err := checkName("table", cfg.Table, maxTable); err != nil {
		return nil, err
	}
	database := cfg.Database
	if database == "" {
		database = "sqlite:"
	}
	path, err := sqlitedb.ParseURL(database)
	if err != nil {
		return nil, fmt.Errorf("accessrecord: %w", err)
	}
	return &sqlite{cfg: cfg, path: path}, nil
}

// hooks implements store: a slot takes no task before the file is open.
func (s *sqlite) hooks() []pool.Hook {
	return []pool.Hook{&pool.Resource[*sqlitedb.DB]{Name: "access_record file", Open: s.open}}
}

// decoder implements store.
func (s *sqlite) decoder() decoder { return decoder{location: s.cfg.Location, now: now} }

// open returns the file, with the tables in it.
func (s *sqlite) open(ctx context.Context) (*sqlitedb.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		return s.db, nil
	}
	db, err := sqlitedb.Open(ctx, s.path)
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, "accessrecord/"+s.cfg.Table, s.steps()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.db = db
	return db, nil
}

// steps make the tables, in the form that Django gives them. Steps are added, never changed.
func (s *sqlite) steps() []string {
	visits, ledger := quote(s.cfg.Table), quote(s.cfg.Table+"_task_ids")
	index := func(column string) string {
		return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (%s);\n", quote(s.cfg.Table+"_"+column+"_idx"), visits, column)
	}
	return []string{
		"CREATE TABLE IF NOT EXISTS " + visits + ` (
			id INTEGER PRIMARY KEY AUTOINCREMENT,
			path TEXT NOT NULL, query_str TEXT NOT NULL, address TEXT NOT NULL, user_agent TEXT NOT NULL,
			referer TEXT NOT NULL, atime TEXT NOT NULL, source TEXT NOT NULL
		);
		` + index("atime") + index("address"),
		"CREATE TABLE IF NOT EXISTS " + ledger + ` (
			task_id TEXT PRIMARY KEY, stored_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
		) WITHOUT ROWID`,
	}
}

// sqliteTime is a time in UTC as Django keeps it in SQLite.
const sqliteTime = "2006-01-02 15:04:05.000000"

// insert implements store.
func (s *sqlite) insert(ctx context.Context, entries []*entry) {
	_ = divide(entries, constraint, func(piece []*entry) error { return s.store(ctx, piece) }) // the entries have it
}

// store stores entries in one transaction.
func (s *sqlite) store(ctx context.Context, entries []*entry) error {
	db, err := s.open(ctx)
	if err == nil {
		err = db.Write(ctx, func(tx *sqlitedb.Tx) error { return s.write(tx, entries) })
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("accessrecord: store visit: %w", context.Cause(ctx))
	case constraint(err):
		return fmt.Errorf("accessrecord: store visit: %w", err)
	}
	return task.RetryAfter(fmt.Errorf("accessrecord: store visit: %w", err), retryLater) // a full disk, say
}

func (s *sqlite) write(tx *sqlitedb.Tx, entries []*entry) error {
	enter := "INSERT INTO " + quote(s.cfg.Table+"_task_ids") + " (task_id) VALUES (?) ON CONFLICT DO NOTHING"
	insert := "INSERT INTO " + quote(s.cfg.Table) + " (" + columns + ") VALUES (?, ?, ?, ?, ?, ?, ?)"
	for _, e := range entries {
		fresh, err := tx.Exec(enter, e.id)
		if err == nil && fresh > 0 {
			v := e.visit
			_, err = tx.Exec(insert, v.Path, v.QueryStr, v.Address, v.UserAgent, v.Referer, v.ATime.UTC().Format(sqliteTime), v.Source)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// constraint reports whether a table refused the row: SQLITE_CONSTRAINT.
func constraint(err error) bool {
	e, ok := errors.AsType[interface {
		error
		Code() int
	}](err)
	return ok && e.Code()&0xff == 19
}

// list implements store.
func (s *sqlite) list(ctx context.Context, n int) (rows []Row, err error) {
	db, err := s.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("accessrecord: list visits: %w", err)
	}
	statement := "SELECT id, " + columns + " FROM " + quote(s.cfg.Table) + " ORDER BY atime DESC, id DESC LIMIT ?"
	found, err := db.SQL().QueryContext(ctx, statement, n)
	if err != nil {
		return nil, fmt.Errorf("accessrecord: list visits: %w", err)
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		row, err := scan(found)
		if err != nil {
			return nil, fmt.Errorf("accessrecord: list visits: %w", err)
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

func scan(found *sql.Rows) (r Row, err error) {
	var atime string
	if err := found.Scan(&r.ID, &r.Path, &r.QueryStr, &r.Address, &r.UserAgent, &r.Referer, &atime, &r.Source); err != nil {
		return r, err
	}
	r.ATime, err = codec.ParseTime(strings.TrimSpace(atime))
	return r, err
}

// migrate implements store.
func (s *sqlite) migrate(ctx context.Context) error {
	if _, err := s.open(ctx); err != nil {
		return fmt.Errorf("accessrecord: migrate: %w", err)
	}
	return nil
}

// close implements store.
func (s *sqlite) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	if err := db.Close(); err != nil {
		return fmt.Errorf("accessrecord: %w", err)
	}
	return nil
}
