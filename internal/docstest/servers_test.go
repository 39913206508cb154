//go:build unix

package docstest_test

import (
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/internal/testserver"
)

// The addresses that readers find in the pages.
const (
	pageAMQP     = "amqp://guest:guest@localhost:5672//"
	pageAMQPHost = "localhost:5672"
	pagePostgres = "postgres://localhost/site"
	pageSite     = "127.0.0.1:8000"
)

// servers puts the test's servers in the place of those that a page names. Each is asked for when a command first needs it, so that
// the commands before it are tested without any.
type servers struct {
	t        *testing.T
	amqp     string
	postgres string
	python   bool
	site     string // host and port
}

// address returns the text with the addresses of the test's servers.
func (s *servers) address(text string) string {
	if strings.Contains(text, "celery -A") || strings.Contains(text, "python3 ") {
		s.needPython()
	}
	if strings.Contains(text, pageAMQPHost) {
		text = s.addressAMQP(text)
	}
	if strings.Contains(text, pagePostgres) {
		if s.postgres == "" {
			s.postgres = testserver.Postgres(s.t)
			prepareDjangoTable(s.t, s.postgres)
		}
		text = strings.ReplaceAll(text, pagePostgres, s.postgres)
	}
	return strings.ReplaceAll(text, pageSite, s.site)
}

func (s *servers) addressAMQP(text string) string {
	if s.amqp == "" {
		s.amqp = testserver.AMQPVhost(s.t)
	}
	u, err := url.Parse(s.amqp)
	if err != nil {
		s.t.Fatal("the URL of RabbitMQ cannot be read") // the error would quote the password
	}
	return strings.NewReplacer(
		pageAMQP, s.amqp,
		"guest:guest@"+pageAMQPHost, u.User.String()+"@"+u.Host,
		pageAMQPHost, u.Host,
	).Replace(text)
}

func (s *servers) needPython() {
	if !s.python {
		testserver.NewPython(s.t, testserver.PythonConfig{})
		s.python = true
	}
}

// freePort returns an address of this machine that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
