package docstest_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// What the pages show of Go stands here or in an example, so that it compiles; where a sentence of a page is about what the code
// does, a test beside it does that.

type visit struct {
	Path string `task:"path"`
}

const insert = "INSERT INTO visits (id, path) VALUES ($1, $2) ON CONFLICT DO NOTHING"

func storeTask(url string) *task.Task[visit, string] {
	conns := &pool.Resource[*pgx.Conn]{
		Name:      "visits database",
		Open:      func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, url) },
		Close:     func(ctx context.Context, c *pgx.Conn) error { return c.Close(ctx) },
		Usable:    func(c *pgx.Conn) bool { return !c.IsClosed() && c.PgConn().TxStatus() == 'I' },
		Ping:      func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) },
		PingAfter: time.Minute,
		MaxAge:    time.Hour,
	}
	store := task.New("visits.store", func(ctx context.Context, v visit) (string, error) {
		err := conns.Use(ctx, func(c *pgx.Conn) error {
			_, err := c.Exec(ctx, insert, task.FromContext(ctx).ID, v.Path)
			return err
		})
		return "stored", err
	}, task.Needs(conns))
	return store
}

func TestATaskThatNeedsAResourceBringsIt(t *testing.T) {
	t.Parallel()
	if n := len(storeTask("postgres://localhost/site").Spec().Hooks); n != 1 {
		t.Errorf("the task has %d hooks, want 1", n)
	}
}

type order struct {
	Item  string `task:"item"`
	Count int    `task:"count"`
	Note  string `task:"note,optional"`
	Dry   bool   `task:"dry,optional,keyword"`
}

// orderOnce is for the page about delivery.
func orderOnce(ctx context.Context, conn *pgx.Conn, o order) error {
	id := task.FromContext(ctx).ID
	_, err := conn.Exec(ctx, "INSERT INTO orders (task_id, item) VALUES ($1, $2) ON CONFLICT (task_id) DO NOTHING", id, o.Item)
	return err
}

func TestAnOrderIsPlacedOnce(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testserver.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "CREATE TABLE orders (task_id text PRIMARY KEY, item text NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	ctx := task.WithRequest(t.Context(), &task.Request{ID: "1"})
	for range 2 {
		if err := orderOnce(ctx, conn, order{Item: "tea"}); err != nil {
			t.Fatal(err)
		}
	}
	var rows int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM orders").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows, %v; want 1", rows, err)
	}
}

// recordVisits is for the page about access_record.
func recordVisits(app task.Sender, places accessrecord.Locator) (*accessrecord.Middleware, error) {
	visits, err := accessrecord.NewMiddleware(app, accessrecord.MiddlewareConfig{
		Collect: []accessrecord.CollectOption{
			accessrecord.TrustProxies(accessrecord.XForwardedFor, netip.MustParsePrefix("10.0.0.0/8")),
			accessrecord.Locate(places),
		},
		Skip:   func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/static/") },
		Send:   []task.SendOption{task.Queue("visits")},
		Logger: slog.Default(),
	})
	return visits, err
}

type nowhere struct{}

func (nowhere) Locate(netip.Addr) (accessrecord.Place, bool) { return accessrecord.Place{}, false }

func TestVisitsAreRecordedAsThePageShows(t *testing.T) {
	t.Parallel()
	app, err := taskq.New(taskq.Config{BrokerURL: "memory://"})
	if err != nil {
		t.Fatal(err)
	}
	visits, err := recordVisits(app, nowhere{})
	if err != nil {
		t.Fatal(err)
	}
	site := visits.Wrap(http.NotFoundHandler())
	for _, path := range []string{"/", "/static/logo.png"} {
		site.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, http.NoBody))
	}
	if err := errors.Join(visits.Close(t.Context()), app.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if stats := visits.Stats(); stats.Sent != 1 {
		t.Errorf("stats = %+v, want one visit sent", stats)
	}
}

func TestTheProtocolPageQuotesTheTypeErrors(t *testing.T) {
	t.Parallel()
	page := readPage(t, "docs/protocol.md").text
	place := task.New("order", func(context.Context, order) (string, error) { return "", nil }).Spec().Handler
	one := codec.Raw("1")
	text := codec.Raw(`"tea"`)
	for _, args := range []task.Arguments{
		{Args: []codec.Raw{text}},
		{Args: []codec.Raw{text, one}, Kwargs: map[string]codec.Raw{"item": text}},
		{Args: []codec.Raw{text, one}, Kwargs: map[string]codec.Raw{"colour": text}},
	} {
		_, err := place.Handle(t.Context(), &task.Request{Name: "order", Arguments: args})
		if err == nil || !strings.Contains(page, "`"+err.Error()+"`") {
			t.Errorf("docs/protocol.md does not quote %v", err)
		}
	}
}

func workThrough(ctx context.Context, rows []int, work func(int) int) (done int, err error) {
	for _, row := range rows {
		if err := ctx.Err(); err != nil {
			return done, context.Cause(ctx)
		}
		done += work(row)
	}
	return done, nil
}

func TestALoopThatListensEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	done, err := workThrough(ctx, []int{1, 2, 3}, func(row int) int {
		if row == 2 {
			cancel(task.ErrSoftTimeLimit)
		}
		return 1
	})
	if done != 2 || !errors.Is(err, task.ErrSoftTimeLimit) {
		t.Errorf("done = %d, %v", done, err)
	}
}

func TestThePoolsPageQuotesTheOwnershipError(t *testing.T) {
	t.Parallel()
	conns := &pool.Resource[int]{Name: "visits database", Open: func(context.Context) (int, error) { return 1, nil }}
	p, err := pool.New(pool.Goroutines, pool.Config{Size: 1, Hooks: []pool.Hook{conns}})
	if err != nil {
		t.Fatal(err)
	}
	kept := make(chan context.Context, 1)
	if err := p.Submit(t.Context(), func(ctx context.Context) { kept <- ctx }); err != nil {
		t.Fatal(err)
	}
	ctx := <-kept
	for over := false; !over; { // until the slot has seen that its job is over
		over = p.Submit(t.Context(), func(context.Context) {}) == nil && p.Stats().Done >= 1
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = conns.Use(ctx, func(int) error { return nil })
	if !errors.Is(err, pool.ErrForeignSlot) {
		t.Fatalf("err = %v", err)
	}
	head, _, _ := strings.Cut(err.Error(), ": that ") // the rest says what the slot does now
	if page := readPage(t, "docs/pools.md").text; !strings.Contains(page, head) {
		t.Errorf("docs/pools.md does not quote\n%s", err)
	}
}
