package accessrecord_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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

// sent is a visit with the id of its task.
type sent struct{ id, data string }

// together runs visits as one batch on a slot, as a worker does, and returns the error of each.
func (s *slots) together(t testing.TB, visits ...sent) []error {
	t.Helper()
	errs := make([]error, len(visits))
	done := make(chan struct{})
	err := s.Submit(t.Context(), func(ctx context.Context) {
		defer close(done)
		g := task.NewGathering(len(visits))
		var handlers sync.WaitGroup
		for i, v := range visits {
			handlers.Go(func() {
				seat := g.Seat(i)
				defer seat.Leave()
				_, errs[i] = call(task.WithSeat(ctx, seat), s.recorder, v.id, positional(v.data))
			})
		}
		g.End(g.Run(ctx))
		handlers.Wait()
	})
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	<-done
	return errs
}

func numbered(from, to int) (visits []sent) {
	for i := from; i < to; i++ {
		visits = append(visits, sent{fmt.Sprintf("id-%04d", i), fmt.Sprintf(`{"path": "/%d/"}`, i)})
	}
	return visits
}

// inEveryStore runs the test with a fresh PostgreSQL database and with a fresh file.
func inEveryStore(t *testing.T, test func(t *testing.T, r *accessrecord.Recorder)) {
	t.Helper()
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, newRecorder(t, accessrecord.Config{Database: testserver.Postgres(t)}))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newRecorder(t, accessrecord.Config{Database: "sqlite://" + filepath.Join(t.TempDir(), "visits.db")}))
	})
}

// wantPaths compares what is stored; a path that is stored twice is there twice.
func wantPaths(t testing.TB, r *accessrecord.Recorder, want ...string) {
	t.Helper()
	rows, err := r.List(t.Context(), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		got = append(got, row.Path)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%d rows, want %d; -want +got:\n%s", len(got), len(want), diff)
	}
}

func paths(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf("/%d/", i))
	}
	return list
}

func TestABatchOfVisitsIsARowEach(t *testing.T) {
	inEveryStore(t, func(t *testing.T, r *accessrecord.Recorder) {
		s := newSlots(t, pool.Solo, 1, r)
		if err := errors.Join(s.together(t, numbered(0, 500)...)...); err != nil {
			t.Fatal(err)
		}
		wantPaths(t, r, paths(0, 500)...)
	})
}

