package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/outbox"
)

// send puts n messages into the outbox as so many senders at once, each in transactions of its own of one to three messages.
// Ids are "<sender> <number>".
func send(t *testing.T, pool *pgxpool.Pool, senders, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := 0; i < n/senders; {
				size := min(1+i%3, n/senders-i)
				entries := make([]outbox.Entry, size)
				for k := range entries {
					entries[k] = entry(fmt.Sprintf("%d %06d", s, i+k))
				}
				if err := outbox.Insert(t.Context(), pool, outbox.Table{}, entries...); err != nil {
					t.Error(err)
					return
				}
				i += size
			}
		})
	}
	wg.Wait()
}

// inOrder fails the test when messages of one sender came in another order than they were sent in.
func inOrder(t *testing.T, order []string) {
	t.Helper()
	last := map[string]string{}
	for _, id := range order {
		sender, number, _ := strings.Cut(id, " ")
		if number < last[sender] {
			t.Fatalf("sender %s: %s came after %s", sender, number, last[sender])
		}
		last[sender] = number
	}
}

func TestEachRowIsSentOnceAndInOrderWhileTwoRelaysRun(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	url := testserver.AMQPVhost(t)
	pool := connect(t, cfg.URL)
	got := receive(t, rabbit(t, url), queueName)
	relay(t, cfg, rabbit(t, url))
	relay(t, cfg, rabbit(t, url))
	const n = 20_000
	send(t, pool, 8, n)
	order := got.await(n)
	inOrder(t, order)
	got.once(pool)
}

func TestARelayThatIsStoppedLeavesNothingBetween(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	url := testserver.AMQPVhost(t)
	pool := connect(t, cfg.URL)
	got := receive(t, rabbit(t, url), queueName)
	const n = 6_000
	send(t, pool, 1, n)
	for stopped := 0; stopped < n; stopped += 1_000 {
		stop := relay(t, cfg, rabbit(t, url))
		got.await(min(n, stopped+1))
		stop()
	}
	relay(t, cfg, rabbit(t, url))
	inOrder(t, got.await(n))
	got.once(pool)
}

func TestAnotherRelayTakesOverFromOneWhoseConnectionEnds(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	url := testserver.AMQPVhost(t)
	pool := connect(t, cfg.URL)
	got := receive(t, rabbit(t, url), queueName)
	relay(t, cfg, rabbit(t, url))
	relay(t, cfg, rabbit(t, url))
	const n = 4_000
	var sending sync.WaitGroup
	sending.Go(func() { send(t, pool, 4, n) })
	for i := range 3 {
		got.await(n / 8 * (i + 1))
		eventually(t, "there is a leader to terminate", func() bool { return query[bool](t, pool, terminateLeader) })
	}
	sending.Wait()
	got.await(n)
	empty(t, pool)
	if _, twice := got.seen(); twice > 3*500 {
		t.Errorf("%d messages came twice, want no more than were on their way", twice)
	}
}

func TestNothingIsLostWhenTheRelayIsKilled(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	url := testserver.AMQPVhost(t)
	pool := connect(t, cfg.URL)
	got := receive(t, rabbit(t, url), queueName)
	const n = 20_000
	send(t, pool, 4, n)
	for i := range 4 {
		kill := startRelay(t, cfg.URL, url)
		got.await(n / 5 * (i + 1))
		kill()
	}
	startRelay(t, cfg.URL, url)
	got.await(n)
	empty(t, pool)
	if order, twice := got.seen(); twice > 4*500 || len(order) != n { // ids are all that there is: a duplicate has the id of its first
		t.Errorf("%d messages came twice, of %d that came, want %d", twice, len(order), n)
	}
}

func TestNothingIsLostWhenPostgresAndRabbitMQAreKilled(t *testing.T) {
	t.Parallel()
	database, server := testserver.StartPostgres(t), testserver.StartRabbitMQ(t)
	cfg := outbox.Config{URL: database.URL}
	opened(t, cfg)
	pool := connect(t, cfg.URL)
	got := receive(t, rabbit(t, server.URL), queueName)
	relay(t, cfg, rabbit(t, server.URL))
	relay(t, cfg, rabbit(t, server.URL))
	const n = 8_000
	sent := make([]outbox.Entry, n)
	for i := range sent {
		sent[i] = entry(fmt.Sprintf("0 %06d", i))
	}
	insert(t, pool, sent...)
	got.await(n / 8)
	server.Restart()
	got.await(n / 4)
	database.Restart()
	got.await(n / 2)
	server.Kill()
	database.Restart()
	server.Start()
	got.await(n)
	eventually(t, "the outbox is empty", func() bool {
		var left int
		return pool.QueryRow(t.Context(), "SELECT count(*) FROM taskq_outbox").Scan(&left) == nil && left == 0
	})
}

func TestWhatTheBrokerRefusesDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	store := opened(t, cfg)
	pool, b := connect(t, cfg.URL), rabbit(t, testserver.AMQPVhost(t))
	got := receive(t, b, queueName)
	lost, damaged, huge := entry("no exchange"), entry("damaged"), entry("huge headers")
	lost.Queue, lost.To.Exchange = "", "nowhere"
	huge.Message.Headers["h"] = strings.Repeat("x", 200_000)
	for i, e := range []outbox.Entry{lost, damaged, huge} {
		insert(t, pool, entry(fmt.Sprint("0 ", 2*i)), e, entry(fmt.Sprint("0 ", 2*i+1)))
	}
	if _, err := pool.Exec(t.Context(), "UPDATE taskq_outbox SET properties = 'x' WHERE task_id = 'damaged'"); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	stop := relay(t, cfg, b)
	inOrder(t, got.await(6))
	var failed map[string]outbox.Row
	eventually(t, "three rows have failed", func() bool {
		failed = map[string]outbox.Row{}
		err := store.List(t.Context(), true, func(r outbox.Row) bool { failed[r.TaskID] = r; return true })
		return err == nil && len(failed) == 3
	})
	for id, why := range map[string]string{"no exchange": "nowhere", "damaged": "damaged record", "huge headers": "headers"} {
		if r := failed[id]; !strings.Contains(r.Error, why) || r.Attempts < 1 || !r.NotBefore.After(r.Created) {
			t.Errorf("%s: %+v", id, r)
		}
	}
	if n, err := store.Delete(t.Context(), failed["damaged"].ID, failed["huge headers"].ID); n != 2 || err != nil {
		t.Errorf("%d rows deleted, %v", n, err)
	}
	topology := broker.Topology{
		Exchanges: []broker.Exchange{{Name: "nowhere", Kind: broker.Fanout}},
		Bindings:  []broker.Binding{{Exchange: "nowhere", Queue: queueName}},
	}
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	if n, err := store.Retry(t.Context(), failed["no exchange"].ID); n != 1 && err != nil {
		t.Errorf("%d rows to be tried again, %v", n, err)
	}
	got.await(7)
	got.once(pool)
	stop()
	if n := strings.Count(log.String(), "a call in the outbox was refused"); n != 3 {
		t.Errorf("%d refusals were logged, want each of the three once:\n%s", n, &log)
	}
}

func TestAQueueThatWasDeletedIsDeclaredAgain(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), rabbit(t, testserver.AMQPVhost(t))
	relay(t, cfg, b)
	for i := range 2 {
		insert(t, pool, entry(fmt.Sprint(i)))
		empty(t, pool)
		if stats, err := b.Measure(t.Context(), queueName); err != nil || stats.Messages != 1 {
			t.Fatalf("the queue has %+v, %v", stats, err)
		}
		if err := b.DeleteQueue(t.Context(), queueName); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhileTheBrokerTakesNothingNothingIsLostAndNoTransactionIsOpen(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool := connect(t, cfg.URL)
	got := receive(t, rabbit(t, server.URL), queueName)
	stop := relay(t, cfg, rabbit(t, server.URL))
	insert(t, pool, entry("before"))
	got.await(1)
	empty(t, pool)
	server.Eval(`rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})`)
	insert(t, pool, entry("during"), entry("during too"))
	eventually(t, "the relay waits with an idle connection", func() bool {
		return query[bool](t, pool, `SELECT count(*) = 1 FROM pg_locks JOIN pg_stat_activity a USING (pid) WHERE locktype = 'advisory'
			AND datname = current_database() AND state = 'idle' AND state_change < clock_timestamp() - interval '1 second'`)
	})
	stop() // it has stopGrace, and gives up
	if order, _ := got.seen(); len(order) != 1 {
		t.Errorf("%v came during the alarm", order)
	}
	relay(t, cfg, rabbit(t, server.URL))
	server.Eval(`rabbit_alarm:clear_alarm({resource_limit, memory, node()})`)
	if order := got.await(3); !reflect.DeepEqual(order, []string{"before", "during", "during too"}) {
		t.Errorf("what came was %v", order)
	}
	empty(t, pool)
}

func TestARelayMakesTheTableThatIsMissing(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	relay(t, cfg, b)
	eventually(t, "there is a table", func() bool { return query[bool](t, pool, "SELECT to_regclass('taskq_outbox') IS NOT NULL") })
	insert(t, pool, entry("1"))
	got.await(1)
}

func TestARelayWhoseBrokerIsClosedEnds(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t), Logger: quiet()}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	insert(t, pool, entry("1"))
	r, err := outbox.NewRelay(outbox.RelayConfig{Config: cfg, Broker: b})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Run(ctx); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("err = %v, want ErrClosed", err)
	}
	if n := query[int](t, pool, "SELECT count(*) FROM taskq_outbox"); n != 1 {
		t.Errorf("%d rows, want the one that was not sent", n)
	}
}

func TestLargeBodiesAreReadAFewAtATime(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	for i := range 5 {
		e := entry(fmt.Sprint("0 ", i))
		e.Message.Body = make([]byte, 9<<20)
		insert(t, pool, e)
	}
	relay(t, cfg, publisher{b, func(ctx context.Context, to broker.BatchPublisher, batch []broker.Posting) []error {
		if len(batch) > 2 {
			t.Errorf("%d bodies of 9 MB are in memory at once", len(batch))
		}
		return to.PublishBatch(ctx, batch)
	}})
	inOrder(t, got.await(5))
	got.once(pool)
}
