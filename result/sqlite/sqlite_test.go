package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/resulttest"
	"github.com/seed-399731e2/taskq/result/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens the store in the file, through a handle of its own, as another process would.
func open(t *testing.T, file string, expires time.Duration) result.Backend {
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
	b, err := sqlite.Open(t.Context(), sqlite.Config{DB: db, Expires: expires})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPassesTheResultSuite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "taskq.db")
	resulttest.Run(t, resulttest.Harness{
		Open: func(t *testing.T) result.Backend { t.Helper(); return open(t, file, 0) },
		Peer: func(t *testing.T) result.Backend { t.Helper(); return open(t, file, 0) },
		Expiring: func(t *testing.T, d time.Duration) result.Backend {
			t.Helper()
			return open(t, filepath.Join(t.TempDir(), "taskq.db"), d)
		},
	})
}

func TestATaskOfAnotherHeaderDoesNotCompleteAChord(t *testing.T) {
	t.Parallel()
	b := open(t, filepath.Join(t.TempDir(), "taskq.db"), 0)
	defer b.Close(t.Context())
	resulttest.Strangers(t, b.(result.Joiner))
}
