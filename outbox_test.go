package taskq_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/outbox"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// database returns an empty one with an outbox, and connections to it.
func database(t *testing.T) (outbox.Config, *pgxpool.Pool) {
	t.Helper()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	store, err := outbox.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.Migrate(t.Context()), store.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return cfg, pool
}

// rows returns the ids of the tasks in the outbox.
func rows(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	found, err := pool.Query(t.Context(), "SELECT task_id FROM taskq_outbox ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// emptied waits until nothing is left in the outbox: a task may be done before its row is deleted.
func emptied(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(time.Minute); len(rows(t, pool)) > 0; {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%v are left in the outbox", rows(t, pool))
		}
	}
}

var errRollback = errors.New("roll it back")

func TestACallInATransactionRunsOnceThatIsCommitted(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"RabbitMQ": testserver.AMQPVhost(t), "memory": "memory://", "embedded": "sqlite://" + filepath.Join(t.TempDir(), "taskq.db"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, pool := database(t)
			var mu sync.Mutex
			var ran []int
			note := task.New("note", func(_ context.Context, p pair) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				ran = append(ran, p.X)
				return p.X + p.Y, nil
			})
			app := newApp(t, taskq.Config{BrokerURL: url, Outbox: cfg, Worker: worker.Options{Concurrency: 1}}, note)
			work(t, app)
			send := func(x int, end error) (sent *task.Result[int]) {
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) (err error) {
					if sent, err = note.Send(t.Context(), app.Tx(tx), pair{x, 40}); err != nil {
						return err
					}
					return end
				})
				if !errors.Is(err, end) {
					t.Fatal(err)
				}
				return sent
			}
			send(1, errRollback)
			sent := send(2, nil)
			if sum, err := sent.Get(t.Context()); err != nil || sum != 42 {
				t.Errorf("sum = %d, %v; want 42", sum, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(ran, []int{2}) {
				t.Errorf("ran %v, want the committed one alone", ran)
			}
			emptied(t, pool)
		})
	}
}

func TestACallThatCannotBeSentLeavesItsTransactionAlone(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	app := newApp(t, taskq.Config{ResultBackend: "disabled://"}, add())
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]task.Signature{
		"no task":           {},
		"negative":          add().S(pair{}, task.Countdown(-1)),
		"no JSON":           {Task: "x", Args: []any{make(chan int)}},
		"unknown codec":     add().S(pair{}, task.Serializer("yaml")),
		"unfitting header":  add().S(pair{}, task.Header("h", struct{}{})),
		"long routing key":  add().S(pair{}, task.Queue(strings.Repeat("q", 256))),
		"queue without end": add().S(pair{}, task.Queue("a\x00b")),
	} {
		if _, err := app.SendTx(t.Context(), tx, s); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: err = %v, want ErrInvalid", name, err)
		}
	}
	_, err = app.SendBatchTx(t.Context(), tx, []task.Signature{add().S(pair{1, 2}), {}, add().S(pair{3, 4})})
	if failed, ok := errors.AsType[*task.BatchError](err); !ok || failed.Errors[0] != nil || failed.Errors[1] == nil {
		t.Errorf("err = %v, want one of the second call", err)
	}
	results, err := app.SendBatchTx(t.Context(), tx, []task.Signature{add().S(pair{1, 2}), add().S(pair{3, 4})})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, pool); !slices.Equal(got, []string{results[0].ID(), results[1].ID()}) {
		t.Errorf("%v are in the outbox, want %s and %s", got, results[0].ID(), results[1].ID())
	}
}

