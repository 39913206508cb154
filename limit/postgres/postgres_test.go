package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/limit/limittest"
	"github.com/seed-399731e2/taskq/limit/postgres"
)

func TestMain(m *testing.M) {
	if limittest.IsChild(func(ctx context.Context, url string) (limit.Store, error) {
		return postgres.Open(ctx, postgres.Config{URL: url})
	}) {
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, cfg postgres.Config) *postgres.Store {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// opened is open, and closes the store after the test.
func opened(t testing.TB, cfg postgres.Config) *postgres.Store {
	t.Helper()
	s := open(t, cfg)
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
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

func exec(t testing.TB, c *pgx.Conn, statement string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func lock(key, owner string) limit.Claim {
	return limit.Claim{Key: key, Owner: owner, Places: 1, TTL: time.Hour}
}

func TestPassesTheSuite(t *testing.T) {
	t.Parallel()
	address := testserver.Postgres(t)
	limittest.Run(t, limittest.Harness{
		OwnClock: true,
		Open:     func(t *testing.T) limit.Store { t.Helper(); return open(t, postgres.Config{URL: address}) },
		Counted: func(t *testing.T) (limit.Store, func() int) {
			t.Helper()
			empty := testserver.Postgres(t)
			c := connect(t, empty)
			return open(t, postgres.Config{URL: empty, Sweep: time.Millisecond}), func() (n int) {
				err := c.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM taskq_limit_places) + (SELECT count(*) FROM taskq_limit_turns)").Scan(&n)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		},
		Frail: limittest.Behind(func(t *testing.T) (limit.Store, *testserver.Proxy) {
			t.Helper()
			proxy := testserver.StartProxy(t, address)
			return open(t, postgres.Config{URL: proxy.URL}), proxy
		}),
		Hold: limittest.Holder(address),
	})
}

func TestManyWhoComeFirstMakeTheTablesOnce(t *testing.T) {
	t.Parallel()
	address := testserver.Postgres(t)
	var wg sync.WaitGroup
	for i := range 8 {
		s := opened(t, postgres.Config{URL: address})
		wg.Go(func() {
			if g, err := s.Acquire(t.Context(), lock(fmt.Sprint(i), "a")); err != nil || !g.Fresh {
				t.Errorf("acquire: %+v, %v; want a place", g, err)
			}
		})
	}
	wg.Wait()
}

func TestTablesThatAreDroppedAreMadeAgain(t *testing.T) {
	t.Parallel()
	address := testserver.Postgres(t)
	s, c := opened(t, postgres.Config{URL: address}), connect(t, address)
	if _, err := s.Acquire(t.Context(), lock("k", "a")); err != nil {
		t.Fatal(err)
	}
	exec(t, c, `DROP TABLE taskq_limit_places, taskq_limit_turns, taskq_limit_version;
		DROP FUNCTION taskq_limit, taskq_limit_place, taskq_limit_turn, taskq_limit_now`)
	if _, err := s.Acquire(t.Context(), lock("k", "b")); !errors.Is(err, limit.ErrUnavailable) {
		t.Errorf("acquire without tables: %v, want ErrUnavailable", err)
	}
	if g, err := s.Acquire(t.Context(), lock("k", "b")); err != nil || !g.Fresh {
		t.Errorf("acquire after that: %+v, %v; want a place", g, err)
	}
}

func TestTablesOfANewerTaskqAreRefused(t *testing.T) {
	t.Parallel()
	address := testserver.Postgres(t)
	exec(t, connect(t, address), "CREATE TABLE taskq_limit_version (version integer PRIMARY KEY); INSERT INTO taskq_limit_version VALUES (1000)")
	s := opened(t, postgres.Config{URL: address})
	if _, err := s.Acquire(t.Context(), lock("k", "a")); !errors.Is(err, limit.ErrAccess) || !strings.Contains(err.Error(), "newer taskq") {
		t.Errorf("acquire: %v, want ErrAccess about a newer taskq", err)
	}
}

// A database may have another level of isolation than the usual one; there, whoever waited for a row is told to begin again.
func TestNoLevelOfIsolationLosesAPlace(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			address := testserver.Postgres(t)
			c := connect(t, address)
			var name string
			if err := c.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
				t.Fatal(err)
			}
			exec(t, c, "ALTER DATABASE "+pgx.Identifier{name}.Sanitize()+" SET default_transaction_isolation = '"+level+"'")
			const places, owners = 3, 40
			held := make([]bool, owners)
			var wg sync.WaitGroup
			for h := range 4 {
				s := opened(t, postgres.Config{URL: address})
				for i := h; i < owners; i += 4 {
					wg.Go(func() {
						claim := lock("k", fmt.Sprint(i))
						claim.Places = places
						g, err := s.Acquire(t.Context(), claim)
						if held[i] = g.Held; err != nil { // who must begin again does so unseen
							t.Errorf("acquire: %v", err)
						}
					})
				}
			}
			wg.Wait()
			n := 0
			for _, h := range held {
				if h {
					n++
				}
			}
			if n != places {
				t.Errorf("%d got one of %d places", n, places)
			}
		})
	}
}

func TestProcessesThatWantTheSameKeysDoNotLockEachOtherOut(t *testing.T) {
	t.Parallel()
	address := testserver.Postgres(t)
	var wg sync.WaitGroup
	for range 4 {
		s := open(t, postgres.Config{URL: address})
		var own sync.WaitGroup
		for range 25 {
			own.Go(func() {
				for range 20 {
					key := fmt.Sprint(rand.IntN(10))
					if _, err := s.Acquire(t.Context(), lock(key, fmt.Sprint(rand.Int()))); err != nil {
						t.Errorf("acquire: %v", err)
					}
					if _, err := s.Reserve(t.Context(), key, limit.Rate{Every: time.Second}, time.Hour); err != nil {
						t.Errorf("reserve: %v", err)
					}
				}
			})
		}
		wg.Go(func() {
			own.Wait()
			if err := s.Close(context.WithoutCancel(t.Context())); err != nil { // the server counts when the connection ends
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var deadlocks int
	err := connect(t, address).QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks)
	if err != nil || deadlocks != 0 {
		t.Errorf("%d deadlocks, %v; want none", deadlocks, err)
	}
}

func TestPlacesOutliveAServerThatIsKilled(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	s := opened(t, postgres.Config{URL: server.URL})
	if g, err := s.Acquire(t.Context(), lock("k", "a")); err != nil || !g.Fresh {
		t.Fatalf("acquire: %+v, %v; want a place", g, err)
	}
	server.Kill()
	if _, err := s.Acquire(t.Context(), lock("k", "b")); !errors.Is(err, limit.ErrUnavailable) {
		t.Errorf("acquire without a server: %v, want ErrUnavailable", err)
	}
	server.Start()
	deadline := time.After(time.Minute)
	for {
		g, err := s.Acquire(t.Context(), lock("k", "b"))
		if err == nil {
			if g.Held || g.Holder != "a" {
				t.Errorf("b got %+v, want none: a holds the place", g)
			}
			return
		}
		select {
		case <-deadline:
			t.Fatalf("acquire after the server came back: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestErrorsSayWhatToDoWithoutThePassword(t *testing.T) {
	t.Parallel()
	address := testserver.Postgres(t)
	change := func(change func(*url.URL)) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal("the test's URL is none")
		}
		change(u)
		return u.String()
	}
	for what, c := range map[string]struct {
		url  string
		want error
	}{
		"no such database": {change(func(u *url.URL) { u.Path = "/no_such_database" }), limit.ErrAccess},
		"a wrong user":     {change(func(u *url.URL) { u.User = url.UserPassword("nobody", "wrong-secret") }), limit.ErrAccess},
		"no server":        {"postgres://u:wrong-secret@127.0.0.1:1/x", limit.ErrUnavailable},
	} {
		s := opened(t, postgres.Config{URL: c.url})
		if _, err := s.Acquire(t.Context(), lock("k", "a")); !errors.Is(err, c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %v without the password", what, err, c.want)
		}
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://u:wrong-secret@h:port/x"}); !errors.Is(err, limit.ErrAccess) ||
		strings.Contains(err.Error(), "secret") {
		t.Errorf("open with a bad URL: %v, want ErrAccess without the password", err)
	}
}

func TestAUserWithoutRightsIsToldWhatToGrant(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	c := connect(t, server.URL)
	exec(t, c, "CREATE ROLE guest LOGIN PASSWORD 's3cret'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal("the test's URL is none")
	}
	u.User = url.UserPassword("guest", "s3cret")
	guest := opened(t, postgres.Config{URL: u.String()})
	refused := func(when string) {
		t.Helper()
		_, err := guest.Acquire(t.Context(), lock("k", "a"))
		if !errors.Is(err, limit.ErrAccess) || !strings.Contains(err.Error(), "grant this one") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want ErrAccess with what to grant", when, err)
		}
	}
	refused("without tables")
	if _, err := opened(t, postgres.Config{URL: server.URL}).Acquire(t.Context(), lock("other", "a")); err != nil {
		t.Fatal(err)
	}
	refused("without rights")
	exec(t, c, `GRANT SELECT, INSERT, UPDATE, DELETE ON taskq_limit_places, taskq_limit_turns TO guest; GRANT SELECT ON taskq_limit_version TO guest`)
	if g, err := guest.Acquire(t.Context(), lock("k", "a")); err != nil || !g.Fresh {
		t.Errorf("with what was to be granted: %+v, %v; want a place", g, err)
	}
}

func BenchmarkStore(b *testing.B) {
	limittest.Benchmark(b, opened(b, postgres.Config{URL: testserver.Postgres(b)}))
}
