package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/task"
)

// persist stores as a worker does: again and again until it works.
func persist(t *testing.T, b result.Backend, m task.Meta) {
	t.Helper()
	eventually(t, "the outcome is stored", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		err := b.Store(ctx, m)
		if err != nil && !errors.Is(err, result.ErrUnavailable) {
			t.Errorf("store: %v, want only that the server is away", err)
		}
		return err == nil
	})
}

func TestNoOutcomeIsLostWhenTheServerIsKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	worker, client := opened(t, redis.Config{URL: server.URL}), opened(t, redis.Config{URL: server.URL})
	const n = 500
	var waiting, storing sync.WaitGroup
	for i := range n {
		waiting.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if m, err := client.Wait(ctx, strconv.Itoa(i)); err != nil || string(m.Result) != strconv.Itoa(i) {
				t.Errorf("outcome of %d = %s, %v", i, m.Result, err)
			}
		})
	}
	go1, go2 := make(chan struct{}), make(chan struct{})
	for i := range n {
		storing.Go(func() {
			if i%2 == 0 {
				<-go1
			} else {
				<-go2
			}
			persist(t, worker, success(strconv.Itoa(i), strconv.Itoa(i)))
		})
	}
	close(go1) // half of them in the middle of a kill
	server.Kill()
	close(go2) // the others while it is away
	server.Start()
	server.Restart()
	storing.Wait()
	waiting.Wait()
}

func TestReadersWaitForAServerThatIsAway(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	b := opened(t, redis.Config{URL: server.URL})
	store(t, b, success("t", "1"))
	server.Kill()
	if err := b.Store(t.Context(), success("u", "1")); !errors.Is(err, result.ErrUnavailable) {
		t.Errorf("store: %v, want ErrUnavailable at once", err)
	}
	brief, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.Get(brief, "t"); !errors.Is(err, result.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("get: %v, want ErrUnavailable and the deadline", err)
	}
	if _, err := b.Wait(brief, "t"); !errors.Is(err, context.DeadlineExceeded) { // it is stored, but who knows?
		t.Errorf("wait: %v, want the deadline", err)
	}
	got := make(chan error)
	for _, read := range []func() (task.Meta, error){
		func() (task.Meta, error) { return b.Get(t.Context(), "t") },
		func() (task.Meta, error) { return b.Wait(t.Context(), "t") },
		func() (task.Meta, error) {
			return task.Meta{State: task.Success}, b.SaveGroup(t.Context(), task.Ref{ID: "g"})
		},
	} {
		go func() {
			m, err := read()
			if err == nil && m.State != task.Success {
				err = fmt.Errorf("state %s", m.State)
			}
			got <- err
		}()
	}
	server.Start()
	for range 3 {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
}

func TestALostSubscriptionIsMadeAgain(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	b := opened(t, redis.Config{URL: server.URL})
	ended := make(chan task.Meta)
	go func() {
		m, _ := b.Wait(t.Context(), "t")
		ended <- m
	}()
	for range 3 {
		eventually(t, "it is subscribed to", func() bool { return server.Do("PUBSUB", "CHANNELS") != "" })
		server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	}
	store(t, b, success("t", "1"))
	if m := <-ended; m.State != task.Success {
		t.Errorf("state = %s", m.State)
	}
}

func TestAServerThatIsSilentDelaysAndLosesNothing(t *testing.T) {
	t.Parallel()
	server, b, ended := silenced(t, opened)
	brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Store(brief, success("t", "1")); !errors.Is(err, result.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("store: %v, want ErrUnavailable and the deadline", err)
	}
	server.Continue()
	persist(t, b, success("t", "1"))
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestALazyStoreComesUpWithItsServer(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	server.Kill()
	if _, err := redis.Open(t.Context(), redis.Config{URL: server.URL}); !errors.Is(err, result.ErrUnavailable) {
		t.Errorf("open: %v, want ErrUnavailable", err)
	}
	b := opened(t, redis.Config{URL: server.URL, Lazy: true})
	ended := make(chan error)
	go func() {
		_, err := b.Wait(t.Context(), "t")
		ended <- err
	}()
	server.Start()
	persist(t, b, success("t", "1"))
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRefusedCredentialsAreNamedWithoutThePassword(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	server.Do("ACL", "SETUSER", "reader", "on", ">reader-secret", "~*", "&*", "+get", "+hello", "+client", "+select", "+ping")
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []*url.Userinfo{url.UserPassword("", "open-sesame"), url.UserPassword("nobody", "open-sesame"), nil} {
		u.User = user
		for _, lazy := range []bool{false, true} {
			_, err := redis.Open(t.Context(), redis.Config{URL: u.String(), Lazy: lazy})
			if !errors.Is(err, result.ErrAccess) || strings.Contains(fmt.Sprint(err), "sesame") {
				t.Errorf("%v, want ErrAccess without the password", err)
			}
		}
	}
	u.User = url.UserPassword("reader", "reader-secret")
	b := opened(t, redis.Config{URL: u.String()})
	if err := b.Store(t.Context(), success("t", "1")); !errors.Is(err, result.ErrAccess) || strings.Contains(err.Error(), "secret") {
		t.Errorf("store: %v, want ErrAccess", err)
	}
	server.Do("ACL", "SETUSER", "deaf", "on", ">deaf-secret", "~*", "resetchannels", "+@all")
	u.User = url.UserPassword("deaf", "deaf-secret")
	b = opened(t, redis.Config{URL: u.String()})
	if _, err := b.Wait(t.Context(), "t"); !errors.Is(err, result.ErrAccess) || strings.Contains(err.Error(), "secret") {
		t.Errorf("wait: %v, want ErrAccess", err)
	}
	u.User, u.Path = url.UserPassword("", mustPassword(t, server.URL)), "/99999"
	if _, err := redis.Open(t.Context(), redis.Config{URL: u.String()}); !errors.Is(err, result.ErrAccess) {
		t.Errorf("open: %v, want ErrAccess for the database", err)
	}
}

func mustPassword(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	return password
}

func TestAFullServerIsAnErrorThatLosesNothing(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	b := opened(t, redis.Config{URL: server.URL})
	store(t, b, failure("t"))
	server.Do("CONFIG", "SET", "maxmemory", "1")
	err := b.Store(t.Context(), success("t", "1"))
	if err == nil || !strings.Contains(err.Error(), "maxmemory") || errors.Is(err, broker.ErrInvalid) || errors.Is(err, broker.ErrClosed) {
		t.Errorf("store: %v, want an error about maxmemory after which a worker tries again", err)
	}
	if m, err := b.Get(t.Context(), "t"); err != nil || m.State != task.Failure {
		t.Errorf("state = %s, %v; want FAILURE as before", m.State, err)
	}
	if err := b.SaveGroup(t.Context(), task.Ref{ID: "g"}); err == nil || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("save a group: %v, want an error about maxmemory", err)
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	store(t, b, success("t", "1"))
	if m, err := b.Wait(t.Context(), "t"); err != nil || m.State != task.Success {
		t.Errorf("state = %s, %v", m.State, err)
	}
}

func TestACommandThatIsGivenUpTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.StartRedis(t).URL)
	b := opened(t, redis.Config{URL: proxy.URL})
	proxy.Stall(instance.ToClient)
	before := proxy.Bytes(instance.ToServer)
	brief, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	given := make(chan error)
	go func() {
		_, err := b.Get(brief, "t")
		given <- err
	}()
	eventually(t, "the command is under way", func() bool { return proxy.Bytes(instance.ToServer) > before })
	var stores sync.WaitGroup
	for i := range 8 {
		stores.Go(func() { store(t, b, success(strconv.Itoa(i), "1")) })
	}
	if err := <-given; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("get: %v, want the deadline", err)
	}
	proxy.Resume()
	stores.Wait()
}

