package amqp_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/broker/brokertest"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testLog writes the broker's log into the test's.
func testLog(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// config is a configuration for tests: patient with the broker, quick to come back.
func config(t testing.TB, url string) amqp.Config {
	return amqp.Config{URL: url, BackoffMin: 5 * time.Millisecond, BackoffMax: 100 * time.Millisecond, Logger: testLog(t)}
}

// open opens a broker that is closed with the test.
func open(t testing.TB, cfg amqp.Config) *amqp.Broker {
	t.Helper()
	b, err := amqp.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// parse reads the URL of a test server, whose text must not get into a message.
func parse(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal("bad URL of the test server")
	}
	return u
}

func passwordOf(t testing.TB, raw string) string {
	t.Helper()
	password, _ := parse(t, raw).User.Password()
	return password
}

func TestPassesTheBrokerSuite(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	brokertest.Run(t, brokertest.Harness{
		Open: func(t *testing.T) broker.Broker {
			b, err := amqp.Open(t.Context(), config(t, server.URL))
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Restart: func(*testing.T) { server.CloseConnections() },
	})
}
