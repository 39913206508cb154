package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/result"
)

// The tables of django-celery-results (django_celery_results/models.py), and the one that Django keeps its migrations in.
const (
	taskTable       = "django_celery_results_taskresult"
	groupTable      = "django_celery_results_groupresult"
	chordTable      = "django_celery_results_chordcounter"
	migrationsTable = "django_migrations"
	djangoApp       = "django_celery_results"
)

// channel is where the id of each task is announced whose outcome was written.
const channel = "taskq_results"

// triggerName is the name of the trigger of TriggerSQL, and of its function.
const triggerName = "taskq_notify"

// TriggerSQL returns the statements that make the database announce what Python workers write, so that who waits in Go need not look
// for it. Tables that are created here have the trigger; in the database of a Django site an administrator may add it.
func TriggerSQL() string {
	return `CREATE OR REPLACE FUNCTION taskq_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF octet_length(NEW.task_id) < 8000 THEN
        PERFORM pg_notify('taskq_results', NEW.task_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER taskq_notify AFTER INSERT OR UPDATE ON django_celery_results_taskresult
    FOR EACH ROW EXECUTE FUNCTION taskq_notify();
`
}

// tableSQL creates one table as the migrations of django-celery-results leave it, up to its 0014, with Django's names for the indexes.
type tableSQL struct{ name, create string }

func schema() []tableSQL {
	return []tableSQL{
		{taskTable, `CREATE TABLE django_celery_results_taskresult (
    id serial NOT NULL PRIMARY KEY,
    task_id varchar(255) NOT NULL UNIQUE,
    status varchar(50) NOT NULL,
    content_type varchar(128) NOT NULL,
    content_encoding varchar(64) NOT NULL,
    result text,
    date_done timestamptz NOT NULL,
    traceback text,
    meta text,
    task_args text,
    task_kwargs text,
    task_name varchar(255),
    worker varchar(100),
    date_created timestamptz NOT NULL,
    periodic_task_name varchar(255),
    date_started timestamptz
);
CREATE INDEX django_celery_results_taskresult_task_id_de0d95bf_like ON django_celery_results_taskresult (task_id varchar_pattern_ops);
CREATE INDEX django_cele_task_na_08aec9_idx ON django_celery_results_taskresult (task_name);
CREATE INDEX django_cele_status_9b6201_idx ON django_celery_results_taskresult (status);
CREATE INDEX django_cele_worker_d54dd8_idx ON django_celery_results_taskresult (worker);
CREATE INDEX django_cele_date_cr_f04a50_idx ON django_celery_results_taskresult (date_created);
CREATE INDEX django_cele_date_do_f59aad_idx ON django_celery_results_taskresult (date_done);
CREATE INDEX django_cele_periodi_1993cf_idx ON django_celery_results_taskresult (periodic_task_name);
` + TriggerSQL()},
		{groupTable, `CREATE TABLE django_celery_results_groupresult (
    id serial NOT NULL PRIMARY KEY,
    group_id varchar(255) NOT NULL UNIQUE,
    date_created timestamptz NOT NULL,
    date_done timestamptz NOT NULL,
    content_type varchar(128) NOT NULL,
    content_encoding varchar(64) NOT NULL,
    result text
);
CREATE INDEX django_celery_results_groupresult_group_id_a085f1a9_like ON django_celery_results_groupresult (group_id varchar_pattern_ops);
CREATE INDEX django_cele_date_cr_bd6c1d_idx ON django_celery_results_groupresult (date_created);
CREATE INDEX django_cele_date_do_caae0e_idx ON django_celery_results_groupresult (date_done);
`},
		{chordTable, `CREATE TABLE django_celery_results_chordcounter (
    id serial NOT NULL PRIMARY KEY,
    group_id varchar(255) NOT NULL UNIQUE,
    sub_tasks text NOT NULL,
    count integer NOT NULL CHECK (count >= 0)
);
CREATE INDEX django_celery_results_chordcounter_group_id_1f70858c_like ON django_celery_results_chordcounter (group_id varchar_pattern_ops);
`},
		{migrationsTable, `CREATE TABLE django_migrations (
    id serial NOT NULL PRIMARY KEY,
    app varchar(255) NOT NULL,
    name varchar(255) NOT NULL,
    applied timestamptz NOT NULL
);
`},
	}
}

// migrations are those of django-celery-results that the tables are as good as. They are recorded as done, so that a Django that
// comes later takes the tables as they are: "migrate --fake-initial" alone would leave out only the first of them.
func migrations() []string {
	return []string{
		"0001_initial", "0002_add_task_name_args_kwargs", "0003_auto_20181106_1101", "0004_auto_20190516_0412", "0005_taskresult_worker",
		"0006_taskresult_date_created", "0007_remove_taskresult_hidden", "0008_chordcounter", "0009_groupresult",
		"0010_remove_duplicate_indices", "0011_taskresult_periodic_task_name", "0012_taskresult_date_started",
		"0013_taskresult_django_cele_periodi_1993cf_idx", "0014_alter_taskresult_status",
	}
}

// create makes the tables where there is no Django, once. A table that is there is left alone, and so is the database of
// a Django site.
func create(ctx context.Context, c *pgx.Conn) error {
	return pgdial.Alone(ctx, c, func(tx pgx.Tx) error {
		django, err := site(ctx, tx)
		if err != nil {
			return err
		}
		if django {
			return fmt.Errorf("%w: the database is a Django site's and has no table %s: add django_celery_results to INSTALLED_APPS and run "+
				"\"manage.py migrate django_celery_results\"", result.ErrAccess, taskTable)
		}
		var made []string
		for _, table := range schema() {
			found, err := pgdial.Exists(ctx, tx, table.name)
			if err != nil {
				return err
			}
			if found {
				continue
			}
			if _, err := tx.Exec(ctx, table.create); err != nil {
				return fmt.Errorf("create table %s: %w", table.name, err)
			}
			made = append(made, table.name)
		}
		if len(made) == 0 {
			return nil
		}
		_, err = tx.Exec(ctx, `INSERT INTO django_migrations (app, name, applied)
			SELECT $1::varchar, name, now() FROM unnest($2::text[]) AS n(name)
			WHERE NOT EXISTS (SELECT FROM django_migrations AS m WHERE m.app = $1::varchar AND m.name = n.name)`, djangoApp, migrations())
		return err
	})
}

// querier is a connection, a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// site reports whether a Django has migrated anything else in this database.
func site(ctx context.Context, q querier) (django bool, err error) {
	var there, readable bool
	err = q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL, coalesce(has_table_privilege(to_regclass($1), 'SELECT'), false)",
		migrationsTable).Scan(&there, &readable)
	if err != nil || !there {
		return false, err
	}
	if !readable {
		return true, nil // somebody else's
	}
	err = q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+migrationsTable+" WHERE app <> $1)", djangoApp).Scan(&django)
	return django, err
}

// forbidden says what to do about tables that are missing and may not be created.
func forbidden(err error) error {
	return fmt.Errorf("%w: the table %s is missing and may not be created: run \"manage.py migrate django_celery_results\", "+
		"or let a user with the right CREATE on the schema start once: %w", result.ErrAccess, taskTable, err)
}

// list joins column names.
func list(columns []string) string { return strings.Join(columns, ", ") }
