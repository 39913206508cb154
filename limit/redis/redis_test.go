package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
	"github.com/seed-399731e2/taskq/limit"
	"github.com/seed-399731e2/taskq/limit/limittest"
	"github.com/seed-399731e2/taskq/limit/redis"
)

func TestMain(m *testing.M) {
	if limittest.IsChild(func(ctx context.Context, url string) (limit.Store, error) {
		return redis.Open(ctx, redis.Config{URL: url})
	}) {
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, cfg redis.Config) *redis.Store {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := redis.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// opened is open, and closes the store after the test.
func opened(t testing.TB, cfg redis.Config) *redis.Store {
	t.Helper()
	s := open(t, cfg)
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

// do runs a command on the server itself.
func do(t testing.TB, address string, command ...string) string {
	t.Helper()
	answer, err := instance.RedisDo(t.Context(), address, command...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestPassesTheSuite(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	limittest.Run(t, limittest.Harness{
		OwnClock: true,
		Open:     func(t *testing.T) limit.Store { t.Helper(); return open(t, redis.Config{URL: address}) },
		Counted: func(t *testing.T) (limit.Store, func() int) {
			t.Helper()
			empty := testserver.Redis(t)
			return open(t, redis.Config{URL: empty}), func() int {
				n, err := strconv.Atoi(strings.TrimSpace(do(t, empty, "DBSIZE")))
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		},
		Frail: limittest.Behind(func(t *testing.T) (limit.Store, *testserver.Proxy) {
			t.Helper()
			proxy := testserver.StartProxy(t, address)
			return open(t, redis.Config{URL: proxy.URL}), proxy
		}),
		Hold: limittest.Holder(address),
	})
}

func TestThePrefixKeepsStoresApartAndEveryKeyHasAnEnd(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	for _, prefix := range []string{"", "mine:", "yours:"} {
		s := opened(t, redis.Config{URL: address, KeyPrefix: prefix})
		g, err := s.Acquire(t.Context(), limit.Claim{Key: "k", Owner: "a", Places: 1, TTL: time.Hour})
		if err != nil || !g.Fresh {
			t.Errorf("prefix %q: %+v, %v; want a place", prefix, g, err)
		}
		if wait, err := s.Reserve(t.Context(), "k", limit.Rate{Every: time.Hour, Burst: 2}, 0); err != nil || wait != 0 {
			t.Errorf("prefix %q: a turn in %s, %v; want now", prefix, wait, err)
		}
		if err := s.Extend(t.Context(), "k", "a", 2*time.Hour); err != nil {
			t.Errorf("prefix %q: %v", prefix, err)
		}
		if prefix == "" {
			prefix = "taskq-limit-"
		}
		for key, want := range map[string]time.Duration{prefix + "places-k": 2 * time.Hour, prefix + "turn-k": time.Hour} {
			ms, err := strconv.Atoi(strings.TrimSpace(do(t, address, "PTTL", key)))
			if got := time.Duration(ms) * time.Millisecond; err != nil || got > want+time.Millisecond || got < want-time.Minute {
				t.Errorf("%s ends in %s, %v; want %s", key, got, err, want)
			}
		}
	}
}

func TestOpenSaysWhatIsWrongWithoutThePassword(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	refused := testserver.StartProxy(t, server.URL)
	refused.Refuse()
	for what, c := range map[string]struct {
		url  string
		want error
	}{
		"no such database": {strings.TrimSuffix(server.URL, "/0") + "/999999", limit.ErrAccess},
		"a wrong password": {"redis://:wrong-secret@" + server.URL[strings.LastIndex(server.URL, "@")+1:], limit.ErrAccess},
		"no server":        {strings.Replace(refused.URL, "redis://", "redis://", 1), limit.ErrUnavailable},
		"no URL":           {"redis://:secret@h?pasword=secret", broker.ErrInvalid},
	} {
		_, err := redis.Open(t.Context(), redis.Config{URL: c.url})
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %v without the password", what, err, c.want)
		}
	}
}

func TestALazyStoreOpensBeforeItsServer(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.Redis(t))
	proxy.Refuse()
	s := opened(t, redis.Config{URL: proxy.URL, Lazy: true})
	claim := limit.Claim{Key: "k", Owner: "a", Places: 1, TTL: time.Hour}
	if _, err := s.Acquire(t.Context(), claim); !errors.Is(err, limit.ErrUnavailable) {
		t.Errorf("acquire while there is no server: %v, want ErrUnavailable", err)
	}
	proxy.Resume()
	deadline := time.After(time.Minute)
	for {
		g, err := s.Acquire(t.Context(), claim)
		if err == nil && g.Held {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("acquire after the server came: %+v, %v", g, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func BenchmarkStore(b *testing.B) {
	limittest.Benchmark(b, opened(b, redis.Config{URL: testserver.Redis(b)}))
}
