package accessrecord_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// connect returns a connection for looking at the database from outside.
func connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func execute(t testing.TB, c *pgx.Conn, statement string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func query[T any](t testing.TB, c *pgx.Conn, statement string, args ...any) (value T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), statement, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// slots runs visits on a pool, as a worker does.
type slots struct {
	pool.Pool
	recorder *accessrecord.Recorder
	jobs     sync.WaitGroup

	mu       sync.Mutex
	failures []error
}

func newSlots(t testing.TB, kind pool.Kind, size int, r *accessrecord.Recorder) *slots {
	t.Helper()
	p, err := pool.New(kind, pool.Config{Size: size, Hooks: r.Task().Spec().Hooks, RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	s := &slots{Pool: p, recorder: r}
	t.Cleanup(func() { s.stop(t) })
	return s
}

// stop waits for the visits, as a pool hands back those that are just about to start.
func (s *slots) stop(t testing.TB) {
	t.Helper()
	s.jobs.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop the pool: %v", err)
	}
}

// visit submits one visit under the task id.
func (s *slots) visit(t testing.TB, id, data string) {
	t.Helper()
	s.jobs.Add(1)
	err := s.Submit(t.Context(), func(ctx context.Context) {
		defer s.jobs.Done()
		if _, err := call(ctx, s.recorder, id, positional(data)); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failures = append(s.failures, err)
		}
	})
	if err != nil {
		s.jobs.Done()
		t.Fatalf("submit: %v", err)
	}
}

// one runs one visit to its end.
func (s *slots) one(t testing.TB, id, data string) (err error) {
	t.Helper()
	done := make(chan struct{})
	submitted := s.Submit(t.Context(), func(ctx context.Context) {
		defer close(done)
		_, err = call(ctx, s.recorder, id, positional(data))
	})
	if submitted != nil {
		t.Fatalf("submit: %v", submitted)
	}
	<-done
	return err
}

func kinds() []pool.Kind { return []pool.Kind{pool.Solo, pool.Threads, pool.Goroutines} }

func sizeOf(kind pool.Kind) int {
	if kind == pool.Solo {
		return 1
	}
	return 4
}

func TestPostgresStoresAVisitOncePerTaskID(t *testing.T) {
	t.Parallel()
	r := newRecorder(t, accessrecord.Config{Database: testserver.Postgres(t)})
	s := newSlots(t, pool.Goroutines, 8, r)
	for i := range 200 {
		s.visit(t, fmt.Sprint("id-", i%40), fmt.Sprintf(`{"path": "/%d/"}`, i%40))
	}
	s.stop(t)
	if len(s.failures) > 0 {
		t.Fatal(s.failures)
	}
	rows, err := r.List(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]int{}
	for _, row := range rows {
		paths[row.Path]++
	}
	if len(rows) != 40 || len(paths) != 40 {
		t.Errorf("%d rows of %d visits, want 40 of 40", len(rows), len(paths))
	}
}

func TestPostgresKeepsAVisitAsItWas(t *testing.T) {
	t.Parallel()
	r := newRecorder(t, accessrecord.Config{Database: testserver.Postgres(t)})
	s := newSlots(t, pool.Solo, 1, r)
	data := `{"path": "/%s/'; DROP TABLE access_record; --", "query_str": "q=访问", "address": "2001:db8::7", "user_agent": "\\ \"x\"",
		"referer": "https://example.com/", "atime": "2021-07-03T20:34:56.789012+08:00", "source": "中国-广东-深圳"}`
	if err := s.one(t, "id", data); err != nil {
		t.Fatal(err)
	}
	want := accessrecord.Visit{
		Path: "/%s/'; DROP TABLE access_record; --", QueryStr: "q=访问", Address: "2001:db8::7", UserAgent: `\ "x"`,
		Referer: "https://example.com/", ATime: time.Date(2021, 7, 3, 12, 34, 56, 789012000, time.UTC), Source: "中国-广东-深圳",
	}
	if diff := cmp.Diff(want, newest(t, r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPostgresListsTheNewestFirst(t *testing.T) {
	t.Parallel()
	r := newRecorder(t, accessrecord.Config{Database: testserver.Postgres(t)})
	s := newSlots(t, pool.Solo, 1, r)
	for i, day := range []string{"02", "03", "01"} {
		if err := s.one(t, fmt.Sprint(i), `{"path": "/`+day+`/", "atime": "2021-07-`+day+`T00:00:00"}`); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := r.List(t.Context(), 2)
	if err != nil || len(rows) != 2 || rows[0].Path != "/03/" || rows[1].Path != "/02/" {
		t.Errorf("rows = %v, error %v; want days 03 and 02", rows, err)
	}
	if _, err := r.List(t.Context(), -1); err == nil {
		t.Error("list -1 visits: no error")
	}
}

func TestEightWorkersMigrateOnce(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	var wg sync.WaitGroup
	for i := range 8 {
		r := newRecorder(t, accessrecord.Config{Database: database, Schema: "Visits", Table: `odd name`})
		wg.Go(func() {
			if i%2 == 0 {
				if err := r.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
				return
			}
			if err := newSlots(t, pool.Solo, 1, r).one(t, fmt.Sprint(i), `{}`); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c := connect(t, database)
	if got := query[int](t, c, `SELECT count(*) FROM "Visits".taskq_migrations`); got != 2 {
		t.Errorf("%d steps recorded, want 2", got)
	}
	if got := query[int](t, c, `SELECT count(*) FROM "Visits"."odd name"`); got != 4 {
		t.Errorf("%d rows, want 4", got)
	}
	indexed := query[[]string](t, c, `SELECT array_agg(indexdef ORDER BY indexdef) FROM pg_indexes WHERE tablename = 'odd name'`)
	for _, column := range []string{"(atime)", "(address)", "(id)"} {
		if !slices.ContainsFunc(indexed, func(def string) bool { return strings.HasSuffix(def, column) }) {
			t.Errorf("no index on %s in %q", column, indexed)
		}
	}
}

func TestADroppedTableComesBackWithoutALostVisit(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	s := newSlots(t, pool.Solo, 1, newRecorder(t, accessrecord.Config{Database: database}))
	if err := s.one(t, "1", `{}`); err != nil {
		t.Fatal(err)
	}
	c := connect(t, database)
	execute(t, c, `DROP TABLE access_record`)
	if err := s.one(t, "2", `{"path": "/2/"}`); err != nil {
		t.Fatal(err)
	}
	if got := query[string](t, c, `SELECT path FROM access_record`); got != "/2/" {
		t.Errorf("path = %s, want /2/", got)
	}
}

// djangoTable is what Django 3.2 makes of the site's model.
const djangoTable = `CREATE TABLE phoenix_accessrecord (
	id bigserial NOT NULL PRIMARY KEY, path varchar(200) NOT NULL, query_str text NOT NULL, address varchar(50) NOT NULL,
	user_agent varchar(255) NOT NULL, referer varchar(200) NOT NULL, atime timestamp with time zone NOT NULL, source varchar(100) NOT NULL)`

func TestWritesIntoATableOfDjango(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	c := connect(t, database)
	execute(t, c, djangoTable)
	r := newRecorder(t, accessrecord.Config{Database: database, Table: "phoenix_accessrecord"})
	s := newSlots(t, pool.Solo, 1, r)
	for range 2 {
		if err := s.one(t, "id", `{"path": "/a/", "atime": "2021-07-03T12:34:56"}`); err != nil {
			t.Fatal(err)
		}
	}
	want := accessrecord.Visit{Path: "/a/", Address: "unknown", UserAgent: "unknown", ATime: time.Date(2021, 7, 3, 12, 34, 56, 0, time.UTC)}
	rows, err := r.List(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]accessrecord.Row{{ID: 1, Visit: want}}, rows); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got := task.Exceptions(nil).From(s.one(t, "long", `{"path": "`+strings.Repeat("/", 201)+`"}`))
	if got.Type != "ValueError" || !strings.Contains(got.Message[0].(string), "'path' has 201 characters, at most 200") {
		t.Errorf("exception = %v, want a ValueError about path", got)
	}
	if n := query[int](t, c, `SELECT count(*) FROM pg_indexes WHERE tablename = 'phoenix_accessrecord'`); n != 1 {
		t.Errorf("%d indexes, want Django's own one", n)
	}
}

func TestAColumnWithoutTimeZoneKeepsTheConfiguredOne(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	c := connect(t, database)
	execute(t, c, strings.Replace(djangoTable, "timestamp with time zone", "timestamp", 1))
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder(t, accessrecord.Config{Database: database, Table: "phoenix_accessrecord", Location: shanghai})
	s := newSlots(t, pool.Solo, 1, r)
	if err := s.one(t, "id", `{"atime": "2021-07-03T12:00:00Z"}`); err != nil {
		t.Fatal(err)
	}
	if got := query[string](t, c, `SELECT atime::text FROM phoenix_accessrecord`); got != "2021-07-03 20:00:00" {
		t.Errorf("column = %s, want the clock of Shanghai", got)
	}
	if got, want := newest(t, r).ATime, time.Date(2021, 7, 3, 12, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("listed = %s, want %s", got, want)
	}
}

func TestATableThatDoesNotFitIsRefusedByName(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	c := connect(t, database)
	execute(t, c, `CREATE TABLE short (id bigserial, path text, query_str text, address text, user_agent text, referer text)`)
	execute(t, c, strings.Replace(djangoTable, "path varchar(200)", "site_id int NOT NULL, path varchar(200)", 1))
	for table, want := range map[string]string{
		"short":                `has no column atime, source`,
		"phoenix_accessrecord": `column "site_id" needs a value`,
	} {
		r := newRecorder(t, accessrecord.Config{Database: database, Table: table})
		hook := r.Task().Spec().Hooks[0].(*pool.Resource[*pgx.Conn])
		if err := r.Migrate(t.Context()); err != nil { // which leaves somebody else's table alone
			t.Error(err)
		}
		if _, err := hook.Open(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open for table %s = %v, want %s", table, err, want)
		}
	}
}

func TestVisitsAreAcceptedWhenPostgresRefusesThemForGood(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	c := connect(t, database)
	execute(t, c, strings.Replace(djangoTable, "address varchar(50)", "address inet", 1))
	r := newRecorder(t, accessrecord.Config{Database: database, Table: "phoenix_accessrecord"})
	s := newSlots(t, pool.Solo, 1, r)
	if err := s.one(t, "1", `{}`); err == nil { // "unknown" is no address
		t.Error("a value that the column cannot hold: no error")
	}
	if err := s.one(t, "1", `{"address": "203.0.113.7"}`); err != nil {
		t.Errorf("the failed try left a mark: %v", err)
	}
	execute(t, c, "ALTER TABLE phoenix_accessrecord ALTER COLUMN referer DROP NOT NULL")
	execute(t, c, "UPDATE phoenix_accessrecord SET referer = NULL")
	rows, err := r.List(t.Context(), 10)
	if err != nil || len(rows) != 1 || rows[0].Address != "203.0.113.7" || rows[0].Referer != "" {
		t.Errorf("rows = %v, %v, want the one visit of 203.0.113.7 without a referer", rows, err)
	}
}

func TestPasswordsStaySecret(t *testing.T) {
	t.Parallel()
	for _, database := range []string{
		"postgres://user:s3cret@127.0.0.1:1/x?connect_timeout=2",
		"postgres://user:s3cret@127.0.0.1:port/x",
		"postgres://127.0.0.1:1/x?user=u&password=s3cret",
		"postgres://user:s3cret@127.0.0.1/x?sslmode=perhaps",
		"postgres://user:s3cret%@127.0.0.1/x",
		"mysql://user:s3cret@127.0.0.1/x",
		"postgres://127.0.0.1:1/x?user=u&sslpassword=s3cret",
		"host=127.0.0.1 port=1 password=s3cret",
	} {
		r, err := accessrecord.New(accessrecord.Config{Database: database})
		if err == nil {
			_, err = r.List(t.Context(), 1)
		}
		if err == nil {
			t.Errorf("%s: no error", database)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestAMaskedURLStillSaysWhere(t *testing.T) {
	t.Parallel()
	r := newRecorder(t, accessrecord.Config{Database: "postgres://user:s3cret@127.0.0.1:1/x"})
	if _, err := r.List(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "postgres://user:**@127.0.0.1:1/x") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %v, want the URL with **", err)
	}
}

func TestWrongConfigsAreRefused(t *testing.T) {
	t.Parallel()
	const database = "postgres://127.0.0.1:1/x"
	for name, cfg := range map[string]accessrecord.Config{
		"scheme":        {Database: "mysql://127.0.0.1/x"},
		"no URL":        {Database: "visits.db"},
		"dot":           {Database: database, Table: "public.visits"},
		"quote":         {Database: database, Table: `a"b`},
		"control":       {Database: database, Table: "a\x00b"},
		"long":          {Database: database, Table: strings.Repeat("a", 52)},
		"long schema":   {Database: database, Schema: strings.Repeat("a", 64)},
		"negative age":  {Database: database, MaxAge: -1},
		"negative wait": {Database: database, Patience: -1},
	} {
		if _, err := accessrecord.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// withUser returns the URL for another user.
func withUser(t testing.TB, database, user string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, "s3cret")
	return u.String()
}

// logger writes all levels to w.
func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
