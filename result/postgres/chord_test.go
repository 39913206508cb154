package postgres_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/postgres"
	"github.com/seed-399731e2/taskq/result/resulttest"
	"github.com/seed-399731e2/taskq/task"
)

// chordOf is a header of n tasks, whose ids are those of the group and numbers.
func chordOf(group string, n int) task.Ref {
	header := task.Ref{ID: group, Group: true}
	for i := range n {
		header.Members = append(header.Members, task.Ref{ID: fmt.Sprint(group, i)})
	}
	return header
}

func openChord(t testing.TB, b *postgres.Backend, header task.Ref) {
	t.Helper()
	if err := b.OpenChord(t.Context(), header); err != nil {
		t.Fatal(err)
	}
}

func joinChord(t testing.TB, b *postgres.Backend, group string, i int) *result.Joined {
	t.Helper()
	joined, err := b.JoinChord(t.Context(), result.ChordPart{
		Index: i, Meta: task.Meta{ID: fmt.Sprint(group, i), GroupID: group, State: task.Success, Result: codec.Raw(`1`)},
	})
	if err != nil {
		t.Error(err)
	}
	return joined
}

const chordRows = `SELECT (SELECT count(*) FROM django_celery_results_chordcounter) + (SELECT count(*) FROM taskq_chords) +
	(SELECT count(*) FROM taskq_chord_parts) + (SELECT count(*) FROM taskq_claims)`

