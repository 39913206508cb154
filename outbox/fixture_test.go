package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/broker/mem"
	"github.com/seed-399731e2/taskq/outbox"
)

// patience bounds each wait for something that must happen.
const patience = time.Minute

const queueName = "work"

func TestMain(m *testing.M) {
	if as := os.Getenv(childEnv); as != "" {
		if err := beRelay(as); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// opened is the outbox of a database, with its table.
func opened(t testing.TB, cfg outbox.Config) *outbox.Store {
	t.Helper()
	cfg.Logger = quiet()
	store, err := outbox.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// connect is the program's own pool of connections.
func connect(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func memory(t testing.TB) broker.Broker { return closed(t, mem.NewServer().Open()) }

func rabbit(t testing.TB, url string) *amqp.Broker {
	t.Helper()
	b, err := amqp.Open(t.Context(), amqp.Config{URL: url, BackoffMin: 5 * time.Millisecond, BackoffMax: 100 * time.Millisecond, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return closed(t, b)
}

func closed[B broker.Broker](t testing.TB, b B) B {
	t.Helper()
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b
}

// relay runs one until the returned function is called, or the test ends.
func relay(t testing.TB, cfg outbox.Config, b broker.Broker) (stop func()) {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	r, err := outbox.NewRelay(outbox.RelayConfig{Config: cfg, Broker: b, Poll: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// entry is a message to the queue.
func entry(id string) outbox.Entry {
	return outbox.Entry{
		TaskID: id, Task: "tasks.add", Queue: queueName,
		Posting: broker.Posting{
			To:      broker.Address{RoutingKey: queueName},
			Message: broker.Message{ContentType: "application/json", CorrelationID: id, Headers: broker.Table{"id": id}, Body: []byte("[[], {}, {}]")},
		},
	}
}

func insert(t testing.TB, tx outbox.Tx, entries ...outbox.Entry) {
	t.Helper()
	if err := outbox.Insert(t.Context(), tx, outbox.Table{}, entries...); err != nil {
		t.Fatal(err)
	}
}

// arrivals counts what comes out of the queue, by correlation id, and keeps the order of the first ones.
type arrivals struct {
	t     testing.TB
	mu    sync.Mutex // guards the fields below
	order []string
	count map[string]int

	messages map[string]broker.Message
	last     *broker.Delivery
}

// receive takes what comes until the test ends.
func receive(t testing.TB, b broker.Broker, queue string) *arrivals {
	t.Helper()
	if err := b.Declare(t.Context(), broker.TaskQueue(broker.Queue{Name: queue})); err != nil {
		t.Fatal(err)
	}
	c, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 1000})
	if err != nil {
		t.Fatal(err)
	}
	a := &arrivals{t: t, count: map[string]int{}, messages: map[string]broker.Message{}}
	ctx := context.WithoutCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			d, err := c.Next(ctx)
			if err != nil {
				return
			}
			a.add(d)
			_ = d.Settle(ctx, broker.Ack) // a stale one comes again, and is marked
		}
	}()
	t.Cleanup(func() {
		_ = c.Close(ctx)
		<-ended
	})
	return a
}

func (a *arrivals) add(d *broker.Delivery) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last, a.messages[d.CorrelationID] = d, d.Message
	if d.Redelivered && a.count[d.CorrelationID] > 0 { // the broker's doing, not the relay's
		return
	}
	if a.count[d.CorrelationID]++; a.count[d.CorrelationID] == 1 {
		a.order = append(a.order, d.CorrelationID)
	}
}

// seen returns the ids in the order of their arrival, each once, and how many messages came more than that.
func (a *arrivals) seen() (order []string, twice int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.count {
		twice += n - 1
	}
	return append([]string(nil), a.order...), twice
}

// await waits until n different messages have come.
func (a *arrivals) await(n int) []string {
	a.t.Helper()
	var order []string
	eventually(a.t, fmt.Sprintf("%d messages arrive", n), func() bool {
		order, _ = a.seen()
		return len(order) >= n
	})
	return order
}

// once fails the test when a message came more than once, or a row is left.
func (a *arrivals) once(pool *pgxpool.Pool) {
	a.t.Helper()
	empty(a.t, pool)
	if order, twice := a.seen(); twice > 0 {
		a.t.Errorf("%d messages of %d came twice", twice, len(order))
	}
}

// empty waits until nothing is left in the outbox.
func empty(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	eventually(t, "the outbox is empty", func() bool { return query[int](t, pool, "SELECT count(*) FROM taskq_outbox") == 0 })
}

// eventually waits until something is true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("it never came to pass that %s", what)
		}
	}
}

// query returns the one value of a row.
func query[T any](t testing.TB, pool *pgxpool.Pool, statement string, args ...any) (value T) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), statement, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

// begin opens a transaction, which ends with the test if not before.
func begin(t testing.TB, pool *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

func commit(t testing.TB, tx pgx.Tx) {
	t.Helper()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}
