package outbox_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/outbox"
)

// notes is a log that may be read while it is written.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) has(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Contains(n.b.String(), text)
}

// with adds a parameter to the URL of a database.
func with(t testing.TB, database, parameter, value string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal("no URL")
	}
	query := u.Query()
	query.Set(parameter, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// A relay that could publish and not delete would publish the same again and again.
func TestARelayThatCannotDeleteSendsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ setup, parameter, value, why string }{
		"may only read":       {"GRANT SELECT, UPDATE ON taskq_outbox TO {role}", "role", "{role}", "grant INSERT on "},
		"may not change":      {"GRANT SELECT, DELETE ON taskq_outbox TO {role}", "role", "{role}", "grant INSERT on "},
		"database only reads": {"", "default_transaction_read_only", "on", "it only reads"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := testserver.Postgres(t)
			opened(t, outbox.Config{URL: database})
			pool, b := connect(t, database), memory(t)
			role := query[string](t, pool, "SELECT 'relay_of_' || current_database()")
			for _, statement := range []string{"CREATE ROLE " + role, c.setup} {
				if _, err := pool.Exec(t.Context(), strings.ReplaceAll(statement, "{role}", role)); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() {
				for _, statement := range []string{"DROP OWNED BY ", "DROP ROLE "} {
					if _, err := pool.Exec(context.WithoutCancel(t.Context()), statement+role); err != nil {
						t.Error(err)
					}
				}
			})
			got := receive(t, b, queueName)
			insert(t, pool, entry("1"))
			log := &notes{}
			cfg := outbox.Config{URL: with(t, database, c.parameter, strings.ReplaceAll(c.value, "{role}", role)), Logger: slog.New(slog.NewTextHandler(log, nil))}
			stop := relay(t, cfg, b)
			eventually(t, "the relay says why it does not work", func() bool { return log.has(c.why) })
			stop()
			if order, _ := got.seen(); len(order) > 0 {
				t.Errorf("%v was sent, and could not be deleted", order)
			}
			relay(t, outbox.Config{URL: database}, b) // the lock is free
			got.await(1)
			got.once(pool)
		})
	}
}

func TestTheSizeOfAPoolMayStandInTheURLOfARelay(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: with(t, testserver.Postgres(t), "pool_max_conns", "2")}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	insert(t, pool, entry("1"))
	relay(t, cfg, b)
	got.await(1)
}