func TestABatchKeepsVisitsAsTheyWere(t *testing.T) {
	inEveryStore(t, func(t *testing.T, r *accessrecord.Recorder) {
		s := newSlots(t, pool.Solo, 1, r)
		odd := `{"path": "/\\\\N/\\t\t|\n|\r\n\\.\b\f/'; DROP TABLE access_record; --", "query_str": "\\.", "address": "2001:db8::7", "user_agent": "\\ \"x\"\\",
			"referer": "\u001f访问\u2028", "atime": "2021-07-03T20:34:56.789012+08:00", "source": "中国-广东-深圳"}`
		if err := errors.Join(s.together(t, sent{"odd", odd}, sent{"plain", `{"atime": "0001-01-01T00:00:00"}`})...); err != nil {
			t.Fatal(err)
		}
		rows, err := r.List(t.Context(), 10)
		if err != nil || len(rows) != 2 {
			t.Fatalf("%d rows, %v; want 2", len(rows), err)
		}
		want := []accessrecord.Visit{{
			Path: "/\\\\N/\\t\t|\n|\r\n\\.\b\f/'; DROP TABLE access_record; --", QueryStr: `\.`, Address: "2001:db8::7", UserAgent: `\ "x"\`,
			Referer: "\u001f访问\u2028", ATime: time.Date(2021, 7, 3, 12, 34, 56, 789012000, time.UTC), Source: "中国-广东-深圳",
		}, {Address: "unknown", UserAgent: "unknown", ATime: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}}
		if diff := cmp.Diff(want, []accessrecord.Visit{rows[0].Visit, rows[1].Visit}); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestBatchesThatShareVisitsStoreThemOnce(t *testing.T) {
	inEveryStore(t, func(t *testing.T, r *accessrecord.Recorder) {
		s := newSlots(t, pool.Goroutines, 8, r)
		if err := s.one(t, "id-0007", `{"path": "/7/"}`); err != nil { // alone, before them
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 16 {
			visits := append(numbered(0, 200), numbered(100, 300)...) // half of them twice
			if i%2 == 1 {
				slices.Reverse(visits)
			}
			wg.Go(func() {
				if err := errors.Join(s.together(t, visits...)...); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		wantPaths(t, r, paths(0, 300)...)
	})
}

func TestVisitsThatCannotBeReadFailAloneInTheirBatch(t *testing.T) {
	inEveryStore(t, func(t *testing.T, r *accessrecord.Recorder) {
		s := newSlots(t, pool.Solo, 1, r)
		visits := numbered(0, 20)
		for i, bad := range map[int]string{3: `[]`, 9: `{"path": 7}`, 19: `{"path": "` + strings.Repeat("x", 3000) + `"}`} {
			visits[i].data = bad
		}
		for i, err := range s.together(t, visits...) {
			if bad := i == 3 || i == 9 || i == 19; bad != (err != nil) {
				t.Errorf("visit %d: error = %v", i, err)
			}
		}
		want := slices.DeleteFunc(paths(0, 20), func(p string) bool { return p == "/3/" || p == "/9/" || p == "/19/" })
		wantPaths(t, r, want...)
	})
}

func TestVisitsThatTheTableRefusesFailAloneInTheirBatch(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{
		"type":       strings.Replace(djangoTable, "address varchar(50)", "address inet", 1),
		"constraint": strings.Replace(djangoTable, "address varchar(50) NOT NULL", "address varchar(50) NOT NULL CHECK (address LIKE '%.%.%.%')", 1),
		"unique":     strings.Replace(djangoTable, "path varchar(200) NOT NULL", "path varchar(200) NOT NULL UNIQUE", 1),
		"deferred":   strings.Replace(djangoTable, "path varchar(200) NOT NULL", "path varchar(200) NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := testserver.Postgres(t)
			c := connect(t, database)
			execute(t, c, table)
			r := newRecorder(t, accessrecord.Config{Database: database, Table: "phoenix_accessrecord"})
			s := newSlots(t, pool.Solo, 1, r)
			var visits []sent
			for i := range 100 {
				address, path := "203.0.113.7", i
				if i == 17 || i == 18 || i == 99 {
					address, path = "unknown", 16
				}
				visits = append(visits, sent{fmt.Sprintf("id-%04d", i), fmt.Sprintf(`{"path": "/%d/", "address": %q}`, path, address)})
			}
			var failed []int
			for i, err := range s.together(t, visits...) {
				if err != nil {
					failed = append(failed, i)
				}
			}
			if !slices.Equal(failed, []int{17, 18, 99}) {
				t.Errorf("visits %v failed, want 17, 18 and 99", failed)
			}
			want := slices.DeleteFunc(paths(0, 100), func(p string) bool { return p == "/17/" || p == "/18/" || p == "/99/" })
			slices.Sort(want)
			if got := query[[]string](t, c, `SELECT array_agg(path ORDER BY path COLLATE "C") FROM phoenix_accessrecord`); !slices.Equal(got, want) {
				t.Errorf("%d rows %q, want %d", len(got), got, len(want))
			}
			if n := query[int](t, c, `SELECT count(*) FROM phoenix_accessrecord_task_ids`); n != 97 {
				t.Errorf("the ledger has %d ids, want 97: what was refused may come again", n)
			}
		})
	}
}

func TestABatchGoesIntoATableOfDjango(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	c := connect(t, database)
	table := strings.Replace(djangoTable, "timestamp with time zone", "timestamp", 1)
	execute(t, c, strings.Replace(table, "source varchar(100) NOT NULL", "source varchar(100) NOT NULL, seen boolean NOT NULL DEFAULT true", 1))
	execute(t, c, `SELECT setval('phoenix_accessrecord_id_seq', 1000)`)
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder(t, accessrecord.Config{Database: database, Table: "phoenix_accessrecord", Location: shanghai})
	s := newSlots(t, pool.Solo, 1, r)
	visits := []sent{{"1", `{"atime": "2021-07-03T12:00:00Z"}`}, {"2", `{"path": "/` + strings.Repeat("x", 200) + `"}`}, {"3", `{"atime": "1900-01-01T00:00:00Z"}`}}
	if errs := s.together(t, visits...); errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("errors = %v, want the second one", errs)
	}
	const rows = `SELECT array_agg(id || ' ' || atime || ' ' || seen ORDER BY id) FROM phoenix_accessrecord`
	want := []string{"1001 2021-07-03 20:00:00 true", "1002 1900-01-01 08:05:43 true"} // the clock of Shanghai, then and now
	if got := query[[]string](t, c, rows); !slices.Equal(got, want) {
		t.Errorf("rows = %q, want %q", got, want)
	}
}

func TestATableThatTakesNoCOPYIsInsertedInto(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	c := connect(t, server.URL)
	execute(t, c, djangoTable)
	execute(t, c, `CREATE VIEW visits AS SELECT * FROM phoenix_accessrecord`)
	execute(t, c, `CREATE ROLE clerk LOGIN PASSWORD 's3cret'`)
	for name, database := range map[string]string{"visits": server.URL, "phoenix_accessrecord": withUser(t, server.URL, "clerk")} {
		if name != "visits" {
			execute(t, c, `TRUNCATE phoenix_accessrecord`)
			execute(t, c, `CREATE TABLE phoenix_accessrecord_task_ids (task_id text PRIMARY KEY, stored_at timestamptz NOT NULL DEFAULT now())`)
			execute(t, c, `GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO clerk`)
			execute(t, c, `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk`)
			execute(t, c, `ALTER TABLE phoenix_accessrecord ENABLE ROW LEVEL SECURITY`)
			execute(t, c, `CREATE POLICY all_rows ON phoenix_accessrecord USING (path <> '/5/') WITH CHECK (path <> '/5/')`)
		}
		r := newRecorder(t, accessrecord.Config{Database: database, Table: name})
		s := newSlots(t, pool.Solo, 1, r)
		for range 2 {
			if err := errors.Join(s.together(t, numbered(10, 30)...)...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		wantPaths(t, r, paths(10, 30)...)
		execute(t, c, `TRUNCATE phoenix_accessrecord`)
	}
}

func TestNoVisitOfABatchIsLostOrDoubledWhenPostgresIsKilledOrCutsConnections(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	for _, kind := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			r := newRecorder(t, accessrecord.Config{Database: server.URL, Table: "visits_" + string(kind)})
			s := newSlots(t, kind, sizeOf(kind), r)
			var batches, start sync.WaitGroup
			for i := range 40 {
				switch i {
				case 8, 30:
					server.TerminateBackends()
				case 20:
					server.Kill()
					start.Go(server.Start)
				}
				batches.Go(func() {
					if err := errors.Join(s.together(t, numbered(100*i, 100*i+100)...)...); err != nil {
						t.Error(err)
					}
				})
				if i%4 == 3 {
					batches.Wait()
				}
			}
			batches.Wait()
			start.Wait()
			if n := backends(t, server.URL); n > sizeOf(kind) {
				t.Errorf("%d connections for %d slots", n, sizeOf(kind))
			}
			wantPaths(t, r, paths(0, 4000)...)
		})
	}
}

func TestABatchThatCannotBeStoredAsksForAnotherTryOfEachVisit(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	r := newRecorder(t, accessrecord.Config{Database: server.URL, Patience: 300 * time.Millisecond})
	s := newSlots(t, pool.Solo, 1, r)
	if err := r.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, connect(t, server.URL), `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now' USING ERRCODE = '55000'; END $$`)
	execute(t, connect(t, server.URL), `CREATE TRIGGER refuse BEFORE INSERT ON access_record FOR EACH ROW EXECUTE FUNCTION refuse()`)
	for i, err := range s.together(t, numbered(0, 10)...) {
		if e, ok := errors.AsType[*task.RetryError](err); !ok || e.After <= 0 {
			t.Errorf("visit %d: error = %v, want RetryAfter", i, err)
		}
	}
}

func TestVisitsAreCopiedAsTheyAre(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	c := connect(t, database)
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder(t, accessrecord.Config{Database: database, Location: shanghai})
	s := newSlots(t, pool.Solo, 1, r)
	if err := r.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, c, `CREATE TABLE seen (query text)`)
	execute(t, c, `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (current_query()); RETURN NULL; END $$`)
	execute(t, c, `CREATE TRIGGER note AFTER INSERT ON access_record FOR EACH STATEMENT EXECUTE FUNCTION note()`)
	odd := sent{"odd", `{"path": "/\\N/\t\t|\n|\r\n\\.\b\f/", "source": "\t\n", "atime": "1900-01-01T00:00:00Z"}`} // when Shanghai's clock was 8:05:43 ahead
	if err := errors.Join(s.together(t, append(numbered(0, 100), odd)...)...); err != nil {
		t.Fatal(err)
	}
	rows, _ := c.Query(t.Context(), `SELECT left(query, 4) FROM seen`)
	if seen, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || !slices.Equal(seen, []string{"COPY"}) {
		t.Errorf("statements %q, %v; want one COPY", seen, err)
	}
	wantPaths(t, r, append(paths(0, 100), "/\\N/\t\t|\n|\r\n\\.\b\f/")...)
	if got, want := query[time.Time](t, c, `SELECT min(atime) FROM access_record`), time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("atime = %s, want %s", got, want)
	}
}
