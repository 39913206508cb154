package accessrecord_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/pool"
)

func TestSQLiteStoresAVisitOncePerTaskIDWhoeverWrites(t *testing.T) {
	t.Parallel()
	database := "sqlite://" + filepath.Join(t.TempDir(), "visits.db")
	var wg sync.WaitGroup
	for range 3 { // as three processes do
		r := newRecorder(t, accessrecord.Config{Database: database})
		s := newSlots(t, pool.Goroutines, 4, r)
		wg.Go(func() {
			for i := range 100 {
				s.visit(t, fmt.Sprint("id-", i), fmt.Sprintf(`{"path": "/%d/"}`, i))
			}
			s.stop(t)
		})
		t.Cleanup(func() {
			if len(s.failures) > 0 {
				t.Error(s.failures)
			}
		})
	}
	wg.Wait()
	rows, err := newRecorder(t, accessrecord.Config{Database: database}).List(t.Context(), 1000)
	if err != nil || len(rows) != 100 {
		t.Errorf("%d rows, error %v; want 100", len(rows), err)
	}
}

func TestSQLiteListsTheNewestFirst(t *testing.T) {
	t.Parallel()
	r := newSQLite(t, accessrecord.Config{Table: "odd name"})
	for i, atime := range []string{"2021-07-03T00:00:00.1", "2021-07-03T00:00:01", "2021-07-03T00:00:00"} {
		if _, err := call(t.Context(), r, fmt.Sprint(i), positional(fmt.Sprintf(`{"path": "/%d/", "atime": "%s"}`, i, atime))); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := r.List(t.Context(), 2)
	if err != nil || len(rows) != 2 || rows[0].Path != "/1/" || rows[1].Path != "/0/" {
		t.Errorf("rows = %v, error %v; want /1/ and /0/", rows, err)
	}
}

func TestTheEmbeddedFileIsTheDefault(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	r := newRecorder(t, accessrecord.Config{})
	if _, err := call(t.Context(), r, "id", positional(`{"path": "/here/"}`)); err != nil {
		t.Fatal(err)
	}
	if got := newest(t, newRecorder(t, accessrecord.Config{Database: "sqlite:"})).Path; got != "/here/" {
		t.Errorf("path = %s, want /here/", got)
	}
}

func TestSQLiteRefusesASchema(t *testing.T) {
	t.Parallel()
	if _, err := accessrecord.New(accessrecord.Config{Schema: "public"}); err == nil {
		t.Error("no error")
	}
}

func TestAClosedSQLiteRecorderOpensAgainWhenUsed(t *testing.T) {
	t.Parallel()
	r := newSQLite(t, accessrecord.Config{})
	if err := r.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if rows, err := r.List(t.Context(), 1); err != nil || len(rows) != 0 {
		t.Errorf("%d rows, error %v", len(rows), err)
	}
}
