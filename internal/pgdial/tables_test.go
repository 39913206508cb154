package pgdial_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/pgdial"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// connect returns a connection whose transactions are of the level of isolation unless they ask for another; "" is the server's.
func connect(t testing.TB, database, level string) *pgx.Conn {
	t.Helper()
	conf, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal("no URL")
	}
	if level != "" {
		conf.RuntimeParams["default_transaction_isolation"] = level
	}
	c, err := pgx.ConnectConfig(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c
}

// Under another level than read committed, who waited would see the tables as they were before, and make them again.
func TestWhoWaitedSeesWhatTheOtherMadeWhateverTheDatabasesLevelOfIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			database := testserver.Postgres(t)
			watch := connect(t, database, "")
			var made atomic.Int32
			tables := pgdial.Tables{Name: "made", Quoted: []string{"made"}, Steps: []func(context.Context, pgx.Tx) error{
				func(ctx context.Context, tx pgx.Tx) error {
					if made.Add(1) == 1 {
						awaitWaiter(t, watch)
					}
					_, err := tx.Exec(ctx, "CREATE TABLE made ()")
					return err
				},
			}}
			ended := make(chan error, 2)
			for range cap(ended) {
				c := connect(t, database, level)
				go func() { ended <- tables.Migrate(t.Context(), c) }()
			}
			if err := errors.Join(<-ended, <-ended); err != nil {
				t.Fatal(err)
			}
			if n := made.Load(); n != 1 {
				t.Errorf("the step was done %d times", n)
			}
		})
	}
}

// awaitWaiter returns once somebody waits for the lock.
func awaitWaiter(t testing.TB, c *pgx.Conn) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		var waits bool
		err := c.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
			WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted)`).Scan(&waits)
		if err != nil {
			t.Error(err)
			return
		}
		if waits {
			return
		}
	}
	t.Error("nobody waits for the lock")
}

func TestTablesThatWereDroppedAreMadeAgain(t *testing.T) {
	t.Parallel()
	c := connect(t, testserver.Postgres(t), "")
	step := func(table string) func(context.Context, pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+table+" ()")
			return err
		}
	}
	tables := pgdial.Tables{
		Schema: "Own", Name: "two", Quoted: []string{`"Own"."a"`, `"Own"."b"`},
		Steps: []func(context.Context, pgx.Tx) error{step(`"Own"."a"`), step(`"Own"."b"`)},
	}
	for _, drop := range []string{"", `DROP TABLE "Own"."b"`, `DROP TABLE "Own"."a"`, `DROP SCHEMA "Own" CASCADE`} {
		if _, err := c.Exec(t.Context(), drop); err != nil {
			t.Fatal(err)
		}
		if err := tables.Migrate(t.Context(), c); err != nil {
			t.Fatalf("after %q: %v", drop, err)
		}
		var there bool
		var steps int
		err := c.QueryRow(t.Context(), `SELECT to_regclass('"Own"."a"') IS NOT NULL AND to_regclass('"Own"."b"') IS NOT NULL,
			(SELECT max(version) FROM "Own".taskq_migrations WHERE name = 'two')`).Scan(&there, &steps)
		if err != nil || !there || steps != 2 {
			t.Errorf("after %q: there %v, %d steps, %v; want both tables and 2 steps", drop, there, steps, err)
		}
	}
}

func TestNamesThatAreSurelyAMistakeAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "1234", "a.b", `a"b`, "a\x00", "\xff"} {
		if err := pgdial.CheckName(name, 3); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
	for name, want := range map[string]string{"select": `"select"`, "Odd name": `"Odd name"`, "汉": `"汉"`} {
		if err := pgdial.CheckName(name, pgdial.MaxName); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if got := pgdial.Quote("", name); got != want {
			t.Errorf("quoted = %s, want %s", got, want)
		}
	}
}
