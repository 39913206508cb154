package sqlitedb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

func open(t *testing.T, path string) *sqlitedb.DB {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func table(t *testing.T, db *sqlitedb.DB) {
	t.Helper()
	if err := db.Migrate(t.Context(), "test", []string{"CREATE TABLE numbers (n INTEGER PRIMARY KEY)"}); err != nil {
		t.Fatal(err)
	}
}

func insert(n int) func(*sqlitedb.Tx) error {
	return func(tx *sqlitedb.Tx) error {
		tx.Announce("numbers")
		_, err := tx.Exec("INSERT INTO numbers VALUES (?)", n)
		return err
	}
}

func count(t *testing.T, db *sqlitedb.DB) (n int) {
	t.Helper()
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM numbers").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCreatesFileAndDirectoriesForTheOwnerOnly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // permissions mean other things there
	}
	dir := filepath.Join(t.TempDir(), "a b", "c?d#e%41")
	db := open(t, filepath.Join(dir, "taskq.db"))
	table(t, db)
	for name, want := range map[string]os.FileMode{"": 0o700, "taskq.db": 0o600, "taskq.db-wal": 0o600, "taskq.db-shm": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %q = %o, want %o", name, got, want)
		}
	}
}

func TestOneFailedWriteOfAGroupDoesNotTakeTheOthersAlong(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "taskq.db"))
	table(t, db)
	boom := errors.New("boom")
	first, entered := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	wg.Go(func() { // holds the writer up, so that the others come as one group
		if err := db.Write(t.Context(), func(*sqlitedb.Tx) error {
			once.Do(func() { close(entered) })
			<-first
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-entered
	for n := range 20 {
		wg.Go(func() {
			err := db.Write(t.Context(), func(tx *sqlitedb.Tx) error {
				if err := insert(n)(tx); err != nil || n%2 == 0 {
					return err
				}
				return boom
			})
			if want := n%2 == 1; errors.Is(err, boom) != want {
				t.Errorf("write %d: error = %v", n, err)
			}
		})
	}
	close(first)
	wg.Wait()
	if got := count(t, db); got != 10 {
		t.Errorf("%d numbers were committed, want 10", got)
	}
}

func TestNewFileCanBeOpenedByManyAtOnce(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		path := filepath.Join(t.TempDir(), strconv.Itoa(round), "taskq.db")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				db, err := sqlitedb.Open(t.Context(), path)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if err := db.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		}
		wg.Wait()
	}
}

func TestHandlesOfOneFileWriteAtOnceWithoutBusyErrors(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "taskq.db")
	const handles, writes = 4, 100
	var wg sync.WaitGroup
	for h := range handles {
		wg.Go(func() {
			db, err := sqlitedb.Open(t.Context(), path)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			if err := db.Migrate(t.Context(), "test", []string{"CREATE TABLE numbers (n INTEGER PRIMARY KEY)"}); err != nil {
				t.Errorf("migrate: %v", err)
			}
			var inner sync.WaitGroup
			for w := range 2 {
				inner.Go(func() {
					for n := range writes / 2 {
						if err := db.Write(t.Context(), insert(h*writes+w*writes/2+n)); err != nil {
							t.Errorf("write: %v", err)
						}
					}
				})
			}
			inner.Wait()
			if err := db.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	wg.Wait()
	if got := count(t, open(t, path)); got != handles*writes {
		t.Errorf("%d numbers, want %d", got, handles*writes)
	}
}

func TestWatchTellsOfOwnAnnouncedAndOfAllForeignWrites(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "taskq.db")
	mine, other := open(t, path), open(t, path)
	table(t, mine)
	for _, c := range []struct {
		what, topic string
		writer      *sqlitedb.DB
		want        bool
	}{
		{"own write on the topic", "numbers", mine, true},
		{"own write on another topic", "letters", mine, false},
		{"foreign write", "letters", other, true},
	} {
		watch := mine.Watch(c.topic)
		drain(watch)
		if err := c.writer.Write(t.Context(), insert(count(t, mine))); err != nil {
			t.Fatal(err)
		}
		limit := patience
		if !c.want {
			limit = 50 * time.Millisecond
		}
		select {
		case <-watch.C:
			if !c.want {
				t.Errorf("%s: woken", c.what)
			}
		case <-time.After(limit):
			if c.want {
				t.Errorf("%s: not woken", c.what)
			}
		}
		watch.Stop()
	}
}

// drain waits until the watch has seen what was written before it began.
func drain(w *sqlitedb.Watch) {
	for {
		select {
		case <-w.C:
		case <-time.After(50 * time.Millisecond):
			return
		}
	}
}

func TestWriteHonoursItsContextAndClose(t *testing.T) {
	t.Parallel()
	db, err := sqlitedb.Open(t.Context(), filepath.Join(t.TempDir(), "taskq.db"))
	if err != nil {
		t.Fatal(err)
	}
	table(t, db)
	release, entered := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := db.Write(t.Context(), func(tx *sqlitedb.Tx) error {
			close(entered)
			<-release
			return insert(1)(tx)
		}); err != nil {
			t.Errorf("the write under way: %v", err)
		}
	})
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := db.Write(ctx, insert(2)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("write behind a slow one: %v, want the deadline", err)
	}
	close(release)
	wg.Wait()
	if got := count(t, db); got != 1 {
		t.Errorf("%d numbers, want 1: the one given up must not be written", got)
	}
	if err := db.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := db.Write(t.Context(), insert(3)); !errors.Is(err, sqlitedb.ErrClosed) {
		t.Errorf("write after close: %v, want ErrClosed", err)
	}
}

