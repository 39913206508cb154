package worker_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	resultmem "github.com/seed-399731e2/taskq/result/mem"
	"github.com/seed-399731e2/taskq/result/redis"
	resultsqlite "github.com/seed-399731e2/taskq/result/sqlite"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// outage is a real store that can be taken away.
type outage struct {
	store         result.Backend
	begin, finish func()
}

// lockedFile is SQLite's: another process holds the file.
func lockedFile(t *testing.T) outage {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), filepath.Join(t.TempDir(), "taskq.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	store, err := resultsqlite.Open(t.Context(), resultsqlite.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	var holder *sql.Tx
	return outage{
		store: store,
		begin: func() { // transactions begin with the lock for writing
			if holder, err = db.SQL().BeginTx(context.WithoutCancel(t.Context()), nil); err != nil {
				t.Fatal(err)
			}
		},
		finish: func() {
			if err := holder.Rollback(); err != nil {
				t.Error(err)
			}
		},
	}
}

// refusedConnections is Redis's.
func refusedConnections(t *testing.T) outage {
	t.Helper()
	proxy := testserver.StartProxy(t, testserver.Redis(t))
	store, err := redis.Open(t.Context(), redis.Config{URL: proxy.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return outage{store: store, begin: proxy.Refuse, finish: proxy.Resume}
}

func TestAStoreThatIsAwayDelaysTheAcknowledgementAndLosesNothing(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testing.T) outage{"sqlite": lockedFile, "redis": refusedConnections} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			away := prepare(t)
			const tasks = 5
			ran := make(chan struct{}, tasks)
			double := task.New("tasks.double", func(_ context.Context, n int) (int, error) {
				defer func() { ran <- struct{}{} }()
				return 2 * n, nil
			})
			h := start(t, plan{results: away.store, tasks: []task.Definition{double}, opts: worker.Options{Concurrency: tasks}})
			away.begin()
			var ids []string
			for i := range tasks {
				ids = append(ids, h.send(double.S(i)))
			}
			for range tasks {
				<-ran
			}
			<-time.After(300 * time.Millisecond) // time enough to do it wrong
			if s := h.worker.Stats(); s.Settled != 0 || s.Running != tasks {
				t.Errorf("while the store is away: %+v, want %d unsettled tasks", s, tasks)
			}
			away.finish()
			for i, id := range ids {
				wantValue(t, h.outcome(id), 2*i)
			}
			for h.worker.Stats().Settled < tasks {
				<-time.After(time.Millisecond)
			}
			h.wantWaiting(queue, 0)
			h.wantWaiting(dead, 0)
			if len(ran) > 0 {
				t.Error("a task ran again")
			}
		})
	}
}

// picky is a store that cannot keep some outcomes.
type picky struct {
	result.Backend
	refuses func(task.Meta) bool
}

func (p picky) Store(ctx context.Context, m task.Meta) error {
	if p.refuses(m) {
		return errors.Join(result.ErrInvalid, errors.New("it is too large"))
	}
	return p.Backend.Store(ctx, m)
}

func TestAnOutcomeThatCannotBeKeptIsAFailure(t *testing.T) {
	inEveryPool(t, func(t *testing.T, opts worker.Options) {
		store := picky{resultmem.New(resultmem.Config{}), func(m task.Meta) bool { return m.State == task.Success }}
		h := start(t, plan{opts: opts, results: store, tasks: []task.Definition{add()}})
		h.wantFailure(h.send(add().S(pair{1, 2})), "EncodeError")
		synctest.Wait()
		h.wantWaiting(queue, 0)
	})
}

func TestATaskDoesNotRunAgainForAnOutcomeThatNoStoreKeeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := picky{resultmem.New(resultmem.Config{}), func(task.Meta) bool { return true }}
		h := start(t, plan{results: store, tasks: []task.Definition{add()}})
		h.send(add().S(pair{1, 2}))
		synctest.Wait()
		if s := h.worker.Stats(); s.Settled != 1 || s.Received != 1 {
			t.Errorf("stats = %+v, want one settled task", s)
		}
		h.wantWaiting(queue, 0)
	})
}

func TestTasksThatRanHaveChildrenIfOnlyNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, plan{tasks: []task.Definition{add()}})
		for _, x := range []any{1, "one"} {
			m := h.outcome(h.send(task.Signature{Task: "tasks.add", Args: []any{x, 2}}))
			if m.Children == nil {
				t.Errorf("children of a %s are nil: Python would see None", m.State)
			}
		}
	})
}