func TestACallInATransactionNeedsNoBroker(t *testing.T) {
	t.Parallel()
	cfg, pool := database(t)
	for backend, want := range map[string]error{"rpc://": broker.ErrUnavailable, "disabled://": task.ErrNoResults} {
		app := newApp(t, taskq.Config{BrokerURL: "amqp://guest:s3cret@127.0.0.1:1//", ResultBackend: backend, Outbox: cfg}, add())
		sent, err := add().Send(t.Context(), app.Tx(pool), pair{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sent.Get(t.Context()); !errors.Is(err, want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: err = %v, want %v", backend, err, want)
		}
		if got := rows(t, pool); !slices.Contains(got, sent.ID()) {
			t.Errorf("%s: %v are in the outbox, want %s", backend, got, sent.ID())
		}
	}
}

func TestATransactionThatIsRolledBackKeepsNoUniqueCallFromBeingSent(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	once := task.New("once", func(context.Context, struct{}) (int, error) { return 1, nil }, task.Unique(task.PerTask(), time.Hour, task.Both))
	app := newApp(t, taskq.Config{}, once)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := once.Send(t.Context(), app.Tx(tx), struct{}{}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := once.Send(t.Context(), app, struct{}{}); err != nil {
		t.Errorf("it is taken for a duplicate of a call that was never sent: %v", err)
	}
}

func TestTheAnswerToACallInATransactionIsKeptInAnyStore(t *testing.T) {
	t.Parallel()
	cfg, pool := database(t)
	app := newApp(t, taskq.Config{BrokerURL: testserver.AMQPVhost(t), ResultBackend: cfg.URL, Outbox: cfg}, add())
	sent, err := add().Send(t.Context(), app.Tx(pool), pair{1, 2}, task.Serializer("msgpack"), task.ID("the id"))
	if err != nil {
		t.Fatal(err)
	}
	work(t, newApp(t, taskq.Config{BrokerURL: app.Config().BrokerURL, ResultBackend: cfg.URL, Outbox: cfg, Accept: []string{"msgpack"}}, add()))
	if sum, err := sent.Get(t.Context()); err != nil || sum != 3 || sent.ID() != "the id" {
		t.Errorf("%s: sum = %d, %v", sent.ID(), sum, err)
	}
}

func TestCallsOfATasksTransactionAreItsChildren(t *testing.T) {
	t.Parallel()
	cfg, pool := database(t)
	var app *taskq.App
	child := task.New("child", func(ctx context.Context, _ struct{}) (string, error) { return task.FromContext(ctx).ParentID, nil })
	parent := task.New("parent", func(ctx context.Context, _ struct{}) (string, error) {
		sent, err := child.Send(ctx, app.Tx(pool), struct{}{})
		if err != nil {
			return "", err
		}
		return sent.ID(), nil
	})
	app = newApp(t, taskq.Config{BrokerURL: "memory://", Outbox: cfg}, parent, child)
	work(t, app)
	sent, err := parent.Send(t.Context(), app, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := sent.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if from, err := taskq.ResultOf[string](app, id).Get(t.Context()); err != nil || from != sent.ID() {
		t.Errorf("the parent is %q, %v; want %s", from, err, sent.ID())
	}
	children, err := sent.Children(t.Context())
	if err != nil || len(children) != 1 || children[0].ID() != id {
		t.Errorf("the children are %v, %v; want %s", children, err, id)
	}
}

func TestADelayedCallWaitsInTheOutboxForItsTime(t *testing.T) {
	t.Parallel()
	cfg, pool := database(t)
	now := task.New("now", func(context.Context, struct{}) (time.Time, error) { return time.Now(), nil })
	app := newApp(t, taskq.Config{BrokerURL: "memory://", Outbox: cfg, DelayStoreAfter: -1}, now)
	work(t, app)
	const delay = 1500 * time.Millisecond
	for name, sender := range map[string]task.Sender{"in a transaction": app.Tx(pool), "by itself": app} {
		began := time.Now()
		sent, err := now.Send(t.Context(), sender, struct{}{}, task.Countdown(delay))
		if err != nil {
			t.Fatal(err)
		}
		if got := rows(t, pool); !slices.Equal(got, []string{sent.ID()}) {
			t.Errorf("%s: %v wait, want %s", name, got, sent.ID())
		}
		if at, err := sent.Get(t.Context()); err != nil || at.Sub(began) < delay {
			t.Errorf("%s: ran after %s, %v; want %s", name, at.Sub(began), err, delay)
		}
		emptied(t, pool)
	}
	late, err := now.Send(t.Context(), app.Tx(pool), struct{}{}, task.Countdown(delay), task.ExpiresIn(delay/4))
	if err != nil {
		t.Fatal(err)
	}
	if meta, err := late.Wait(t.Context()); err != nil || meta.State != task.Revoked {
		t.Errorf("what expires before it is due ends as %s, %v", meta.State, err)
	}
}

func TestFarCallsWaitInTheOutboxWhereTheyAreTakenBack(t *testing.T) {
	t.Parallel()
	cfg, pool := database(t)
	app := newApp(t, taskq.Config{BrokerURL: testserver.AMQPVhost(t), ResultBackend: "disabled://", Outbox: cfg}, add())
	const day = 24 * time.Hour
	sent := map[time.Duration]string{}
	for _, delay := range []time.Duration{0, day, 13 * day, 15 * day, 400 * day} {
		call, err := add().Send(t.Context(), app, pair{}, task.Countdown(delay))
		if err != nil {
			t.Fatal(err)
		}
		sent[delay] = call.ID()
	}
	results, err := app.SendBatch(t.Context(), []task.Signature{add().S(pair{}, task.Countdown(20*day)), add().S(pair{})})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rows(t, pool), []string{sent[15*day], sent[400*day], results[0].ID()}; !slices.Equal(got, want) {
		t.Errorf("%v wait in the outbox, want %v", got, want)
	}
	store, err := app.Outbox(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, err := store.Unpark(t.Context(), func(p broker.Parked) bool { return p.CorrelationID == sent[400*day] })
	if err != nil || n != 1 {
		t.Errorf("%d taken back, %v", n, err)
	}
	if got := rows(t, pool); len(got) != 2 {
		t.Errorf("%v wait in the outbox, want two", got)
	}
}

func TestARelayElsewhereSendsWhatWorkersLeaveToIt(t *testing.T) {
	t.Parallel()
	cfg, pool := database(t)
	url := testserver.AMQPVhost(t)
	app := newApp(t, taskq.Config{BrokerURL: url, Outbox: cfg, RelayElsewhere: true}, add())
	work(t, app)
	sent, err := add().Send(t.Context(), app.Tx(pool), pair{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	direct, err := add().Send(t.Context(), app, pair{3, 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := direct.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	var relays int // the test's own connections have no name
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'taskq' AND datname = current_database()").Scan(&relays); err != nil || relays > 0 {
		t.Errorf("%d relays are connected, %v", relays, err)
	}
	if got := rows(t, pool); !slices.Equal(got, []string{sent.ID()}) {
		t.Errorf("%v are in the outbox, want %s", got, sent.ID())
	}
	relay, err := newApp(t, taskq.Config{BrokerURL: url, Outbox: cfg}).NewRelay(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	if sum, err := sent.Get(t.Context()); err != nil || sum != 3 {
		t.Errorf("sum = %d, %v", sum, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAnOutboxThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []outbox.Config{
		{URL: "mysql://u:s3cret@host/d"},
		{URL: "postgres://h/d", Table: outbox.Table{Name: "a.b"}},
		{Table: outbox.Table{Schema: `a"b`}},
	} {
		if _, err := taskq.New(taskq.Config{BrokerURL: "memory://", Outbox: cfg}); !errors.Is(err, broker.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v: err = %v, want ErrInvalid", cfg.Table, err)
		}
	}
	app := newApp(t, taskq.Config{})
	if _, err := app.NewRelay(t.Context()); !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), "outbox_url") {
		t.Errorf("err = %v, want it to name the setting", err)
	}
	if store, err := app.Outbox(t.Context()); store != nil || err != nil {
		t.Errorf("an outbox: %v, %v", store, err)
	}
}
