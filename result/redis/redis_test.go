package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/result/resulttest"
	"github.com/seed-399731e2/taskq/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds each wait for something that must happen.
const patience = time.Minute

func open(t *testing.T, cfg redis.Config) *redis.Backend {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	b, err := redis.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opened is open, and closes the store after the test.
func opened(t *testing.T, cfg redis.Config) *redis.Backend {
	t.Helper()
	b := open(t, cfg)
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return b
}

// do runs a command on the server itself.
func do(t *testing.T, address string, command ...string) string {
	t.Helper()
	answer, err := instance.RedisDo(t.Context(), address, command...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func success(id, value string) task.Meta {
	return task.Meta{ID: id, State: task.Success, Result: codec.Raw(value), DoneAt: time.Now()}
}

func failure(id string) task.Meta {
	return task.Meta{ID: id, State: task.Failure, Result: codec.Raw(`{"exc_type":"E","exc_message":[],"exc_module":"m"}`), DoneAt: time.Now()}
}

func store(t *testing.T, b result.Backend, m task.Meta) {
	t.Helper()
	if err := b.Store(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something has become true.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !happened() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func suite(t *testing.T, address string) {
	t.Helper()
	resulttest.Run(t, resulttest.Harness{
		Open: func(t *testing.T) result.Backend { t.Helper(); return open(t, redis.Config{URL: address}) },
		Peer: func(t *testing.T) result.Backend { t.Helper(); return open(t, redis.Config{URL: address}) },
		Expiring: func(t *testing.T, d time.Duration) result.Backend {
			t.Helper()
			return open(t, redis.Config{URL: address, Expires: d})
		},
		Frail: func(t *testing.T) resulttest.Frail {
			t.Helper()
			proxy := testserver.StartProxy(t, address)
			return resulttest.Frail{Backend: open(t, redis.Config{URL: proxy.URL}), Break: proxy.Refuse, Mend: proxy.Resume}
		},
	})
}

func TestPassesTheResultSuite(t *testing.T) {
	t.Parallel()
	suite(t, testserver.Redis(t))
}

// Servers before version 6 speak it, and subscriptions have a connection that takes no other commands.
func TestPassesTheResultSuiteInTheOldProtocol(t *testing.T) {
	t.Parallel()
	suite(t, testserver.Redis(t)+"?protocol=2")
}

func TestOutcomesAreKeptAsLongAsToldInWholeSeconds(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	for expires, want := range map[time.Duration][]string{
		0: {"86400", "86399"}, -1: {"-1"}, 90 * time.Second: {"90", "89"}, 1500 * time.Millisecond: {"2", "1"},
	} {
		b := opened(t, redis.Config{URL: address, Expires: expires})
		id := fmt.Sprint("t", expires)
		store(t, b, success(id, "1"))
		if err := b.SaveGroup(t.Context(), task.Ref{ID: id}); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"celery-task-meta-" + id, "celery-taskset-meta-" + id} {
			if got := do(t, address, "TTL", key); got != want[0] && got != want[len(want)-1] {
				t.Errorf("kept for %s: %s has %s s left, want %s", expires, key, got, want[0])
			}
		}
	}
}

func TestThePrefixComesBeforeEveryKey(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{"shop": "shop_", "shop:": "shop:", "shop.": "shop.", "a-": "a-", "a_": "a_"} {
		address := testserver.Redis(t)
		b := opened(t, redis.Config{URL: address, KeyPrefix: prefix})
		store(t, b, success("t", "1"))
		if err := errors.Join(b.SaveGroup(t.Context(), task.Ref{ID: "g"}), b.OpenChord(t.Context(), task.Ref{ID: "c", Group: true, Members: []task.Ref{{ID: "c1"}, {ID: "c2"}}})); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"celery-task-meta-t", "celery-taskset-meta-g", "celery-taskset-meta-c.s"} {
			if do(t, address, "EXISTS", want+key) != "1" {
				t.Errorf("with %q there is no key %s: %s", prefix, want+key, do(t, address, "KEYS", "*"))
			}
		}
		if m, err := b.Wait(t.Context(), "t"); err != nil || m.State != task.Success {
			t.Errorf("with %q: %v, %v", prefix, m.State, err)
		}
	}
}

func TestASuccessStaysWhoeverComesBetween(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	here, there := opened(t, redis.Config{URL: address}), opened(t, redis.Config{URL: address})
	for i := range 100 {
		id := strconv.Itoa(i)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { store(t, here, failure(id)) })
			wg.Go(func() { store(t, there, failure(id)) })
		}
		wg.Go(func() { store(t, here, success(id, id)) })
		wg.Wait()
		if m, err := there.Get(t.Context(), id); err != nil || m.State != task.Success {
			t.Fatalf("task %s is %s, %v", id, m.State, err)
		}
	}
}

func TestASuccessStaysHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	b := opened(t, redis.Config{URL: address})
	deep := strings.Repeat("[", 900) + strings.Repeat("]", 900)
	for i, doc := range []string{
		`{"status": "SUCCESS", "result": [` + deep + `, ` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `]}`,
		`{"task_id":"1","result":NaN,"status":"SUCCESS"}`,
		`{"result": ` + deep + `, "status": "SUCCESS"}`,
		"\x82\xa6status\xa7SUCCESS\xa6result\x01", // MessagePack
	} {
		id := strconv.Itoa(i)
		do(t, address, "SET", "celery-task-meta-"+id, doc)
		store(t, b, failure(id))
		if got := do(t, address, "GET", "celery-task-meta-"+id); got != doc {
			t.Errorf("success %d was overwritten with %s", i, got)
		}
	}
}

