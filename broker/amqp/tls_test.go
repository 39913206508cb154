package amqp_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

const (
	here    = "127.0.0.1" // what the test server's certificates are for
	forHour = 2 * time.Hour
	expired = time.Minute
)

// with adds parameters, names and values in turn, to a URL.
func with(t testing.TB, raw string, pairs ...string) string {
	t.Helper()
	u := parse(t, raw)
	q := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// connects opens a broker and has it answered.
func connects(t testing.TB, cfg amqp.Config) {
	t.Helper()
	b := open(t, cfg)
	if _, err := b.Measure(timeout(t, patience), "taskq.test.nowhere"); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("measure = %v, want %v", err, broker.ErrNoQueue)
	}
}

func speaksTLS(t *testing.T, server *testserver.RabbitMQ) {
	authority := testserver.NewAuthority(t)
	good := server.ListenTLS(testserver.TLS{Server: authority.Issue(here, forHour)})
	strict := server.ListenTLS(testserver.TLS{Server: authority.Issue(here, forHour), Clients: authority})
	t.Run("bad certificates of the broker are refused at once", func(t *testing.T) {
		t.Parallel()
		refusesBadCertificates(t, server, authority, good)
	})
	t.Run("one configuration serves several brokers and stays as it is", func(t *testing.T) {
		t.Parallel()
		keepsTheCallersConfiguration(t, authority, good)
	})
	t.Run("client certificates are sent where they are wanted", func(t *testing.T) {
		t.Parallel()
		sendsClientCertificates(t, authority, strict)
	})
	t.Run("a certificate is a login", func(t *testing.T) {
		t.Parallel()
		logsInByCertificate(t, server, authority, good, strict)
	})
	t.Run("renewed files are used from the next connection on", func(t *testing.T) {
		t.Parallel()
		usesRenewedFiles(t, server)
	})
	t.Run("a running broker keeps trying until it can trust", func(t *testing.T) {
		t.Parallel()
		triesUntilItCanTrust(t, server, authority, good)
	})
	t.Run("silence is noticed", func(t *testing.T) {
		t.Parallel()
		n := newTenant(t, server)
		n.proxy = testserver.StartProxy(t, with(t, good, "cacertfile", authority.File))
		noticesStall()(t, n)
	})
	t.Run("TLS is asked for where it is spoken", func(t *testing.T) {
		t.Parallel()
		address := strings.Replace(good, "amqps://", "amqp://", 1)
		refused(t, amqp.Config{URL: address}, broker.ErrUnavailable, "speaks TLS", "amqps://")
		address = strings.Replace(server.URL, "amqp://", "amqps://", 1)
		refused(t, amqp.Config{URL: address}, broker.ErrUnavailable, "does not speak TLS", "amqp://")
	})
}

func refusesBadCertificates(t *testing.T, server *testserver.RabbitMQ, authority *testserver.Authority, good string) {
	connects(t, config(t, with(t, good, "cacertfile", authority.File)))
	other := server.ListenTLS(testserver.TLS{Server: authority.Issue("rabbit.example", forHour)})
	old := server.ListenTLS(testserver.TLS{Server: authority.Issue(here, expired)})
	for _, c := range []struct{ url, word string }{
		{good, "cacertfile="}, // the system trusts others
		{with(t, good, "cacertfile", testserver.NewAuthority(t).File), "unknown authority"},
		{with(t, other, "cacertfile", authority.File), "server_name_indication="},
		{with(t, good, "cacertfile", authority.File, "server_name_indication", "rabbit.example"), "for another name"},
		{with(t, old, "cacertfile", authority.File), "has expired"},
	} {
		start := time.Now()
		refused(t, amqp.Config{URL: c.url, DialTimeout: patience}, broker.ErrUnavailable, "TLS with "+here, c.word)
		if took := time.Since(start); took > patience/2 {
			t.Errorf("%s: refused after %v, want at once", c.word, took)
		}
	}
	connects(t, config(t, with(t, other, "cacertfile", authority.File, "server_name_indication", "rabbit.example")))
}

func keepsTheCallersConfiguration(t *testing.T, authority *testserver.Authority, good string) {
	pem, err := os.ReadFile(authority.File)
	if err != nil {
		t.Fatal(err)
	}
	shared := &tls.Config{RootCAs: x509.NewCertPool()}
	shared.RootCAs.AppendCertsFromPEM(pem)
	cfg := config(t, good)
	cfg.TLS = shared
	var wg sync.WaitGroup
	for range 2 { // the race detector looks on
		wg.Go(func() {
			b, err := amqp.Open(t.Context(), cfg)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			_ = b.Close(t.Context())
		})
	}
	wg.Wait()
	if shared.ServerName != "" || shared.MinVersion != 0 {
		t.Errorf("the caller's configuration was changed: name %q, least version %x", shared.ServerName, shared.MinVersion)
	}
}