// Each of two processes has a pool of connections, in a database whose transactions see what was there when they began, unless they say
// otherwise.
func TestFiftyTasksOfTwoProcessesCountDownOneChord(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"read committed", "repeatable read", "serializable"} {
		url := testserver.Postgres(t)
		c := connect(t, url)
		exec(t, c, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''"+isolation+"''', current_database()); END $$")
		stores := []*postgres.Backend{opened(t, postgres.Config{URL: url}), opened(t, postgres.Config{URL: url})}
		const n = 50
		openChord(t, stores[0], chordOf("g", n+1))
		var wg sync.WaitGroup
		for i := range n {
			for _, b := range stores {
				wg.Go(func() { joinChord(t, b, "g", i) })
			}
		}
		wg.Wait()
		if left := query[int](t, c, "SELECT count FROM django_celery_results_chordcounter"); left != 1 {
			t.Errorf("%s: %d tasks are missing, want 1", isolation, left)
		}
		var told atomic.Int64
		for _, b := range stores {
			wg.Go(func() {
				if joined := joinChord(t, b, "g", n); joined != nil && len(joined.Parts) == n+1 {
					told.Add(1)
				}
			})
		}
		wg.Wait()
		if told.Load() != 2 {
			t.Errorf("%s: %d of 2 were told", isolation, told.Load())
		}
		if err := stores[1].ForgetChord(t.Context(), "g"); err != nil {
			t.Fatal(err)
		}
		if rows := query[int](t, c, chordRows); rows != 0 {
			t.Errorf("%s: %d rows are left", isolation, rows)
		}
	}
}

func TestAChordIsTheRowThatDjangoMakes(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url}), connect(t, url)
	openChord(t, b, task.Ref{ID: "g", Group: true, Members: []task.Ref{
		{ID: "a", Parent: &task.Ref{ID: "p"}}, {ID: "h", Group: true, Members: []task.Ref{{ID: "b"}, {ID: "c"}}},
	}})
	row := func() map[string]any {
		return query[map[string]any](t, c, "SELECT jsonb_build_object('group', group_id, 'tasks', sub_tasks::jsonb, 'count', count) FROM django_celery_results_chordcounter")
	}
	tasks := []any{
		[]any{[]any{"a", []any{[]any{"p", nil}, nil}}, nil},
		[]any{[]any{"h", nil}, []any{[]any{[]any{"b", nil}, nil}, []any{[]any{"c", nil}, nil}}},
	}
	if diff := cmp.Diff(map[string]any{"group": "g", "tasks": tasks, "count": 3.0}, row()); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	for range 2 {
		if err := b.GrowChord(t.Context(), "g", "d", "a"); err != nil {
			t.Fatal(err)
		}
	}
	tasks = append(tasks, []any{[]any{"d", nil}, nil})
	if diff := cmp.Diff(map[string]any{"group": "g", "tasks": tasks, "count": 4.0}, row()); diff != "" {
		t.Errorf("row of the grown chord (-want +got):\n%s", diff)
	}
}

// As when a task with an outcome of its own is the last, and Python's store has counted one twice.
func TestAChordThatIsCountedDownTooFarWaitsForTheRest(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url}), connect(t, url)
	openChord(t, b, chordOf("g", 3))
	exec(t, c, "UPDATE django_celery_results_chordcounter SET count = 1")
	store(t, b, task.Meta{ID: "g2", State: task.Started}) // which is no end
	if joined := joinChord(t, b, "g", 0); joined != nil {
		t.Errorf("complete with one task: %+v", joined)
	}
	if left := query[int](t, c, "SELECT count FROM django_celery_results_chordcounter"); left != 2 {
		t.Errorf("%d tasks are missing, want 2", left)
	}
	joinChord(t, b, "g", 1)
	if joined := joinChord(t, b, "g", 2); joined == nil || len(joined.Parts) != 3 {
		t.Errorf("joined = %+v, want three parts", joined)
	}
}

// Python has counted the first task, and its message is delivered again to Go once the last one has ended.
func TestACompleteChordIsNotCountedDownFurther(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url}), connect(t, url)
	openChord(t, b, chordOf("g", 2))
	store(t, b, success("g0", `7`))
	exec(t, c, "UPDATE django_celery_results_chordcounter SET count = 1")
	for _, i := range []int{1, 0, 1} {
		if joined := joinChord(t, b, "g", i); joined == nil || len(joined.Parts) != 2 {
			t.Errorf("joined = %+v, want two parts", joined)
		}
	}
}

func TestAChordIsKeptFromItsLastPartOnAndOpenedAgainAfterwards(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url, Expires: time.Hour}), connect(t, url)
	openChord(t, b, chordOf("g", 2))
	for _, touch := range []func(){func() { joinChord(t, b, "g", 0) }, func() {
		if err := b.GrowChord(t.Context(), "g", "g2"); err != nil {
			t.Fatal(err)
		}
	}} {
		exec(t, c, "UPDATE taskq_chords SET touched = now() - interval '50 minutes'")
		touch()
		if age := query[float64](t, c, "SELECT extract(epoch FROM now() - touched)::float8 FROM taskq_chords"); age > 600 {
			t.Errorf("it was touched %.0f s ago", age)
		}
	}
	exec(t, c, "UPDATE taskq_chords SET touched = now() - interval '61 minutes'")
	if err := b.GrowChord(t.Context(), "g", "g3"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if joined := joinChord(t, b, "g", i); joined != nil {
			t.Errorf("an expired chord is complete with task %d: %+v", i, joined)
		}
	}
	openChord(t, b, chordOf("g", 2))
	if joined := joinChord(t, b, "g", 1); joined != nil {
		t.Errorf("complete with one task: %+v", joined)
	}
	if joined := joinChord(t, b, "g", 0); joined == nil || len(joined.Parts) != 2 {
		t.Errorf("joined = %+v, want two parts", joined)
	}
}

func TestATaskOfAnotherHeaderDoesNotCompleteAChord(t *testing.T) {
	t.Parallel()
	resulttest.Strangers(t, opened(t, postgres.Config{URL: testserver.Postgres(t)}))
}

func TestExpiredChordsAreDeleted(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url, Expires: time.Hour}), connect(t, url)
	leave(t, b, c, "old")
	exec(t, c, "UPDATE taskq_chords SET touched = now() - interval '2 hours'; UPDATE taskq_claims SET touched = now() - interval '2 hours'")
	leave(t, b, c, "new")
	fill(t, b, url)
	if err := b.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, c, "SELECT (SELECT count(*) FROM django_celery_results_taskresult) + (SELECT count(*) FROM django_celery_results_groupresult)"); n != 2 {
		t.Errorf("%d outcomes and groups are left, want the 2 new ones", n)
	}
	for _, want := range []struct {
		table string
		rows  int
	}{{"django_celery_results_chordcounter", 2}, {"taskq_chords", 2}, {"taskq_chord_parts", 2}, {"taskq_claims", 1}} {
		// the counter that nobody here has touched, and what is new
		if n := query[int](t, c, "SELECT count(*) FROM "+want.table); n != want.rows {
			t.Errorf("%d rows are left in %s, want %d", n, want.table, want.rows)
		}
	}
}

// leave leaves a chord, one whose counter Python has deleted, one that only Python knows, and a claim.
func leave(t *testing.T, b *postgres.Backend, c *pgx.Conn, name string) {
	t.Helper()
	for _, group := range []string{name, name + "python"} {
		openChord(t, b, chordOf(group, 2))
		joinChord(t, b, group, 0)
	}
	exec(t, c, "DELETE FROM django_celery_results_chordcounter WHERE group_id = $1", name+"python")
	exec(t, c, "INSERT INTO django_celery_results_chordcounter (group_id, sub_tasks, count) VALUES ('python', '[]', 1) ON CONFLICT DO NOTHING")
	if first, err := b.ClaimBody(t.Context(), name, "c"); err != nil || !first {
		t.Fatal(first, err)
	}
}

func TestOfADjangoSitesChordsOnlyWhatIsOurOwnIsDeleted(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	c := connect(t, url)
	check(t, opened(t, postgres.Config{URL: url}))
	exec(t, c, "INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0001_initial', now())") // now it is a site
	b := opened(t, postgres.Config{URL: url})
	leave(t, b, c, "old")
	fill(t, b, url)
	exec(t, c, "UPDATE taskq_chords SET touched = now() - interval '2 days'; UPDATE taskq_claims SET touched = now() - interval '2 days'")
	if err := b.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, c, "SELECT count(*) FROM django_celery_results_taskresult"); n != 2501 {
		t.Errorf("%d outcomes are left, want 2501", n)
	}
	for table, want := range map[string]int{"django_celery_results_chordcounter": 2, "taskq_chords": 1, "taskq_chord_parts": 1, "taskq_claims": 0} {
		if n := query[int](t, c, "SELECT count(*) FROM "+table); n != want {
			t.Errorf("%d rows are left in %s, want %d", n, table, want)
		}
	}
	if joined := joinChord(t, b, "old", 1); joined == nil {
		t.Error("an old chord of a site is not complete")
	}
}

func TestWhoStoresDeletesExpiredClaims(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url, Expires: -1}), connect(t, url)
	if first, err := b.ClaimBody(t.Context(), "body", "c"); err != nil || !first {
		t.Fatal(first, err)
	}
	exec(t, c, "UPDATE taskq_claims SET touched = now() - interval '2 days'")
	store(t, b, success("t", `1`))
	eventually(t, "the claim is deleted", func() bool { return query[int](t, c, "SELECT count(*) FROM taskq_claims") == 0 })
}

func TestSaysWhatChordsNeed(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	c := connect(t, server.URL)
	check(t, opened(t, postgres.Config{URL: server.URL}))
	exec(t, c, "CREATE ROLE guest LOGIN PASSWORD 's3cret'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	exec(t, c, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO guest")
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal("no URL")
	}
	u.User = url.UserPassword("guest", "s3cret")
	guest := opened(t, postgres.Config{URL: u.String()})
	wantAccess(t, guest, "CREATE on the schema")
	openChord(t, opened(t, postgres.Config{URL: server.URL}), chordOf("other", 1))
	exec(t, c, "GRANT SELECT ON taskq_migrations TO guest")
	wantAccess(t, guest, "grant the user")
	exec(t, c, "GRANT SELECT, INSERT, UPDATE, DELETE ON taskq_chords, taskq_chord_parts, taskq_claims TO guest")
	openChord(t, guest, chordOf("g", 1))
	if joined := joinChord(t, guest, "g", 0); joined == nil {
		t.Error("not complete")
	}
	exec(t, c, "DROP TABLE taskq_chords, taskq_chord_parts")
	wantAccess(t, guest, "taskq_chords")
	exec(t, c, "DROP TABLE django_celery_results_chordcounter")
	wantAccess(t, guest, "manage.py migrate")
}

// wantAccess wants what is wrong to be said, by the second try at the latest: the first one may find that the tables have changed.
func wantAccess(t *testing.T, b *postgres.Backend, want string) {
	t.Helper()
	err := b.OpenChord(t.Context(), chordOf("g", 1))
	if err != nil && !errors.Is(err, result.ErrAccess) {
		err = b.OpenChord(t.Context(), chordOf("g", 1))
	}
	if !errors.Is(err, result.ErrAccess) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("err = %v, want ErrAccess that says %q", err, want)
	}
}

func TestPartsThatCannotBeKeptAreRefused(t *testing.T) {
	t.Parallel()
	b := opened(t, postgres.Config{URL: testserver.Postgres(t)})
	openChord(t, b, chordOf("g", 1))
	for what, m := range map[string]task.Meta{
		"not JSON":        {ID: "g0", GroupID: "g", State: task.Success, Result: codec.Raw(`1`), Codec: other{}},
		"a zero byte":     {ID: "g0", GroupID: "g", State: task.Success, Result: codec.Raw("\"\x00\"")},
		"not Unicode":     {ID: "g0", GroupID: "g", State: task.Success, Result: codec.Raw("\"\xff\"")},
		"a zero in an id": {ID: "g\x00", GroupID: "g", State: task.Success},
	} {
		if _, err := b.JoinChord(t.Context(), result.ChordPart{Meta: m}); !errors.Is(err, result.ErrInvalid) {
			t.Errorf("%s: err = %v, want ErrInvalid", what, err)
		}
	}
	if err := b.OpenChord(t.Context(), chordOf(strings.Repeat("x", 300), 1)); !errors.Is(err, result.ErrInvalid) {
		t.Errorf("a long id: err = %v, want ErrInvalid", err)
	}
}
