package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/postgres"
	"github.com/seed-399731e2/taskq/task"
)

func success(id, value string) task.Meta {
	return task.Meta{ID: id, State: task.Success, Result: codec.Raw(value), DoneAt: time.Now().UTC().Truncate(time.Microsecond)}
}

func store(t testing.TB, b result.Backend, m task.Meta) {
	t.Helper()
	if err := b.Store(t.Context(), m); err != nil {
		t.Fatalf("store: %v", err)
	}
}

// The columns, as Python's store fills them (django_celery_results/backends/database.py).
func TestWritesTheColumnsAsDjangoDoes(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url}), connect(t, url)
	id := uuid.NewString()
	x := &task.Extended{
		Name: strings.Repeat("n", 300), Args: codec.Raw(`[1]`), ArgsRepr: "(1, 'ü\x00')", KwargsRepr: "{'a': 1}", Worker: strings.Repeat("w", 200),
		Retries: 2, Queue: "q", PeriodicTask: "nightly", StampedHeaders: []string{"tenant"}, Stamps: map[string]any{"tenant": "acme", "status": "x"},
	}
	store(t, b, task.Meta{ID: id, State: task.Started, Result: codec.Raw(`{"pid": 1}`), Extended: x})
	started := query[time.Time](t, c, "SELECT date_started FROM django_celery_results_taskresult")
	m := success(id, `{"sum": 3}`)
	m.Traceback, m.Extended, m.GroupID = "a\x00b\xff", x, "g"
	m.Children = []task.Ref{{ID: "c"}}
	store(t, b, m)
	got := query[map[string]any](t, c, "SELECT to_jsonb(t) - 'id' - 'date_created' - 'date_started' - 'date_done' FROM django_celery_results_taskresult t")
	meta := got["meta"]
	delete(got, "meta")
	want := map[string]any{
		"task_id": id, "status": "SUCCESS", "content_type": "application/json", "content_encoding": "utf-8", "result": `{"sum": 3}`,
		"traceback": "a\uFFFDb\uFFFD", "task_name": strings.Repeat("n", 255), "task_args": `"(1, 'ü\u0000')"`, "task_kwargs": `"{'a': 1}"`,
		"worker": strings.Repeat("w", 100), "periodic_task_name": "nightly",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	var details map[string]any
	if err := (codec.JSON{}).Unmarshal([]byte(meta.(string)), &details); err != nil {
		t.Fatal(err)
	}
	wantDetails := map[string]any{
		"children": []any{[]any{[]any{"c", nil}, nil}}, "group_id": "g", "retries": int64(2), "queue": "q",
		"stamped_headers": []any{"tenant"}, "tenant": "acme",
	}
	if diff := cmp.Diff(wantDetails, details); diff != "" {
		t.Errorf("meta (-want +got):\n%s", diff)
	}
	if again := query[time.Time](t, c, "SELECT date_started FROM django_celery_results_taskresult"); !again.Equal(started) {
		t.Errorf("started at %s, and then at %s", started, again)
	}
	if done := query[time.Time](t, c, "SELECT date_done FROM django_celery_results_taskresult"); !done.Equal(m.DoneAt) {
		t.Errorf("done at %s, want %s", done, m.DoneAt)
	}
}

// Rows that one transaction wrote have the same xmin.
func TestConcurrentOutcomesAreWrittenTogetherAndABadOneHarmsNoOther(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url}), connect(t, url)
	check(t, b)
	exec(t, c, "BEGIN")
	exec(t, c, "LOCK TABLE django_celery_results_taskresult IN EXCLUSIVE MODE") // the first one waits, and the others gather behind it
	const n = 100
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { store(t, b, success(fmt.Sprint(i), `1`)) })
	}
	for what, m := range map[string]task.Meta{
		"long id":    success(strings.Repeat("x", 300), `1`),
		"zero in id": success("a\x00b", `1`),
		"long state": {ID: "state", State: task.State(strings.Repeat("S", 51))},
	} {
		wg.Go(func() {
			if err := b.Store(t.Context(), m); !errors.Is(err, result.ErrInvalid) {
				t.Errorf("%s: err = %v, want ErrInvalid", what, err)
			}
		})
	}
	wg.Go(func() { // twice in one statement is not allowed
		for range 2 {
			store(t, b, task.Meta{ID: "again", State: "PROGRESS", Result: codec.Raw(`1`)})
		}
	})
	exec(t, c, "COMMIT")
	wg.Wait()
	if rows := query[int](t, c, "SELECT count(*) FROM django_celery_results_taskresult"); rows != n+1 {
		t.Errorf("%d rows, want %d", rows, n+1)
	}
	exec(t, c, "DELETE FROM django_celery_results_taskresult")
	exec(t, c, "BEGIN")
	exec(t, c, "LOCK TABLE django_celery_results_taskresult IN EXCLUSIVE MODE")
	for i := range n {
		wg.Go(func() { store(t, b, success(fmt.Sprint(i), `1`)) })
	}
	exec(t, c, "SELECT pg_sleep(0.1)") // long enough for most of them to be asked for
	exec(t, c, "COMMIT")
	wg.Wait()
	if writes := query[int](t, c, "SELECT count(DISTINCT xmin::text) FROM django_celery_results_taskresult"); writes > n/2 {
		t.Errorf("%d transactions wrote %d outcomes", writes, n)
	}
}