func TestWriteThatIsGivenUpWhileTheFileIsLockedIsNotMade(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "taskq.db")
	db, other := open(t, path), open(t, path)
	table(t, db)
	lock, err := other.SQL().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := db.Write(ctx, insert(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("write to a file that another one has locked: %v, want the deadline", err)
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), insert(2)); err != nil {
		t.Errorf("write afterwards: %v", err)
	}
	if got := count(t, db); got != 1 {
		t.Errorf("%d numbers, want 1: the one given up must not be written", got)
	}
}

func TestMigrateAppliesEachStepOnceAndRefusesNewerFiles(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "taskq.db"))
	steps := []string{"CREATE TABLE numbers (n INTEGER PRIMARY KEY); INSERT INTO numbers VALUES (1)", "INSERT INTO numbers VALUES (2)"}
	for _, upTo := range []int{1, 1, 2, 2} {
		if err := db.Migrate(t.Context(), "test", steps[:upTo]); err != nil {
			t.Fatalf("migrate to %d: %v", upTo, err)
		}
		if got := count(t, db); got != upTo {
			t.Errorf("%d numbers at version %d", got, upTo)
		}
	}
	if err := db.Migrate(t.Context(), "test", steps[:1]); err == nil || !strings.Contains(err.Error(), "newer taskq") {
		t.Errorf("migrate back: %v, want a refusal", err)
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, want string }{
		{"sqlite:///var/lib/taskq.db", "/var/lib/taskq.db"},
		{"sqlite://taskq.db", "taskq.db"},
		{"sqlite://./a/taskq.db", "./a/taskq.db"},
		{"sqlite:///a%20b/%3F.db", "/a b/?.db"},
		{"sqlite:relative.db", "relative.db"},
		{"sqlite:///访问.db", "/访问.db"},
	} {
		got, err := sqlitedb.ParseURL(c.url)
		if err != nil || got != filepath.FromSlash(c.want) {
			t.Errorf("ParseURL(%q) = %q, %v, want %q", c.url, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "amqp://", "sqlite:///a?mode=ro", "sqlite:///dir/", "sqlite://:memory:", "sqlite:///a%", "sqlite:///a%00b"} {
		if got, err := sqlitedb.ParseURL(bad); err == nil {
			t.Errorf("ParseURL(%q) = %q, want an error", bad, got)
		}
	}
}

//nolint:paralleltest // it sets the environment
func TestDefaultPathFollowsTheEnvironment(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	t.Setenv("HOME", "/home/user")
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("STATE_DIRECTORY", "")
	for _, step := range []struct{ name, value, want string }{
		{"HOME", "/home/user", "/home/user/.local/state/taskq/taskq.db"},
		{"XDG_STATE_HOME", "relative", "/home/user/.local/state/taskq/taskq.db"},
		{"XDG_STATE_HOME", "/state", "/state/taskq/taskq.db"},
		{"STATE_DIRECTORY", "/var/lib/one:/var/lib/two", "/var/lib/one/taskq.db"},
	} {
		t.Setenv(step.name, step.value)
		for _, url := range []string{"sqlite:", "sqlite://"} {
			if got, err := sqlitedb.ParseURL(url); err != nil || got != step.want {
				t.Errorf("with %s=%s: %q, %v, want %q", step.name, step.value, got, err, step.want)
			}
		}
	}
}
