package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/brokertest"
	"github.com/seed-399731e2/taskq/broker/sqlite"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
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

// TestSettlesOnlyWhatItStillHolds has another owner take the message away, as one does whose lease check was faster.
func TestSettlesOnlyWhatItStillHolds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "taskq.db")
	b := open(t, path)
	closeLater(t, b)
	declareWork(t, b)
	db, err := sqlitedb.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{queueName}, Prefetch: 5})
	if err != nil {
		t.Fatal(err)
	}
	for i, how := range []broker.Disposition{broker.Ack, broker.Requeue, broker.Reject} {
		publish(t, b, how.String())
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		d, err := c.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		const other = 1000
		if _, err := db.SQL().ExecContext(ctx, "UPDATE broker_messages SET lease = ?, deliveries = 2 WHERE lease < ?", other, other); err != nil {
			t.Fatal(err)
		}
		if err := d.Settle(ctx, how); !errors.Is(err, broker.ErrStale) {
			t.Errorf("%s: error = %v, want ErrStale", how, err)
		}
		var kept int
		if err := db.SQL().QueryRowContext(ctx, "SELECT count(*) FROM broker_messages WHERE lease = ?", other).Scan(&kept); err != nil || kept != i+1 {
			t.Errorf("%s: the other one holds %d messages, %v, want %d", how, kept, err, i+1)
		}
		cancel()
	}
}

// TestAMessageStandsWhereItBecameDue has messages become due while nobody looks: one that waited long does not overtake those
// that were ready before it.
func TestAMessageStandsWhereItBecameDue(t *testing.T) {
	t.Parallel()
	b := open(t, filepath.Join(t.TempDir(), "taskq.db"))
	closeLater(t, b)
	declareWork(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, m := range []struct {
		body  string
		delay time.Duration
	}{{"late", time.Second}, {"soon", time.Millisecond}} {
		to, msg := broker.Address{RoutingKey: queueName}, broker.Message{Body: []byte(m.body)}
		if err := b.PublishDelayed(ctx, to, msg, m.delay); err != nil {
			t.Fatal(err)
		}
	}
	for ready := 0; ready < 2; {
		stats, err := b.Measure(ctx, queueName)
		if err != nil {
			t.Fatal(err)
		}
		ready = stats.Messages
	}
	c, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{queueName}, Prefetch: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"soon", "late"} {
		d, err := c.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if string(d.Body) != want {
			t.Errorf("came %s, want %s", d.Body, want)
		}
	}
}

func TestDeletedQueueEndsItsConsumer(t *testing.T) {
	t.Parallel()
	b, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "taskq.db"), Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, b)
	declareWork(t, b)
	c, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{queueName}, Prefetch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteQueue(t.Context(), queueName); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := c.Next(ctx); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("next = %v, want ErrNoQueue", err)
	}
}

func TestLeavesNoFilesBesideTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, filepath.Join(dir, "taskq.db"))
	declareWork(t, b)
	if _, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{queueName}, Prefetch: 1}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v, want the store alone", left, err)
	}
}
