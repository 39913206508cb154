package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/sqlite"
	"github.com/seed-399731e2/taskq/task"
)

// rows counts what is kept.
func rows(t *testing.T, db *sqlitedb.DB) (n int) {
	t.Helper()
	err := db.SQL().QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM results) + (SELECT count(*) FROM result_groups) +
		(SELECT count(*) FROM result_chords) + (SELECT count(*) FROM result_chord_tasks) + (SELECT count(*) FROM result_claims)`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func opened(t *testing.T, db *sqlitedb.DB, expires time.Duration) *sqlite.Backend {
	t.Helper()
	b, err := sqlite.Open(t.Context(), sqlite.Config{DB: db, Expires: expires})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// keep keeps one of everything under a name, and a chord of more tasks than one sweep deletes.
func keep(t *testing.T, b *sqlite.Backend, name string) {
	t.Helper()
	header := task.Ref{ID: name, Group: true}
	for i := range 1200 {
		header.Members = append(header.Members, task.Ref{ID: fmt.Sprint(name, i)})
	}
	meta := task.Meta{ID: name + "0", GroupID: name, State: task.Success, Result: codec.Raw(`1`)}
	if err := b.Store(t.Context(), meta); err != nil {
		t.Fatal(err)
	}
	if err := b.SaveGroup(t.Context(), task.Ref{ID: name, Group: true}); err != nil {
		t.Fatal(err)
	}
	if err := b.OpenChord(t.Context(), header); err != nil {
		t.Fatal(err)
	}
	if _, err := b.JoinChord(t.Context(), result.ChordPart{Meta: meta}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ClaimBody(t.Context(), name, "c"); err != nil {
		t.Fatal(err)
	}
}

func TestCleanupDeletesAllThatHasExpired(t *testing.T) {
	t.Parallel()
	db, err := sqlitedb.Open(t.Context(), filepath.Join(t.TempDir(), "taskq.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	b := opened(t, db, time.Hour) // who stores looks for what has expired every six minutes
	keep(t, b, "old")
	kept := rows(t, db)
	for _, table := range []string{"results", "result_groups", "result_chords", "result_claims"} {
		if _, err := db.SQL().ExecContext(t.Context(), "UPDATE "+table+" SET expires_at = 1"); err != nil {
			t.Fatal(err)
		}
	}
	keep(t, b, "new")
	if n := rows(t, db); n != 2*kept {
		t.Fatalf("%d rows, want the %d that have expired, too", n, 2*kept)
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, db); n != kept {
		t.Errorf("%d rows are left, want %d", n, kept)
	}
	if joined, err := b.JoinChord(t.Context(), result.ChordPart{
		Index: 1, Meta: task.Meta{ID: "new1", GroupID: "new", State: task.Success},
	}); err != nil || joined != nil {
		t.Errorf("joined = %+v, %v", joined, err)
	}
}

func TestWhoCountsChordsDeletesWhatHasExpired(t *testing.T) {
	t.Parallel()
	db, err := sqlitedb.Open(t.Context(), filepath.Join(t.TempDir(), "taskq.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	keep(t, opened(t, db, time.Microsecond), "old")
	b := opened(t, db, time.Hour)
	for range 10 {
		if err := b.ForgetChord(t.Context(), "none"); err != nil {
			t.Fatal(err)
		}
	}
	if n := rows(t, db); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}
