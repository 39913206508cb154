package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
)

// Others may declare a session dead right after it has renewed its lease late: its queues are there all the same.
func TestASessionThatIsDeclaredDeadHasNotLostItsQueues(t *testing.T) {
	t.Parallel()
	b, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "taskq.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.WithoutCancel(t.Context())) }()
	if err := b.Declare(t.Context(), broker.Topology{Queues: []broker.Queue{{Name: "work"}}}); err != nil {
		t.Fatal(err)
	}
	opened, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{"work"}, Prefetch: 1})
	if err != nil {
		t.Fatal(err)
	}
	session := b.ownerID()
	if err := b.db.Write(t.Context(), func(tx *sqlitedb.Tx) error { return bury(tx, session) }); err != nil {
		t.Fatal(err)
	}
	if err := (&keeper{Broker: b}).dropDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := opened.(*Consumer); c.ended != nil {
		t.Errorf("the consumer has ended: %v", c.ended)
	}
}
