package outbox_test

import (
	"database/sql"
	"errors"
	"math"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver of database/sql

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/outbox"
)

func TestAMessageIsSentOnceItsTransactionIsCommittedAndNeverWhenItIsRolledBack(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	relay(t, cfg, b)
	open, doomed := begin(t, pool), begin(t, pool)
	insert(t, open, entry("committed"))
	insert(t, doomed, entry("rolled back"))
	insert(t, pool, entry("at once"))
	if order := got.await(1); order[0] != "at once" {
		t.Errorf("%s came before its transaction was committed", order[0])
	}
	if err := doomed.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(t, open)
	insert(t, pool, entry("last"))
	if order := got.await(3); !reflect.DeepEqual(order, []string{"at once", "committed", "last"}) {
		t.Errorf("what came was %v", order)
	}
	got.once(pool)
}

func TestEveryPropertyAndHeaderOfAMessageSurvives(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), rabbit(t, testserver.AMQPVhost(t))
	got := receive(t, b, queueName)
	want := broker.Message{
		ContentType: "application/x-python-serialize", ContentEncoding: "binary",
		Headers: broker.Table{
			"nil": nil, "true": true, "false": false, "text": "ü\x00", "bytes": []byte{0, 255}, "int": int32(-7), "long": int64(1) << 60,
			"float": -1.5, "time": time.Unix(1_700_000_000, 0).UTC(), "list": []any{int32(1), "x", []any{}, nil},
			"table": broker.Table{"deep": broker.Table{"er": []any{broker.Table{"a": int32(1)}}}}, "": "no name",
		},
		Transient: true, Priority: 9, CorrelationID: "all", ReplyTo: "answers", Expiration: 123456 * time.Millisecond,
		MessageID: "m", Timestamp: time.Unix(1_600_000_000, 0).UTC(), Type: "t", AppID: "a", Body: []byte{0, 1, 2, 0xff},
	}
	insert(t, pool, outbox.Entry{TaskID: "all", Queue: queueName, Posting: broker.Posting{To: broker.Address{RoutingKey: queueName}, Message: want}})
	bare := broker.Message{CorrelationID: "bare"}
	insert(t, pool, entry("batched"), outbox.Entry{Queue: queueName, Posting: broker.Posting{To: broker.Address{RoutingKey: queueName}, Message: bare}})
	stop := relay(t, cfg, b)
	got.await(3)
	stop()
	got.mu.Lock()
	defer got.mu.Unlock()
	if last := got.last.Message; last.CorrelationID != "bare" || len(last.Body) > 0 || len(last.Headers) > 0 {
		t.Errorf("the bare message is %+v", last)
	}
	all := got.messages["all"]
	if all.Timestamp = all.Timestamp.UTC(); !reflect.DeepEqual(all, want) {
		t.Errorf("got  %+v\nwant %+v", all, want)
	}
}

func TestWhatCanNeverBeSentLeavesTheTransactionAlone(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool := connect(t, cfg.URL)
	tx := begin(t, pool)
	for what, spoil := range map[string]func(*outbox.Entry){
		"a negative long":    func(e *outbox.Entry) { e.Message.Headers["n"] = int64(-1) },
		"no number":          func(e *outbox.Entry) { e.Message.Headers["n"] = math.NaN() },
		"a struct":           func(e *outbox.Entry) { e.Message.Headers["n"] = struct{}{} },
		"a long routing key": func(e *outbox.Entry) { e.To.RoutingKey = strings.Repeat("k", 256) },
		"a NUL":              func(e *outbox.Entry) { e.Task = "a\x00b" },
		"no UTF-8":           func(e *outbox.Entry) { e.TaskID = "\xff" },
		"a time before 1970": func(e *outbox.Entry) { e.Message.Headers["t"] = time.Time{} },
	} {
		e := entry("1")
		spoil(&e)
		if err := outbox.Insert(t.Context(), tx, outbox.Table{}, entry("0"), e); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: err = %v, want ErrInvalid", what, err)
		}
	}
	if err := outbox.Insert(t.Context(), tx, outbox.Table{Name: "a.b"}, entry("1")); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("err = %v, want ErrInvalid", err)
	}
	insert(t, tx, entry("good"))
	commit(t, tx)
	if n := query[int](t, pool, "SELECT count(*) FROM taskq_outbox"); n != 1 {
		t.Errorf("%d rows, want the good one alone", n)
	}
}

func TestWhoFindsNoTableIsToldHowItIsMade(t *testing.T) {
	t.Parallel()
	pool := connect(t, testserver.Postgres(t))
	err := outbox.Insert(t.Context(), pool, outbox.Table{}, entry("1"))
	if !errors.Is(err, outbox.ErrNoTable) || !strings.Contains(err.Error(), `run "taskq outbox migrate"`) || !strings.Contains(err.Error(), "taskq_outbox") {
		t.Errorf("err = %v", err)
	}
}

func TestTheTableIsMadeOnceInTheSchemaThatIsAskedFor(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	pool := connect(t, database)
	if _, err := pool.Exec(t.Context(), "CREATE SCHEMA found"); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := url.Parse(database)
	if err != nil {
		t.Fatal("no URL")
	}
	elsewhere.RawQuery = url.Values{"search_path": {"found"}}.Encode()
	for _, c := range []struct {
		cfg  outbox.Config
		want string
	}{
		{outbox.Config{URL: database}, "taskq_outbox"},
		{outbox.Config{URL: database, Table: outbox.Table{Schema: "Own Schema", Name: `select`}}, `"Own Schema"."select"`},
		{outbox.Config{URL: elsewhere.String()}, "found.taskq_outbox"},
	} {
		var wg sync.WaitGroup
		for range 8 {
			store := opened(t, c.cfg)
			wg.Go(func() {
				if err := store.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if !query[bool](t, pool, "SELECT to_regclass($1) IS NOT NULL", c.want) {
			t.Errorf("there is no table %s", c.want)
		}
		store := opened(t, c.cfg)
		if err := store.Insert(t.Context(), entry("1")); err != nil {
			t.Error(err)
		}
		b := memory(t)
		got := receive(t, b, queueName)
		relay(t, c.cfg, b)
		got.await(1)
	}
}

func TestATransactionOfDatabaseSQLWillDo(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	db, err := sql.Open("pgx", cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	relay(t, cfg, b)
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		insert(t, outbox.SQL(tx), entry("1"))
		insert(t, outbox.SQL(tx), entry("2"), entry("3"))
		if err := end(tx); err != nil {
			t.Fatal(err)
		}
	}
	if order := got.await(3); !reflect.DeepEqual(order, []string{"1", "2", "3"}) {
		t.Errorf("what came was %v", order)
	}
	got.once(pool)
}

func TestRowsThatAreCommittedLateAreFoundAllTheSame(t *testing.T) {
	t.Parallel()
	cfg := outbox.Config{URL: testserver.Postgres(t)}
	opened(t, cfg)
	pool, b := connect(t, cfg.URL), memory(t)
	got := receive(t, b, queueName)
	relay(t, cfg, b)
	late := begin(t, pool)
	insert(t, late, entry("low id"))
	for range 3 {
		insert(t, pool, entry("high id"))
		got.await(1)
	}
	if order, _ := got.seen(); !reflect.DeepEqual(order, []string{"high id"}) {
		t.Errorf("what came was %v", order)
	}
	commit(t, late)
	if order := got.await(2); order[1] != "low id" {
		t.Errorf("what came was %v", order)
	}
}

var _ outbox.Tx = pgx.Tx(nil)
