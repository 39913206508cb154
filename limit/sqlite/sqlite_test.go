package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/limit/limittest"
	"github.com/seed-399731e2/taskq/limit/sqlite"
)

func TestMain(m *testing.M) {
	if limittest.IsChild(func(ctx context.Context, file string) (limit.Store, error) {
		db, err := sqlitedb.Open(ctx, file)
		if err != nil {
			return nil, err
		}
		return sqlite.Open(ctx, sqlite.Config{DB: db})
	}) {
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// openFile opens a handle of the file's own, as another process would.
func openFile(t testing.TB, file string) *sqlitedb.DB {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func open(t testing.TB, db *sqlitedb.DB, sweep time.Duration) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{DB: db, Sweep: sweep})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPassesTheSuite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "taskq.db")
	limittest.Run(t, limittest.Harness{
		Open: func(t *testing.T) limit.Store { t.Helper(); return open(t, openFile(t, file), 0) },
		Counted: func(t *testing.T) (limit.Store, func() int) {
			t.Helper()
			db := openFile(t, filepath.Join(t.TempDir(), "taskq.db"))
			return open(t, db, time.Millisecond), func() (n int) {
				const query = "SELECT (SELECT count(*) FROM limit_places) + (SELECT count(*) FROM limit_turns)"
				if err := db.SQL().QueryRowContext(t.Context(), query).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			}
		},
		Frail: map[string]func(t *testing.T) limittest.Frail{"another one has locked it": func(t *testing.T) limittest.Frail {
			t.Helper()
			own := filepath.Join(t.TempDir(), "taskq.db") // it will be locked
			other := openFile(t, own)
			var held *sql.Tx
			return limittest.Frail{
				Store: open(t, openFile(t, own), 0),
				Break: func() {
					var err error
					if held, err = other.SQL().BeginTx(t.Context(), nil); err != nil { // immediate: it locks the file
						t.Fatal(err)
					}
				},
				Mend: func() {
					if err := held.Rollback(); err != nil {
						t.Fatal(err)
					}
				},
			}
		}},
		Hold: limittest.Holder(file),
	})
}

func TestWhenTheFileIsClosedSoIsTheStore(t *testing.T) {
	t.Parallel()
	db, err := sqlitedb.Open(t.Context(), filepath.Join(t.TempDir(), "taskq.db"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, db, 0)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Acquire(t.Context(), limit.Claim{Key: "k", Owner: "a", Places: 1, TTL: time.Hour}); !errors.Is(err, limit.ErrClosed) {
		t.Errorf("acquire: %v, want ErrClosed", err)
	}
}

func BenchmarkStore(b *testing.B) {
	limittest.Benchmark(b, open(b, openFile(b, filepath.Join(b.TempDir(), "taskq.db")), 0))
}