func TestCloseDoesNotWaitForASilentServer(t *testing.T) {
	t.Parallel()
	server, b, ended := silenced(t, open)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // the server would be given up after 10
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-ended; !errors.Is(err, result.ErrClosed) {
		t.Errorf("err = %v, want ErrClosed", err)
	}
	server.Continue()
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.StartRedis(t).URL)
	proxy.Stall(instance.ToClient)
	ctx, cancel := context.WithCancel(t.Context())
	opening := make(chan error)
	go func() {
		_, err := redis.Open(ctx, redis.Config{URL: proxy.URL})
		opening <- err
	}()
	eventually(t, "the server is greeted", func() bool { return proxy.Bytes(instance.ToServer) > 0 })
	cancel()
	select {
	case err := <-opening:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want that it was cancelled", err)
		}
	case <-time.After(4 * time.Second): // the server would be given up after 5
		t.Error("it waits for the server")
		<-opening
	}
}

// silenced returns a server that has fallen silent under a wait for the task t.
func silenced(t *testing.T, open func(*testing.T, redis.Config) *redis.Backend) (*testserver.RedisServer, *redis.Backend, <-chan error) {
	t.Helper()
	server := testserver.StartRedis(t)
	b := open(t, redis.Config{URL: server.URL})
	ended := make(chan error)
	go func() {
		_, err := b.Wait(t.Context(), "t")
		ended <- err
	}()
	eventually(t, "it is subscribed to", func() bool { return server.Do("PUBSUB", "CHANNELS") != "" })
	server.Pause()
	return server, b, ended
}