// Two statements that wrote the same rows in different orders would wait for each other until PostgreSQL ends one.
func TestManyWriteTheSameTasksAtOnce(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	stores := []*postgres.Backend{opened(t, postgres.Config{URL: url}), opened(t, postgres.Config{URL: url})}
	check(t, stores[0])
	var wg sync.WaitGroup
	const n = 300
	for round := range 5 {
		for i := range n {
			for which, b := range stores {
				id := fmt.Sprint(i)
				if which == 1 {
					id = fmt.Sprint(n - 1 - i)
				}
				wg.Go(func() { store(t, b, task.Meta{ID: id, State: "PROGRESS", Result: codec.Raw(fmt.Sprint(round))}) })
			}
		}
	}
	wg.Wait()
}

func TestExpiredRowsAreDeletedFromBothTables(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url, Expires: time.Hour}), connect(t, url)
	check(t, b)
	fill(t, b, url)
	deadline := time.Now().Add(patience)
	for query[int](t, c, "SELECT (SELECT count(*) FROM django_celery_results_taskresult) + (SELECT count(*) FROM django_celery_results_groupresult)") > 2 {
		if time.Now().After(deadline) {
			t.Fatal("they are not deleted")
		}
		store(t, b, success("new", `1`)) // who stores cleans up
	}
	exec(t, c, `INSERT INTO django_celery_results_taskresult (task_id, status, content_type, content_encoding, date_created, date_done)
		VALUES ('late', 'SUCCESS', 'application/json', 'utf-8', now(), now() - interval '2 hours')`)
	store(t, b, success("late", `2`)) // an expired success is no success, deleted or not
	if m, err := b.Get(t.Context(), "late"); err != nil || string(m.Result) != "2" {
		t.Errorf("%s %s, %v", m.State, m.Result, err)
	}
	if id := query[string](t, c, "SELECT group_id FROM django_celery_results_groupresult"); id != "new" {
		t.Errorf("the group %s is left", id)
	}
}

// fill stores rows of two hours ago, more than one sweep deletes, and a new one of each kind.
func fill(t *testing.T, b *postgres.Backend, url string) {
	t.Helper()
	c := connect(t, url)
	exec(t, c, `INSERT INTO django_celery_results_taskresult (task_id, status, content_type, content_encoding, date_created, date_done)
		SELECT 'old' || n, 'SUCCESS', 'application/json', 'utf-8', now(), now() - interval '2 hours' FROM generate_series(1, 2500) AS n`)
	exec(t, c, `INSERT INTO django_celery_results_groupresult (group_id, content_type, content_encoding, date_created, date_done)
		SELECT 'old' || n, 'application/json', 'utf-8', now(), now() - interval '2 hours' FROM generate_series(1, 10) AS n`)
	if err := b.SaveGroup(t.Context(), task.Ref{ID: "new", Group: true}); err != nil {
		t.Fatal(err)
	}
	store(t, b, success("new", `1`))
}

func TestNothingOfADjangoSiteIsDeletedUnlessTheConfigurationSaysSo(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	c := connect(t, url)
	check(t, opened(t, postgres.Config{URL: url}))
	exec(t, c, "INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0001_initial', now())") // now it is one
	b := opened(t, postgres.Config{URL: url})
	fill(t, b, url)
	exec(t, c, "UPDATE django_celery_results_taskresult SET date_done = now() - interval '1 year' WHERE task_id = 'old1'")
	store(t, b, success("newer", `1`))
	if m, err := b.Get(t.Context(), "old1"); err != nil || m.State != task.Success {
		t.Errorf("%s, %v", m.State, err)
	}
	if n := query[int](t, c, "SELECT count(*) FROM django_celery_results_taskresult"); n != 2502 {
		t.Errorf("%d rows are left, want 2502", n)
	}
}

func TestResultsInPickleAreRefusedWithTheRemedy(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url}), connect(t, url)
	check(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := b.Wait(ctx, "p")
		ended <- err
	}()
	exec(t, c, `INSERT INTO django_celery_results_taskresult (task_id, status, content_type, content_encoding, result, date_created, date_done)
		VALUES ('p', 'SUCCESS', 'application/x-python-serialize', 'binary', 'gAVLAS4=', now(), now())`)
	_, err := b.Get(ctx, "p")
	for what, err := range map[string]error{"get": err, "wait": <-ended} {
		if !errors.Is(err, codec.ErrRefused) || !strings.Contains(err.Error(), "result_serializer") {
			t.Errorf("%s: err = %v, want ErrRefused", what, err)
		}
	}
	if err := b.Store(ctx, task.Meta{ID: "m", State: task.Success, Codec: other{}}); !errors.Is(err, result.ErrInvalid) {
		t.Errorf("store: err = %v, want ErrInvalid", err)
	}
}

// other is a codec that is not JSON.
type other struct{ codec.JSON }

func (other) ContentType() string { return "application/x-other" }
