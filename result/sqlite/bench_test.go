package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/result/resulttest"
	"github.com/seed-399731e2/taskq/result/sqlite"
)

func BenchmarkChords(b *testing.B) {
	db, err := sqlitedb.Open(b.Context(), filepath.Join(b.TempDir(), "taskq.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	store, err := sqlite.Open(b.Context(), sqlite.Config{DB: db})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close(b.Context())
	resulttest.BenchmarkChords(b, store)
}
