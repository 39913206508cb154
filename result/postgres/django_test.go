package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/postgres"
	"github.com/seed-399731e2/taskq/task"
)

// check has the store look at the tables, and create them.
func check(t testing.TB, b *postgres.Backend) {
	t.Helper()
	if err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// catalogue describes the tables of django-celery-results: columns, constraints, indexes, one line each.
func catalogue(t *testing.T, c *pgx.Conn) (lines []string) {
	t.Helper()
	rows, err := c.Query(t.Context(), `
		SELECT format('%s.%s %s null=%s default=%s', r.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
		FROM pg_class r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
			LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
		WHERE r.relkind = 'r' AND r.relname LIKE 'django\_%'
		UNION ALL SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid::regclass::text LIKE 'django\_%'
		UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'django\_%'
		UNION ALL SELECT format('%s %s %s', sequencename, data_type, max_value) FROM pg_sequences
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	if lines, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		t.Fatal(err)
	}
	return lines
}

// newest are what later versions of django-celery-results have than the one that is installed.
func newest(line string) bool {
	return strings.Contains(line, ".date_started ") || strings.Contains(line, "django_cele_periodi_1993cf_idx")
}

func TestTablesAreThoseThatDjangoMakes(t *testing.T) {
	t.Parallel()
	ours, theirs := testserver.Postgres(t), testserver.Postgres(t)
	check(t, opened(t, postgres.Config{URL: ours}))
	testserver.NewDjango(t, testserver.DjangoConfig{Database: theirs}).Manage("migrate", "django_celery_results")
	var got, want []string
	for _, line := range catalogue(t, connect(t, ours)) {
		if !newest(line) {
			got = append(got, line)
		}
	}
	for _, line := range catalogue(t, connect(t, theirs)) {
		// DEFAULT_AUTO_FIELD decides on the ids of Django's own table
		line = strings.ReplaceAll(line, "django_migrations.id bigint", "django_migrations.id integer")
		if strings.HasPrefix(line, "django_migrations_id_seq bigint") {
			line = "django_migrations_id_seq integer 2147483647"
		}
		if !newest(line) {
			want = append(want, line)
		}
	}
	if len(want) < 40 {
		t.Fatalf("the catalogue has %d lines only", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables (-Django's +ours):\n%s", diff)
	}
}

func TestDjangoTakesTheTablesThatAreThere(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	b := opened(t, postgres.Config{URL: url})
	id := uuid.NewString()
	if err := b.Store(t.Context(), task.Meta{ID: id, State: task.Success, Result: codec.Raw(`{"sum": 3}`)}); err != nil {
		t.Fatal(err)
	}
	django := testserver.NewDjango(t, testserver.DjangoConfig{Database: url})
	django.Manage("migrate", "--fake-initial", "--verbosity", "0")
	got := django.Run(`
from celery.result import AsyncResult
from django_celery_results.models import TaskResult
from site_celery import app
import sys
row = TaskResult.objects.get()
print(row.task_id == sys.argv[1], row.status, row.result, row.date_created <= row.date_done)
print(AsyncResult(sys.argv[1], app=app).get(timeout=5))
TaskResult.objects.create(task_id="by hand", content_type="application/json", content_encoding="utf-8", result="7", status="SUCCESS")
`, id)
	if want := "True SUCCESS {\"sum\": 3} True\n{'sum': 3}\n"; got != want {
		t.Errorf("Django sees %q, want %q", got, want)
	}
	if m, err := b.Get(t.Context(), "by hand"); err != nil || m.State != task.Success || string(m.Result) != "7" {
		t.Errorf("%+v, %v", m, err)
	}
	if out := django.Manage("migrate", "--check"); strings.Contains(out, "[ ]") {
		t.Errorf("migrations are left: %s", out)
	}
}

// A store that is open while the site is migrated needs one more try at the most.
func TestWorksWithTheTablesOfEveryMigration(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	django := testserver.NewDjango(t, testserver.DjangoConfig{Database: url})
	c := connect(t, url)
	var lasting *postgres.Backend
	for _, migration := range []string{"0001", "0004", "0008", "0009", "0011", "0012"} {
		if migration == "0012" { // not there yet in Debian's version
			exec(t, c, "ALTER TABLE django_celery_results_taskresult ADD COLUMN date_started timestamptz")
		} else {
			django.Manage("migrate", "--verbosity", "0", "django_celery_results", migration)
		}
		b := opened(t, postgres.Config{URL: url})
		if lasting == nil {
			lasting = b // it goes on without the columns that come later
		}
		for _, b := range []*postgres.Backend{lasting, b} {
			id := uuid.NewString()
			for i, m := range []task.Meta{
				{ID: id, State: task.Started, Result: codec.Raw(`null`)},
				{ID: id, State: task.Success, Result: codec.Raw(`1`), Extended: &task.Extended{Name: "t", ArgsRepr: "(1,)", KwargsRepr: "{}", Worker: "w"}},
			} {
				if err := b.Store(t.Context(), m); err != nil && (b != lasting || i > 0 || b.Store(t.Context(), m) != nil) {
					t.Errorf("%s: %v", migration, err)
				}
			}
			m, err := b.Get(t.Context(), id)
			if err != nil || m.State != task.Success || string(m.Result) != "1" || b != lasting && m.Extended == nil {
				t.Errorf("%s: %+v, %v", migration, m, err)
			}
		}
		err := b.SaveGroup(t.Context(), task.Ref{ID: uuid.NewString(), Group: true})
		if migration >= "0009" && err != nil || migration < "0009" && (!errors.Is(err, result.ErrAccess) || !strings.Contains(err.Error(), "manage.py migrate")) {
			t.Errorf("%s: save group: %v", migration, err)
		}
		if n := query[int](t, c, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"); n != 0 {
			t.Errorf("%s: %d triggers in a Django site's database", migration, n)
		}
	}
	if n := query[int](t, c, "SELECT count(*) FROM django_celery_results_taskresult WHERE date_started IS NOT NULL"); n != 1 {
		t.Errorf("%d rows say when the task started, want 1: only one was open that knew the column", n)
	}
}

func TestEightProcessesCreateTheTablesOnce(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	var wg sync.WaitGroup
	for range 8 {
		b := opened(t, postgres.Config{URL: url})
		wg.Go(func() {
			if err := b.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c := connect(t, url)
	if n := query[int](t, c, "SELECT count(*) FROM django_migrations"); n != 14 {
		t.Errorf("%d migrations are recorded, want 14", n)
	}
	exec(t, c, "DROP TABLE django_celery_results_groupresult, django_celery_results_taskresult")
	check(t, opened(t, postgres.Config{URL: url}))
	if n := query[int](t, c, "SELECT count(*) FROM django_migrations"); n != 14 {
		t.Errorf("after a table was made again: %d migrations are recorded, want 14", n)
	}
}

func TestSaysWhatIsWrongWithTheTables(t *testing.T) {
	t.Parallel()
	const site = "CREATE TABLE django_migrations (app text, name text, applied timestamptz); INSERT INTO django_migrations VALUES ('auth', '0001_initial', now())"
	const create = "CREATE TABLE django_celery_results_taskresult (id serial PRIMARY KEY, task_id varchar(255) UNIQUE, status text, " +
		"content_type text, content_encoding text, result text, date_done timestamptz, traceback text"
	for name, test := range map[string]struct{ prepare, want string }{
		"a Django site's, not migrated": {site, "manage.py migrate"},
		"a column is missing":           {create + ")", "no column meta"},
		"a column needs a value":        {create + ", meta text, tenant int NOT NULL)", "column tenant"},
		"no unique id": {
			strings.Replace(create, "UNIQUE", "", 1) + ", meta text)", "unique constraint",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := testserver.Postgres(t)
			c := connect(t, url)
			exec(t, c, test.prepare)
			before := fmt.Sprint(catalogue(t, c))
			b := opened(t, postgres.Config{URL: url})
			err := b.Check(t.Context())
			if err == nil {
				err = b.Store(t.Context(), task.Meta{ID: "a", State: task.Success})
			}
			if !errors.Is(err, result.ErrAccess) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want ErrAccess that says %q", err, test.want)
			}
			if after := fmt.Sprint(catalogue(t, c)); after != before {
				t.Errorf("the tables were changed:\n%s\n%s", before, after)
			}
		})
	}
}
