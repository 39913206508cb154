package testserver

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

const (
	// redisClaims is how long a test may hold a database: until then after a test that was killed, it is taken.
	redisClaims = time.Hour
	// redisClaim is the name, in database 0, of the claim on the database whose number follows.
	redisClaim = "taskq-test-claim-"
)

// Redis returns the URL of an empty database on the run's Redis, with its number as the path. It is emptied after the test. Channels
// are shared by all databases.
func Redis(t testing.TB) string {
	t.Helper()
	address := os.Getenv(RedisVariable)
	if address == "" {
		unavailable(t, "Redis", `run "make test", or set `+RedisVariable)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("%s is not a URL", RedisVariable) // the error would quote the password
	}
	databases, err := strconv.Atoi(lastLine(redisDo(t, databaseOf(u, 0), "CONFIG", "GET", "databases")))
	if err != nil {
		t.Fatalf("number of databases: %v", err)
	}
	ctx, ticker := startContext(t), time.NewTicker(100*time.Millisecond)
	defer ticker.Stop()
	for {
		for n := 1; n < databases; n++ {
			if claimRedis(t, u, n) {
				return databaseOf(u, n)
			}
		}
		select {
		case <-ticker.C: // a server of the user's may have no more than 15
		case <-ctx.Done():
			t.Fatalf("none of the %d databases of %s is empty and free", databases, RedisVariable)
		}
	}
}

// claimRedis takes a database if it is empty and nobody else's.
func claimRedis(t testing.TB, u *url.URL, n int) bool {
	t.Helper()
	claim, owner := redisClaim+strconv.Itoa(n), rand.Text()
	ttl := strconv.Itoa(int(redisClaims.Seconds()))
	if redisDo(t, databaseOf(u, 0), "SET", claim, owner, "NX", "EX", ttl) != "OK" {
		return false
	}
	if redisDo(t, databaseOf(u, n), "DBSIZE") != "0" {
		return false // somebody's data; the claim stays, so that the next one need not look
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if _, err := instance.RedisDo(ctx, databaseOf(u, n), "FLUSHDB"); err != nil {
			t.Errorf("empty the database: %v", err)
		}
		if _, err := instance.RedisDo(ctx, databaseOf(u, 0), "DEL", claim); err != nil {
			t.Errorf("give the database back: %v", err)
		}
	})
	return true
}

func databaseOf(u *url.URL, n int) string {
	other := *u
	other.Path = "/" + strconv.Itoa(n)
	return other.String()
}

func lastLine(text string) string { return text[strings.LastIndexByte(text, '\n')+1:] }

func redisDo(t testing.TB, address string, command ...string) string {
	t.Helper()
	answer, err := instance.RedisDo(t.Context(), address, command...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// RedisServer is a server that belongs to one test, to be killed and started again.
type RedisServer struct {
	URL string // the same after each start, with the password

	t      testing.TB
	server *instance.Redis
}

// StartRedis starts a Redis for this test alone, which ends with the test. It takes a tenth of a second.
func StartRedis(t testing.TB) *RedisServer {
	t.Helper()
	server, err := instance.StartRedis(startContext(t), instance.RedisConfig{Durable: true})
	Started(t, "Redis", err)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("stop Redis: %v", err)
		}
	})
	return &RedisServer{URL: server.URL(), t: t, server: server}
}

// Kill ends the server as a crash does. What it confirmed comes back with Start.
func (r *RedisServer) Kill() {
	r.t.Helper()
	if err := r.server.Kill(); err != nil {
		r.t.Fatalf("kill Redis: %v", err)
	}
}

// Start starts the server again after Kill, at the same address, and waits until it answers.
func (r *RedisServer) Start() {
	r.t.Helper()
	if err := r.server.Start(startContext(r.t)); err != nil {
		r.t.Fatalf("start Redis again: %v", err)
	}
}

// Restart is Kill and Start.
func (r *RedisServer) Restart() {
	r.t.Helper()
	r.Kill()
	r.Start()
}

// Pause stops the server where it is: its connections stay open and silent until Continue.
func (r *RedisServer) Pause() {
	r.t.Helper()
	if err := r.server.Pause(); err != nil {
		r.t.Fatalf("pause Redis: %v", err)
	}
}

// Continue ends Pause.
func (r *RedisServer) Continue() {
	r.t.Helper()
	if err := r.server.Continue(); err != nil {
		r.t.Fatalf("continue Redis: %v", err)
	}
}

// Do runs a command and returns its answer as text.
func (r *RedisServer) Do(command ...string) string {
	r.t.Helper()
	return redisDo(r.t, r.URL, command...)
}

// ListenTLS has the server listen for TLS at a port of its own, until it is killed, and returns the rediss:// URL.
func (r *RedisServer) ListenTLS(authority *Authority, conf TLS) string {
	r.t.Helper()
	ports, err := instance.FreePorts(r.t.Context(), 1)
	if err != nil {
		r.t.Fatal(err)
	}
	clients := "no"
	if conf.Clients != nil {
		authority, clients = conf.Clients, "yes"
	}
	r.Do("CONFIG", "SET", "tls-cert-file", conf.Server.File, "tls-key-file", conf.Server.Key, "tls-ca-cert-file",
		authority.File, "tls-auth-clients", clients, "tls-port", strconv.Itoa(ports[0]))
	u, err := url.Parse(r.URL)
	if err != nil {
		r.t.Fatal("the server's address is not a URL") // the error would quote the password
	}
	u.Scheme, u.Host = "rediss", instance.Address(ports[0])
	return u.String()
}
