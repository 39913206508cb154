package outbox_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/outbox"
)

func TestDelayedMessagesComeWhenTheyAreDueAndHoldUpNoOthers(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	far := make([]outbox.Entry, 10_000)
	for i := range far {
		far[i] = entry(fmt.Sprint("far ", i))
		far[i].Delay = 30 * 24 * time.Hour
	}
	insert(t, pool, far...)
	soon, sooner := entry("soon"), entry("sooner")
	soon.Delay, sooner.Delay = 2500*time.Millisecond, 2*time.Second
	insert(t, pool, soon, sooner)
	relay(t, cfg, b)
	insert(t, pool, entry("now"))
	if order := got.await(3); !slices.Equal(order, []string{"now", "sooner", "soon"}) {
		t.Errorf("what came was %v", order)
	}
	eventually(t, "the far ones alone are left", func() bool { return query[int](t, pool, "SELECT count(*) FROM taskq_outbox") == len(far) })
}

func TestWhatWaitsForItsTimeIsListedAndTakenBack(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	store := opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	delayed := make([]outbox.Entry, 1200)
	for i := range delayed {
		delayed[i] = entry(fmt.Sprint("later ", i))
		delayed[i].Delay = time.Hour
	}
	insert(t, pool, delayed...)
	soon := entry("soon")
	soon.Delay = 500 * time.Millisecond
	insert(t, pool, soon, entry("now"))
	listed := map[string]time.Time{}
	if err := store.Parked(t.Context(), func(p broker.Parked) bool { listed[p.CorrelationID] = p.Due; return true }); err != nil {
		t.Fatal(err)
	}
	if due := time.Until(listed["later 7"]); len(listed) != len(delayed) || due < 50*time.Minute || due > 70*time.Minute {
		t.Errorf("%d messages are listed, one of them due in %s", len(listed), due)
	}
	n, err := store.Unpark(t.Context(), func(p broker.Parked) bool {
		return p.To.RoutingKey == queueName && p.Headers["id"] != "later 7"
	})
	if err != nil || n != len(delayed)-1 {
		t.Errorf("%d messages taken back, %v", n, err)
	}
	if _, err := pool.Exec(t.Context(), "UPDATE taskq_outbox SET not_before = now() WHERE task_id = 'later 7'"); err != nil {
		t.Fatal(err)
	}
	relay(t, cfg, b)
	got.await(3)
	got.once(pool)
}

// A relay may have read already what is due within a moment.
func TestWhatIsDueInAMomentIsNotTakenBack(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	store, pool := opened(t, cfg), connect(t, cfg.URL)
	e := entry("1")
	e.Delay = time.Hour
	insert(t, pool, e)
	n, err := store.Unpark(t.Context(), func(broker.Parked) bool {
		_, err := pool.Exec(t.Context(), "UPDATE taskq_outbox SET not_before = clock_timestamp()")
		return err == nil
	})
	if n != 0 || err != nil || query[int](t, pool, "SELECT count(*) FROM taskq_outbox") != 1 {
		t.Errorf("%d were taken back, %v, want none", n, err)
	}
}

func TestOfManyThatAreDueTheOldestGoFirst(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	var entries []outbox.Entry
	for i := range 1200 { // more than two batches
		e := entry(fmt.Sprintf("0 %04d", i))
		e.Delay = time.Duration(i+1) * time.Millisecond
		entries = append(entries, e)
	}
	insert(t, pool, entries...)
	eventually(t, "all are due", func() bool { return query[bool](t, pool, "SELECT max(not_before) < now() FROM taskq_outbox") })
	relay(t, cfg, b)
	inOrder(t, got.await(len(entries)))
}
