package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/postgres"
	"github.com/seed-399731e2/taskq/task"
)

// storeInTheEnd tries again as a worker does.
func storeInTheEnd(t *testing.T, b result.Backend, m task.Meta) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for {
		err := b.Store(t.Context(), m)
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Errorf("store %s: %v", m.ID, err)
			return
		}
	}
}

func TestNoOutcomeAndNoWaitIsLostWhenPostgresIsKilledOrCutsConnections(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	here, there := opened(t, postgres.Config{URL: server.URL}), opened(t, postgres.Config{URL: server.URL})
	check(t, here)
	check(t, there)
	const n = 400
	var waits, stores, start sync.WaitGroup
	for i := range n {
		waits.Go(func() {
			if m := wait(t, there, fmt.Sprint(i)); string(m.Result) != fmt.Sprint(i) {
				t.Errorf("the result of %d is %s", i, m.Result)
			}
		})
	}
	for i := range n {
		switch i {
		case 80, 300:
			start.Wait()
			eventually(t, "there is a connection to cut", func() bool { return server.TerminateBackends() > 0 })
		case 200:
			server.Kill()
			start.Go(server.Start)
		}
		stores.Go(func() { storeInTheEnd(t, here, success(fmt.Sprint(i), fmt.Sprint(i))) })
	}
	stores.Wait()
	waits.Wait()
	c, err := pgx.Connect(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	if all := query[int](t, c, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'taskq'"); all > 2*5 {
		t.Errorf("%d connections of two stores", all)
	}
	if rows := query[int](t, c, "SELECT count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'"); rows != n {
		t.Errorf("%d outcomes, want %d", rows, n)
	}
}

func TestAServerThatFallsSilentHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	address := testserver.Postgres(t)
	proxy := testserver.StartProxy(t, address)
	b := open(t, postgres.Config{URL: proxy.URL, Timeout: time.Second})
	check(t, b)
	var waits sync.WaitGroup
	waits.Go(func() { wait(t, b, "a") })
	store(t, b, success("b", `1`))
	wait(t, b, "b")
	proxy.Stall()
	begin := time.Now()
	if err := b.Store(t.Context(), success("a", `1`)); err == nil || time.Since(begin) > 10*time.Second {
		t.Errorf("store: %v after %s", err, time.Since(begin))
	}
	proxy.Resume()
	storeInTheEnd(t, b, success("a", `1`))
	waits.Wait()
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCloseIsBoundedByItsContext(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.Postgres(t))
	b := open(t, postgres.Config{URL: proxy.URL, Timeout: patience})
	check(t, b)
	proxy.Stall()
	var get sync.WaitGroup
	get.Go(func() { _, _ = b.Get(t.Context(), "a") })
	eventually(t, "the question is on its way", func() bool { return b.InUse() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > patience/2 {
		t.Errorf("close: %v after %s", err, time.Since(begin))
	}
	proxy.Resume()
	get.Wait()
}

func TestErrorsTellTheKindInOneLineAndNoPassword(t *testing.T) {
	t.Parallel()
	address := testserver.Postgres(t)
	const secret = "hunter2-secret"
	with := func(change func(*url.URL)) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal("no URL")
		}
		u.User = url.UserPassword(u.User.Username(), secret)
		change(u)
		return u.String()
	}
	for name, test := range map[string]struct {
		url  string
		want error
	}{
		"wrong password": {with(func(*url.URL) {}), result.ErrAccess},
		"nobody there":   {with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), result.ErrUnavailable},
		"nobody there, tried twice": {
			with(func(u *url.URL) { u.Host, u.RawQuery = "127.0.0.1:1", "sslmode=prefer" }), result.ErrUnavailable,
		},
		"no such host":  {with(func(u *url.URL) { u.Host = "taskq.invalid:5432" }), result.ErrUnavailable},
		"bad port":      {with(func(u *url.URL) { u.Host = "127.0.0.1:port" }), result.ErrAccess},
		"bad parameter": {with(func(u *url.URL) { u.RawQuery = "sslmode=perhaps&password=" + secret }), result.ErrAccess},
	} {
		b, err := postgres.Open(t.Context(), postgres.Config{URL: test.url})
		if err == nil {
			err = b.Store(t.Context(), success("a", `1`))
			defer b.Close(context.WithoutCancel(t.Context()))
		}
		if !errors.Is(err, test.want) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: err = %v, want %v in one line without the password", name, err, test.want)
		}
	}
}
