package amqp_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

const secret = "s3cr3t"

// refused opens a broker that must not open, and makes sure that the error is one sentence without the password.
func refused(t *testing.T, cfg amqp.Config, want error, words ...string) {
	t.Helper()
	b, err := amqp.Open(t.Context(), cfg)
	if err == nil {
		_ = b.Close(t.Context())
		t.Fatal("open succeeded")
	}
	if !errors.Is(err, want) {
		t.Errorf("error = %v, want one that wraps %v", err, want)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error = %v, want it to say %q", err, word)
		}
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if strings.Contains(cause.Error(), secret) {
			t.Errorf("error shows the password: %v", cause)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}

func TestBadURLIsRefusedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, word string }{
		{"", "amqp://user:password@host"},
		{";", "amqp://user:password@host"},
		{"redis://user:" + secret + "@host", "amqps://"},
		{"user:" + secret + "@host", "amqp://"},
		{"amqp:user:" + secret + "@host", "amqp://"},
		{"amqp://user:" + secret, "percent-encoded"},
		{"amqp://user:" + secret + "#@host", "percent-encoded"},
		{"amqp://user:" + secret + "?@host", "percent-encoded"},
		{"amqp://user:" + secret + "%zz@host", "percent-encoded"},
		{"amqp://user:" + secret + "@host:99999", "port"},
		{"amqp://user:" + secret + "@host:http", "percent-encoded"},
		{"amqp://user:" + secret + "@host?heartbeat=soon", "heartbeat"},
		{"amqp://user:" + secret + "@host?heartbeat=70000", "heartbeat"},
		{"amqp://user:" + secret + "@host?auth_mechanism=kerberos", "auth_mechanism"},
		{"amqps://user:" + secret + "@host?cacertfile=/nowhere/ca.pem", "cacertfile"},
		{"amqps://user:" + secret + "@host?certfile=/nowhere/c.pem", "certfile"},
		{"amqp://user:" + secret + "@host/" + strings.Repeat("v", 256), "vhost"},
	} {
		t.Run(c.url[:min(len(c.url), 60)], func(t *testing.T) {
			t.Parallel()
			refused(t, amqp.Config{URL: c.url, Lazy: true}, broker.ErrInvalid, c.word)
		})
	}
}

func TestSenselessConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for word, cfg := range map[string]amqp.Config{
		"Heartbeat":     {Heartbeat: time.Millisecond},
		"WriteTimeout":  {WriteTimeout: -1},
		"BackoffMax":    {BackoffMin: time.Minute},
		"ConfirmWindow": {ConfirmWindow: -1},
		"Delays":        {Delays: "somewhere"},
	} {
		cfg.URL, cfg.Lazy = "amqp://localhost", true
		refused(t, cfg, broker.ErrInvalid, word)
	}
}

func TestRefusedConnectionNamesTheAddress(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	cfg := amqp.Config{URL: "amqp://user:" + secret + "@" + address + "/v"}
	refused(t, cfg, broker.ErrUnavailable, address, "connection refused", "amqp://user:**@"+address)
}

func TestSilentServerIsGivenUpInTime(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel and never says a word
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	cfg := amqp.Config{URL: "amqp://user:" + secret + "@" + listener.Addr().String(), DialTimeout: 50 * time.Millisecond}
	refused(t, cfg, broker.ErrUnavailable, listener.Addr().String(), "in time")
}

func TestWrongCredentialsAndVhostAreAccessErrors(t *testing.T) {
	t.Parallel()
	good, err := url.Parse(testserver.AMQP(t))
	if err != nil {
		t.Fatal("bad URL of the test server")
	}
	wrong := *good
	wrong.User = url.UserPassword("nobody", secret)
	missing := *good
	missing.Path = "/no such vhost"
	t.Run("user", func(t *testing.T) {
		t.Parallel()
		refused(t, amqp.Config{URL: wrong.String()}, broker.ErrAccess, "ACCESS_REFUSED for user 'nobody'", ":**@")
	})
	t.Run("vhost", func(t *testing.T) {
		t.Parallel()
		refused(t, amqp.Config{URL: missing.String()}, broker.ErrAccess, "vhost 'no such vhost'")
	})
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		secure := *good
		secure.Scheme = "amqps"
		refused(t, amqp.Config{URL: secure.String()}, broker.ErrUnavailable, "does not speak TLS")
	})
}

func TestSeveralURLsAreTriedInTurn(t *testing.T) {
	t.Parallel()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	cfg := config(t, "amqp://user:"+secret+"@"+dead.Addr().String()+";"+testserver.AMQP(t))
	b := open(t, cfg)
	if _, err := b.Measure(t.Context(), "taskq.test.nowhere"); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("measure on the second broker = %v, want %v", err, broker.ErrNoQueue)
	}
}

func TestLazyBrokerWaitsForItsServer(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	proxy.Refuse()
	cfg := config(t, proxy.URL)
	cfg.Lazy = true
	b := open(t, cfg)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := b.Publish(short, broker.Address{RoutingKey: "any"}, broker.Message{})
	if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publish without a server = %v, want ErrUnavailable and the context's error", err)
	}
	proxy.Resume()
	if _, err := b.Measure(t.Context(), "taskq.test.nowhere"); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("measure once the server is there = %v, want %v", err, broker.ErrNoQueue)
	}
}