func sendsClientCertificates(t *testing.T, authority *testserver.Authority, strict string) {
	trusting := with(t, strict, "cacertfile", authority.File)
	refused(t, amqp.Config{URL: trusting}, broker.ErrUnavailable, "client certificate", "certfile=")
	stranger := testserver.NewAuthority(t).Issue("worker", forHour)
	refused(t, amqp.Config{URL: with(t, trusting, "certfile", stranger.File, "keyfile", stranger.Key)}, broker.ErrUnavailable,
		"client certificate", "certfile=")
	friend := authority.Issue("worker", forHour)
	connects(t, config(t, with(t, trusting, "certfile", friend.File, "keyfile", friend.Key)))
	refused(t, amqp.Config{URL: with(t, trusting, "certfile", friend.File)}, broker.ErrInvalid, "go together")
}

func logsInByCertificate(t *testing.T, server *testserver.RabbitMQ, authority *testserver.Authority, good, strict string) {
	server.Eval(`rabbit_auth_backend_internal:add_user(<<"robot">>, <<"unused">>, <<"test">>)`)
	server.Eval(`rabbit_auth_backend_internal:set_permissions(<<"robot">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)`)
	address := func(name string) string {
		u := parse(t, strict)
		u.User = nil
		c := authority.Issue(name, forHour)
		return with(t, u.String(), "auth_mechanism", "external", "cacertfile", authority.File, "certfile", c.File, "keyfile", c.Key)
	}
	connects(t, config(t, address("robot")))
	refused(t, amqp.Config{URL: address("stranger")}, broker.ErrAccess, "client certificate", "ssl_cert_login_from")
	without := with(t, good, "auth_mechanism", "external", "cacertfile", authority.File)
	refused(t, amqp.Config{URL: without}, broker.ErrAccess, "client certificate", "certfile=")
	refused(t, amqp.Config{URL: with(t, server.URL, "auth_mechanism", "external")}, broker.ErrAccess, "auth_mechanism")
}

func usesRenewedFiles(t *testing.T, server *testserver.RabbitMQ) {
	first, second := testserver.NewAuthority(t), testserver.NewAuthority(t)
	ours, theirs := first.Issue("worker-one", forHour), first.Issue(here, forHour)
	proxy := testserver.StartProxy(t, server.ListenTLS(testserver.TLS{Server: theirs, Clients: first}))
	b := open(t, config(t, with(t, proxy.URL, "cacertfile", first.File, "certfile", ours.File, "keyfile", ours.Key)))
	queue := declared(t, b, broker.Queue{})
	publish(t, b, queue, "before")
	proxy.Refuse()
	second.Renew(ours, "worker-two", forHour)
	second.Renew(theirs, here, forHour)
	pem, err := os.ReadFile(second.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first.File, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	server.Eval(`ssl:clear_pem_cache()`) // Erlang looks again after two minutes
	proxy.Resume()
	publish(t, b, queue, "after")
	names := server.Eval(`[element(2, P) || C <- rabbit_networking:connections(), {_, _} = P <- [catch hd(rabbit_reader:info(C, [peer_cert_subject]))]]`)
	if !strings.Contains(names, "worker-two") || strings.Contains(names, "worker-one") {
		t.Errorf("certificates of the clients: %s, want one of worker-two", names)
	}
}

func triesUntilItCanTrust(t *testing.T, server *testserver.RabbitMQ, authority *testserver.Authority, good string) {
	unknown := testserver.NewAuthority(t)
	proxy := testserver.StartProxy(t, good)
	log := newJournal(t)
	cfg := config(t, with(t, proxy.URL, "cacertfile", unknown.File))
	cfg.Lazy, cfg.Logger = true, log.logger()
	b := open(t, cfg)
	done := make(chan error, 1)
	go func() {
		_, err := b.Measure(timeout(t, patience), "taskq.test.nowhere")
		done <- err
	}()
	log.await(3, "Cannot connect to broker", "cacertfile=", "retry_in=")
	if open := proxy.Connections(); open > 1 {
		t.Errorf("%d connections are open, want those of refused tries closed", open)
	}
	if err := os.WriteFile(unknown.File, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	log.await(1, "Cannot connect to broker", "holds no certificate")
	pem, err := os.ReadFile(authority.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unknown.File, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("measure = %v, want %v", err, broker.ErrNoQueue)
	}
	log.hides(passwordOf(t, server.URL))
	if lines := log.count("\n"); lines > 100 {
		t.Errorf("%d lines were logged, want a few", lines)
	}
}
