package outbox_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/outbox"
)

// publisher is a broker whose PublishBatch is another one.
type publisher struct {
	broker.Broker
	publish func(ctx context.Context, to broker.BatchPublisher, batch []broker.Posting) []error
}

// PublishBatch implements broker.BatchPublisher.
func (p publisher) PublishBatch(ctx context.Context, batch []broker.Posting) []error {
	return p.publish(ctx, p.Broker.(broker.BatchPublisher), batch)
}

// terminateLeader ends the connection of the relay that leads, and reports whether there was one.
const terminateLeader = `SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_locks JOIN pg_stat_activity USING (pid)
	WHERE locktype = 'advisory' AND granted AND datname = current_database()`

func TestWhatWasConfirmedAndNotDeletedComesAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	const n = 700 // two batches
	entries := make([]outbox.Entry, n)
	for i := range entries {
		entries[i] = entry(fmt.Sprintf("0 %06d", i))
	}
	insert(t, pool, entries...)
	var cut sync.Once
	relay(t, cfg, publisher{b, func(ctx context.Context, to broker.BatchPublisher, batch []broker.Posting) []error {
		errs := to.PublishBatch(ctx, batch)
		cut.Do(func() {
			if !query[bool](t, pool, terminateLeader) {
				t.Error("nobody leads")
			}
			<-ctx.Done() // it is known here before anything is deleted
		})
		return errs
	}})
	inOrder(t, got.await(n))
	empty(t, pool)
	if order, twice := got.seen(); len(order) != n || twice != 500 {
		t.Errorf("%d messages came, %d of them twice; want %d and 500", len(order), twice, n)
	}
}

func TestARelayThatHasLostItsConnectionStopsPublishing(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	hanging, stopped := make(chan struct{}), make(chan struct{})
	var first sync.Once
	relay(t, cfg, publisher{b, func(ctx context.Context, to broker.BatchPublisher, batch []broker.Posting) []error {
		first.Do(func() {
			close(hanging)
			<-ctx.Done() // as a broker that is blocked
			close(stopped)
		})
		if ctx.Err() == nil {
			return to.PublishBatch(ctx, batch)
		}
		errs := make([]error, len(batch))
		for i := range errs {
			errs[i] = fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
		}
		return errs
	}})
	insert(t, pool, entry("0 1"), entry("0 2"))
	<-hanging
	relay(t, cfg, b)
	if !query[bool](t, pool, terminateLeader) {
		t.Error("nobody leads")
	}
	<-stopped
	inOrder(t, got.await(2))
	got.once(pool)
}
