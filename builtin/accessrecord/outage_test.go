package accessrecord_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// backends counts the connections of the slots, from outside.
func backends(t testing.TB, database string) (n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	return query[int](t, c, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'taskq' AND datname = current_database()`)
}

// The original story: every visit counts, whatever happens to the connections.
func TestNoVisitIsLostWhenPostgresIsKilledOrCutsConnections(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newRecorder(t, accessrecord.Config{Database: server.URL, Table: "visits_" + string(kind)})
			s := newSlots(t, kind, sizeOf(kind), r)
			var start sync.WaitGroup
			for i := range 400 {
				switch i {
				case 80, 300:
					if server.TerminateBackends() == 0 {
						t.Error("there was no connection to cut")
					}
				case 200: // it takes a second to come back, in which the slots hold visits that they cannot store
					server.Kill()
					start.Go(server.Start)
				}
				s.visit(t, fmt.Sprint("id-", i), fmt.Sprintf(`{"path": "/%d/"}`, i))
				if i%50 == 49 {
					start.Wait()
					if n := backends(t, server.URL); n > sizeOf(kind) {
						t.Errorf("%d connections for %d slots", n, sizeOf(kind))
					}
				}
			}
			s.stop(t)
			if len(s.failures) > 0 {
				t.Errorf("%d failures, the first: %v", len(s.failures), s.failures[0])
			}
			rows, err := r.List(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			paths := map[string]bool{}
			for _, row := range rows {
				paths[row.Path] = true
			}
			if len(rows) != 400 || len(paths) != 400 {
				t.Errorf("%d rows of %d visits, want 400 of 400", len(rows), len(paths))
			}
			eventually(t, "no connection is left", func() bool { return backends(t, server.URL) == 0 })
		})
	}
}

func TestAConnectionCutBetweenTasksNeverReachesATask(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	for _, kind := range kinds() {
		var log strings.Builder
		r := newRecorder(t, accessrecord.Config{Database: server.URL, Logger: logger(&log)})
		s := newSlots(t, kind, 1, r)
		for i := range 5 {
			if err := s.one(t, fmt.Sprint(kind, i), `{}`); err != nil {
				t.Error(err)
			}
			server.TerminateBackends()
			eventually(t, "the connection is cut", func() bool { return backends(t, server.URL) == 0 })
		}
		s.stop(t)
		if strings.Contains(log.String(), "could not be stored") {
			t.Errorf("a task met a connection that was cut:\n%s", log.String())
		}
	}
}

func TestConnectionsAreKeptBetweenTasks(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	s := newSlots(t, pool.Solo, 1, newRecorder(t, accessrecord.Config{Database: database}))
	c := connect(t, database)
	const pids = `SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'taskq' AND datname = current_database()`
	if err := s.one(t, "1", `{}`); err != nil {
		t.Fatal(err)
	}
	before := query[[]int](t, c, pids)
	if err := s.one(t, "2", `{}`); err != nil {
		t.Fatal(err)
	}
	if after := query[[]int](t, c, pids); len(before) != 1 || len(after) != 1 || before[0] != after[0] {
		t.Errorf("backends %v, then %v; want one and the same", before, after)
	}
}

func TestAVisitThatCannotBeStoredAsksForAnotherTry(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	r := newRecorder(t, accessrecord.Config{Database: server.URL, Patience: 300 * time.Millisecond})
	s := newSlots(t, pool.Solo, 1, r)
	err := inJob(t, s, func(ctx context.Context) error {
		server.Kill()
		_, err := call(ctx, r, "id", positional(`{}`))
		return err
	})
	if e, ok := errors.AsType[*task.RetryError](err); !ok || e.After <= 0 {
		t.Errorf("error = %v, want RetryAfter", err)
	}
	if policy := r.Task().Spec().Retry; !policy.Allows(1_000_000) || policy.If(errors.New("x")) {
		t.Error("the policy must retry RetryAfter for ever, and nothing else")
	}
	server.Start() // so that the slot opens and stops
}

func TestACancelledTaskSaysWhy(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	r := newRecorder(t, accessrecord.Config{Database: server.URL})
	s := newSlots(t, pool.Solo, 1, r)
	err := inJob(t, s, func(ctx context.Context) error {
		server.Kill()
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		timer := time.AfterFunc(100*time.Millisecond, func() { cancel(task.ErrShutdown) })
		defer timer.Stop()
		_, err := call(ctx, r, "id", positional(`{}`))
		return err
	})
	if !errors.Is(err, task.ErrShutdown) {
		t.Errorf("error = %v, want the cause", err)
	}
	server.Start()
}

func TestAServerThatFallsSilentIsNoticed(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	proxy := testserver.StartProxy(t, database)
	var log strings.Builder
	r := newRecorder(t, accessrecord.Config{Database: proxy.URL, Timeout: 300 * time.Millisecond, Logger: logger(&log)})
	s := newSlots(t, pool.Solo, 1, r)
	err := inJob(t, s, func(ctx context.Context) error {
		proxy.Stall()
		timer := time.AfterFunc(time.Second, proxy.Resume)
		defer timer.Stop()
		_, err := call(ctx, r, "id", positional(`{"path": "/silent/"}`))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "deadline exceeded") {
		t.Errorf("nobody noticed:\n%s", log.String())
	}
	if got := newest(t, r).Path; got != "/silent/" {
		t.Errorf("path = %s", got)
	}
}

func TestASlotWithoutTheRightToMakeTheTableSaysWhatToDo(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	c := connect(t, server.URL)
	execute(t, c, `CREATE ROLE clerk LOGIN PASSWORD 's3cret'`)
	execute(t, c, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	r := newRecorder(t, accessrecord.Config{Database: withUser(t, server.URL, "clerk")})
	hook := r.Task().Spec().Hooks[0].(*pool.Resource[*pgx.Conn])
	if _, err := hook.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "taskq accessrecord migrate") {
		t.Errorf("open = %v, want the remedy", err)
	}
	s := newSlots(t, pool.Solo, 1, r)
	submitted := make(chan error, 1)
	go func() { submitted <- s.one(t, "id", `{}`) }()
	owner := newRecorder(t, accessrecord.Config{Database: server.URL})
	if err := owner.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, c, `GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO clerk`)
	if err := <-submitted; err != nil {
		t.Errorf("the visit that waited: %v", err)
	}
	if got := query[int](t, c, `SELECT count(*) FROM access_record`); got != 1 {
		t.Errorf("%d rows, want 1", got)
	}
}

// inJob runs fn as a job, under the context of its slot.
func inJob(t testing.TB, s *slots, fn func(ctx context.Context) error) (err error) {
	t.Helper()
	done := make(chan struct{})
	if err := s.Submit(t.Context(), func(ctx context.Context) { defer close(done); err = fn(ctx) }); err != nil {
		t.Fatal(err)
	}
	<-done
	return err
}
