package taskq_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/limit/redis"
)

func TestLimitsAreKeptWhereTheWorkersAgreeAlready(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ broker, results, limits, want string }{
		{"", "", "", "sqlite:"},
		{"sqlite:///a.db", "", "", "sqlite:"},
		{"sqlite:///a.db", "redis://h/1", "", "sqlite:"},
		{"memory://", "postgres://h/d", "", "memory:"},
		{"amqp://h", "", "", "disabled:"},
		{"amqp://h", "rpc://", "", "disabled:"},
		{"amqp://h", "redis://h/1", "", "redis://h/1"},
		{"amqp://h", "rediss://h/1", "", "rediss://h/1"},
		{"amqp://h", "postgresql://h/d", "", "postgres://h/d"},
		{"amqp://h", "sqlite:///r.db", "", "sqlite:///r.db"},
		{"amqp://h", "redis://h/1", "disabled://", "disabled://"},
		{"amqp://h", "redis://h/1", "postgresql://h/d", "postgres://h/d"},
		{"sqlite:///a.db", "", "sqlite:///b.db", "sqlite:///b.db"},
	} {
		app, err := taskq.New(taskq.Config{BrokerURL: c.broker, ResultBackend: c.results, LimitStore: c.limits})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if got := app.Config().LimitStore; got != c.want {
			t.Errorf("%+v: the store is %s", c, got)
		}
	}
}

func TestLimitStoresThatCannotBeAreRefusedWithoutThePassword(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"cassandra://u:s3cret@h":       "redis://",
		"h:6379":                       "without a scheme",
		"amqp://u:s3cret@h":            "redis://",
		"redis://:s3cret@h?pasword=x":  "pasword",
		"redis://u:s3cret@h/directory": "number of the database",
	} {
		_, err := taskq.New(taskq.Config{BrokerURL: "memory://", LimitStore: url})
		if !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "limit store") ||
			strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want an error that says %q", url, err, want)
		}
	}
}

// wantAgreed checks that two applications share a store: what one holds the other one does not get.
func wantAgreed(t *testing.T, cfg taskq.Config) {
	t.Helper()
	for i, owner := range []string{"a", "b"} {
		store, err := newApp(t, cfg).Limits(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := store.Acquire(t.Context(), limit.Claim{Key: "k", Owner: owner, Places: 1, TTL: time.Hour})
		want := []limit.Grant{{Held: true, Fresh: true}, {Holder: "a"}}[i]
		if err != nil || got != want {
			t.Errorf("%s got %+v, %v; want %+v", owner, got, err, want)
		}
	}
}

func TestApplicationsOfOneFileShareItsLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := "sqlite://" + filepath.Join(dir, "taskq.db")
	wantAgreed(t, taskq.Config{BrokerURL: file})
	wantAgreed(t, taskq.Config{BrokerURL: "memory://", LimitStore: "sqlite://" + filepath.Join(dir, "limits.db")})
	wantAgreed(t, taskq.Config{BrokerURL: "memory://", ResultBackend: "sqlite://" + filepath.Join(dir, "results.db"), LimitStore: "sqlite://" + filepath.Join(dir, "results.db")})
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".db") {
			files = append(files, e.Name())
		}
	}
	if got := strings.Join(files, " "); got != "limits.db results.db taskq.db" {
		t.Errorf("there are the files %s, want one for each store", got)
	}
}

func TestApplicationsOfOneRedisShareItsLimits(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	wantAgreed(t, taskq.Config{BrokerURL: testserver.AMQP(t), ResultBackend: address, ResultKeyPrefix: "mine"})
	keys, err := instance.RedisDo(t.Context(), address, "KEYS", "*")
	if want := "mine_" + redis.DefaultPrefix + "places-k"; err != nil || strings.TrimSpace(keys) != want {
		t.Errorf("the keys are %s, %v; want %s", keys, err, want)
	}
}

func TestApplicationsOfOneDatabaseShareItsLimits(t *testing.T) {
	t.Parallel()
	wantAgreed(t, taskq.Config{BrokerURL: testserver.AMQP(t), ResultBackend: testserver.Postgres(t)})
}

func TestLimitsInMemoryAreTheApplicationsOwnAndInVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t, taskq.Config{BrokerURL: "memory://"})
		store, err := app.Limits(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again, err := app.Limits(t.Context())
		if err != nil || again != store {
			t.Errorf("the second time it is %v, %v; want the same store", again, err)
		}
		for i, want := range []bool{true, false, true} {
			got, err := store.Acquire(t.Context(), limit.Claim{Key: "k", Owner: string(rune('a' + i)), Places: 1, TTL: 24 * time.Hour})
			if err != nil || got.Held != want {
				t.Errorf("after %d half days: %+v, %v; want held = %t", i, got, err, want)
			}
			time.Sleep(12 * time.Hour)
		}
	})
}

func TestWithoutALimitStoreThereIsNone(t *testing.T) {
	t.Parallel()
	store, err := newApp(t, taskq.Config{BrokerURL: "memory://", LimitStore: "disabled://"}).Limits(t.Context())
	if err != nil || store != nil {
		t.Errorf("the store is %v, %v; want none", store, err)
	}
}

func TestALimitStoreThatIsAwayFailsNobodyWhoDoesNotNeedIt(t *testing.T) {
	t.Parallel()
	cfg := taskq.Config{BrokerURL: "memory://", LimitStore: "redis://:s3cret@127.0.0.1:1"}
	app := newApp(t, cfg, add())
	if _, err := add().Send(t.Context(), app, pair{X: 1, Y: 2}); err != nil {
		t.Errorf("send: %v", err)
	}
	if _, err := app.Limits(t.Context()); !errors.Is(err, limit.ErrUnavailable) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("limits: %v, want ErrUnavailable without the password", err)
	}
	cfg.WaitForBroker = true
	if store, err := newApp(t, cfg).Limits(t.Context()); err != nil || store == nil {
		t.Errorf("limits of a program that waits: %v, %v; want a store that tries again", store, err)
	}
}

func TestLimitsAreClosedWithTheirApplication(t *testing.T) {
	t.Parallel()
	app, err := taskq.New(taskq.Config{BrokerURL: "sqlite://" + filepath.Join(t.TempDir(), "taskq.db"), LimitStore: "sqlite://" + filepath.Join(t.TempDir(), "l.db")})
	if err != nil {
		t.Fatal(err)
	}
	var store limit.Store
	var wg sync.WaitGroup
	for range 10 { // at once, and one is opened
		wg.Go(func() {
			if _, err := app.Limits(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if store, err = app.Limits(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := app.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	if err := store.Release(t.Context(), "k", "a"); !errors.Is(err, limit.ErrClosed) {
		t.Errorf("the store after close: %v, want ErrClosed", err)
	}
	if _, err := app.Limits(t.Context()); !errors.Is(err, taskq.ErrClosed) {
		t.Errorf("limits after close: %v, want ErrClosed", err)
	}
}
