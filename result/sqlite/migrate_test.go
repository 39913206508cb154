package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/sqlite"
	"github.com/seed-399731e2/taskq/task"
)

// firstSchema are the tables of the first version, with two outcomes of which one has expired.
const firstSchema = `
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
CREATE INDEX results_expiry ON results (expires_at) WHERE expires_at > 0;
INSERT INTO results VALUES
	('old', 'SUCCESS', 1, '{"a": 1}', '', '[[["c",null],null]]', 1600000000000001, 'g', 'p', 0),
	('gone', 'SUCCESS', 1, '2', '', NULL, 1600000000000001, '', '', 1600000000000002)`

func TestFilesOfTheFirstVersionAreTakenOver(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "taskq.db")
	db, err := sqlitedb.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context(), "result", []string{firstSchema}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b := open(t, file, 0)
	defer b.Close(t.Context())
	want := task.Meta{
		ID: "old", State: task.Success, Result: codec.Raw(`{"a": 1}`), Children: []task.Ref{{ID: "c"}},
		DoneAt: time.UnixMicro(1600000000000001).UTC(), GroupID: "g", ParentID: "p",
	}
	got, err := b.Get(t.Context(), "old")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err = b.Get(t.Context(), "gone"); err != nil || got.State != task.Pending {
		t.Errorf("the expired one is %s, %v", got.State, err)
	}
	want.State = task.Failure // a success of the older version stays, too
	if err := b.Store(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if got, err = b.Get(t.Context(), "old"); err != nil || got.State != task.Success {
		t.Errorf("the success is now %s, %v", got.State, err)
	}
}

// otherJSON stands for a codec that is not JSON.
type otherJSON struct{ codec.JSON }

func (otherJSON) ContentType() string { return "application/x-other" }

func TestResultsOfAcceptedCodecsAreKept(t *testing.T) {
	t.Parallel()
	db, err := sqlitedb.Open(t.Context(), filepath.Join(t.TempDir(), "taskq.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	b, err := sqlite.Open(t.Context(), sqlite.Config{DB: db, Accept: codec.NewSet(otherJSON{})})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	want := task.Meta{ID: "1", State: task.Success, Result: codec.Raw(`1`), Codec: otherJSON{}}
	if err := b.Store(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := b.Get(t.Context(), "1")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	strict, err := sqlite.Open(t.Context(), sqlite.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	defer strict.Close(t.Context())
	if err := strict.Store(t.Context(), want); !errors.Is(err, result.ErrInvalid) || !errors.Is(err, codec.ErrRefused) {
		t.Errorf("store what is not accepted: err = %v", err)
	}
	if _, err := strict.Get(t.Context(), "1"); !errors.Is(err, codec.ErrRefused) {
		t.Errorf("read what is not accepted: err = %v", err)
	}
}
