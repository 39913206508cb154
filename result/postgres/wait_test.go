package postgres_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/postgres"
	"github.com/seed-399731e2/taskq/task"
)

func wait(t testing.TB, b result.Backend, id string) task.Meta {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := b.Wait(ctx, id)
	if err != nil {
		t.Errorf("wait for %s: %v", id, err)
	}
	return m
}

// eventually looks until it is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not so after %s: %s", patience, what)
		}
	}
}

// listeners are the connections that listen.
func listeners(t testing.TB, c *pgx.Conn) int {
	t.Helper()
	return query[int](t, c, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()")
}

func TestOneConnectionListensForAllWhoWait(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	here, there, c := opened(t, postgres.Config{URL: url}), opened(t, postgres.Config{URL: url}), connect(t, url)
	var wg sync.WaitGroup
	const n = 500
	for i := range n {
		wg.Go(func() { wait(t, here, fmt.Sprint(i)) })
	}
	eventually(t, "one listens", func() bool { return listeners(t, c) == 1 })
	if all := query[int](t, c, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'taskq' AND datname = current_database()"); all > 6 {
		t.Errorf("%d connections", all)
	}
	for i := range n {
		wg.Go(func() { store(t, there, success(fmt.Sprint(i), `1`)) })
	}
	wg.Wait()
	if got := listeners(t, c); got != 1 {
		t.Errorf("%d connections listen, want 1", got)
	}
}

// By then, what is waited for would be looked up without an announcement only three seconds later.
func TestAnnouncementsAreNotWaitedForInVain(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	proxy := testserver.StartProxy(t, url)
	here, there, c := opened(t, postgres.Config{URL: proxy.URL}), opened(t, postgres.Config{URL: url}), connect(t, url)
	check(t, there)
	found := make(chan task.Meta)
	for _, id := range []string{"a", "b"} {
		go func() { found <- wait(t, here, id) }()
	}
	eventually(t, "it listens", func() bool { return listeners(t, c) == 1 })
	exec(t, c, "SELECT pg_sleep(3.3)")
	begin := time.Now()
	store(t, there, success("a", `1`))
	<-found
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("an announcement took %s", d)
	}
	proxy.Refuse() // this one is missed
	store(t, there, success("b", `1`))
	proxy.Resume()
	<-found
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("after the announcements were back it took %s", d)
	}
}

// insert writes a success as Python's worker does, who announces nothing.
const insert = `INSERT INTO django_celery_results_taskresult (task_id, status, content_type, content_encoding, result, meta, date_created, date_done)
	VALUES ($1, 'SUCCESS', 'application/json', 'utf-8', '7', '{"children": []}', now(), now())`

func TestWhatPythonWritesIsFoundWithoutAnnouncement(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url}), connect(t, url)
	check(t, b)
	exec(t, c, "DROP TRIGGER taskq_notify ON django_celery_results_taskresult")
	b = opened(t, postgres.Config{URL: url})
	for i := range 3 {
		id := fmt.Sprint(i)
		found := make(chan task.Meta)
		go func() { found <- wait(t, b, id) }()
		eventually(t, "it listens", func() bool { return listeners(t, c) == 1 })
		begin := time.Now()
		exec(t, c, insert, id)
		if m := <-found; string(m.Result) != "7" || time.Since(begin) > 5*time.Second {
			t.Errorf("%s %s after %s", m.State, m.Result, time.Since(begin))
		}
	}
}

func TestTheTriggerAnnouncesWhatPythonWrites(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url}), connect(t, url)
	check(t, b)
	exec(t, c, "LISTEN taskq_results")
	store(t, b, success("ours", `1`))
	exec(t, c, insert, "theirs")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, want := range []string{"ours", "theirs"} { // once each, though statement and trigger both announce ours
		if n, err := c.WaitForNotification(ctx); err != nil || n.Payload != want {
			t.Fatalf("announced %+v, %v; want %s", n, err, want)
		}
	}
	page, err := os.ReadFile("../../docs/from-celery.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), postgres.TriggerSQL()) {
		t.Errorf("docs/from-celery.md does not show the trigger as it is:\n%s", postgres.TriggerSQL())
	}
}

func TestAnOutcomeIsAnnouncedWithItsCommit(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b, c := opened(t, postgres.Config{URL: url}), connect(t, url)
	check(t, b)
	exec(t, c, "DROP TRIGGER taskq_notify ON django_celery_results_taskresult; LISTEN taskq_results")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() { store(t, b, success(fmt.Sprint(i), `1`)) })
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 50 {
		n, err := c.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if state := query[string](t, c, "SELECT status FROM django_celery_results_taskresult WHERE task_id = $1", n.Payload); state != "SUCCESS" {
			t.Errorf("%s is %s when it is announced", n.Payload, state)
		}
	}
	wg.Wait()
}
