package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/brokertest"
	"github.com/seed-399731e2/taskq/broker/sqlite"
)

// open opens the broker in the file, with a handle of its own, as another process would.
func open(t testing.TB, path string) *sqlite.Broker {
	t.Helper()
	b, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return b
}

func TestPassesTheBrokerSuite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "taskq.db")
	brokertest.Run(t, brokertest.Harness{Open: func(t *testing.T) broker.Broker {
		t.Helper()
		return open(t, path)
	}})
}
