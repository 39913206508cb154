package postgres_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/postgres"
	"github.com/seed-399731e2/taskq/result/resulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds each wait for something that must happen.
const patience = time.Minute

// open opens the store; the caller closes it.
func open(t testing.TB, cfg postgres.Config) *postgres.Backend {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opened opens the store until the test ends.
func opened(t testing.TB, cfg postgres.Config) *postgres.Backend {
	t.Helper()
	b := open(t, cfg)
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func query[T any](t testing.TB, c *pgx.Conn, sql string, args ...any) (v T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func exec(t testing.TB, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestPassesTheResultSuite(t *testing.T) {
	t.Parallel()
	url := testserver.Postgres(t)
	resulttest.Run(t, resulttest.Harness{
		Open: func(t *testing.T) result.Backend { t.Helper(); return open(t, postgres.Config{URL: url}) },
		Peer: func(t *testing.T) result.Backend { t.Helper(); return open(t, postgres.Config{URL: url}) },
		Expiring: func(t *testing.T, d time.Duration) result.Backend {
			t.Helper()
			return open(t, postgres.Config{URL: testserver.Postgres(t), Expires: d})
		},
		Frail: func(t *testing.T) resulttest.Frail {
			t.Helper()
			proxy := testserver.StartProxy(t, url)
			return resulttest.Frail{Backend: open(t, postgres.Config{URL: proxy.URL}), Break: proxy.Refuse, Mend: proxy.Resume}
		},
	})
}