func TestOneConnectionServesAllWaiters(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	b := opened(t, redis.Config{URL: server.URL})
	const n = 1000
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range n {
		for range 2 {
			wg.Go(func() {
				if _, err := b.Wait(ctx, strconv.Itoa(i)); !errors.Is(err, context.Canceled) {
					t.Errorf("wait ended with %v", err)
				}
			})
		}
	}
	channels := func() int { return len(strings.Fields(server.Do("PUBSUB", "CHANNELS"))) }
	eventually(t, "all are subscribed to", func() bool { return channels() == n })
	if list := server.Do("CLIENT", "LIST", "TYPE", "pubsub"); strings.Count(list, "id=") != 1 {
		t.Errorf("connections that subscribe:\n%s", list)
	}
	stop()
	wg.Wait()
	eventually(t, "none is subscribed to", func() bool { return channels() == 0 })
}

func TestAnOutcomeThatCannotBeReadEndsTheWait(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	b := opened(t, redis.Config{URL: address})
	do(t, address, "SET", "celery-task-meta-x", "no json")
	_, getErr := b.Get(t.Context(), "x")
	_, waitErr := b.Wait(t.Context(), "x")
	watchErr := b.Watch(t.Context(), "x", func(task.Meta) bool { return true })
	for what, err := range map[string]error{"get": getErr, "wait": waitErr, "watch": watchErr} {
		if err == nil || !strings.Contains(err.Error(), "outcome of x") {
			t.Errorf("%s: %v, want an error that names x", what, err)
		}
	}
}

func TestGroupsAreSavedAndForgotten(t *testing.T) {
	t.Parallel()
	b := opened(t, redis.Config{URL: testserver.Redis(t)})
	group := task.Ref{ID: "g", Parent: &task.Ref{ID: "p"}, Group: true, Members: []task.Ref{
		{ID: "a"}, {ID: "h", Group: true, Members: []task.Ref{{ID: "b", Parent: &task.Ref{ID: "c"}}}},
	}}
	if _, found, err := b.Group(t.Context(), "g"); found || err != nil {
		t.Errorf("before: found = %t, %v", found, err)
	}
	if err := b.SaveGroup(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	got, found, err := b.Group(t.Context(), "g")
	if diff := cmp.Diff(group, got); err != nil || !found || diff != "" {
		t.Errorf("found = %t, %v (-want +got):\n%s", found, err, diff)
	}
	if err := b.ForgetGroup(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	if _, found, err := b.Group(t.Context(), "g"); found || err != nil {
		t.Errorf("after: found = %t, %v", found, err)
	}
}

func TestTLSVerifiesTheServer(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	ours, other := testserver.NewAuthority(t), testserver.NewAuthority(t)
	client := ours.Issue("client", 2*time.Hour)
	address := server.ListenTLS(ours, testserver.TLS{Server: ours.Issue("127.0.0.1", 2*time.Hour), Clients: ours})
	shown := "&ssl_certfile=" + url.QueryEscape(client.File) + "&ssl_keyfile=" + url.QueryEscape(client.Key)
	b := opened(t, redis.Config{URL: address + "?ssl_cert_reqs=required&ssl_ca_certs=" + url.QueryEscape(ours.File) + shown})
	store(t, b, success("t", "1"))
	if m, err := b.Wait(t.Context(), "t"); err != nil || m.State != task.Success {
		t.Errorf("state = %s, %v", m.State, err)
	}
	for query, want := range map[string]string{
		"?ssl_ca_certs=" + url.QueryEscape(other.File) + shown: "unknown authority",
		"?ssl_ca_certs=" + url.QueryEscape(ours.File):          "certificate",
	} {
		_, err := redis.Open(t.Context(), redis.Config{URL: address + query})
		if !errors.Is(err, result.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want one about %s", err, want)
		}
	}
}
