package testserver

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// RabbitMQ is a server that belongs to one test, to be killed and started again.
type RabbitMQ struct {
	URL string // the same after each start

	t      testing.TB
	server *instance.RabbitMQ
}

// StartRabbitMQ starts a RabbitMQ for this test alone, which ends with the test. It takes four to ten seconds.
func StartRabbitMQ(t testing.TB) *RabbitMQ {
	t.Helper()
	return startRabbitMQ(t, instance.RabbitMQConfig{})
}

// StartRabbitMQWithCertificates is StartRabbitMQ with the mechanism EXTERNAL: clients that ListenTLS asks for a certificate may log in
// with it, as the user of its common name.
func StartRabbitMQWithCertificates(t testing.TB) *RabbitMQ {
	t.Helper()
	r := startRabbitMQ(t, instance.RabbitMQConfig{Certificates: true})
	r.Eval(`application:set_env(rabbit, ssl_cert_login_from, common_name)`)
	r.Eval(`application:set_env(rabbit, ssl_options, [{verify, verify_peer}])`) // certificates count only if it says so
	r.Eval(`application:set_env(rabbit, auth_mechanisms, ['PLAIN', 'AMQPLAIN', 'EXTERNAL'])`)
	return r
}

func startRabbitMQ(t testing.TB, cfg instance.RabbitMQConfig) *RabbitMQ {
	t.Helper()
	server, err := instance.StartRabbitMQ(startContext(t), cfg)
	Started(t, "RabbitMQ", err)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("stop RabbitMQ: %v", err)
		}
	})
	return &RabbitMQ{URL: server.URL(), t: t, server: server}
}

// Kill ends the server as a crash does. Durable queues and persistent messages come back with Start.
func (r *RabbitMQ) Kill() {
	r.t.Helper()
	if err := r.server.Kill(); err != nil {
		r.t.Fatalf("kill RabbitMQ: %v", err)
	}
}

// Start starts the server again after Kill, at the same address, and waits until it speaks AMQP.
func (r *RabbitMQ) Start() {
	r.t.Helper()
	if err := r.server.Start(startContext(r.t)); err != nil {
		r.t.Fatalf("start RabbitMQ again: %v", err)
	}
}

// Restart is Kill and Start.
func (r *RabbitMQ) Restart() {
	r.t.Helper()
	r.Kill()
	r.Start()
}

// Pause stops the server where it is: its connections stay open and silent until Continue.
func (r *RabbitMQ) Pause() {
	r.t.Helper()
	if err := r.server.Pause(); err != nil {
		r.t.Fatalf("pause RabbitMQ: %v", err)
	}
}

// Continue ends Pause.
func (r *RabbitMQ) Continue() {
	r.t.Helper()
	if err := r.server.Continue(); err != nil {
		r.t.Fatalf("continue RabbitMQ: %v", err)
	}
}

// CloseConnections has the server close every client's connection, as an operator does (320 CONNECTION_FORCED).
func (r *RabbitMQ) CloseConnections() {
	r.t.Helper()
	r.Eval(`[rabbit_networking:close_connection(Pid, "closed by the test") || Pid <- rabbit_networking:connections()], ok`)
}

// TLS says how a server listens for TLS.
type TLS struct {
	Server  Certificate
	Clients *Authority // whose certificates clients must show; nil: they need none
}

// ListenTLS has the server listen at a port of its own, until it is killed, and returns the amqps:// URL.
func (r *RabbitMQ) ListenTLS(conf TLS) string {
	r.t.Helper()
	ports, err := instance.FreePorts(r.t.Context(), 1)
	if err != nil {
		r.t.Fatal(err)
	}
	options := fmt.Sprintf("{certfile, %q}, {keyfile, %q}", conf.Server.File, conf.Server.Key)
	if conf.Clients != nil {
		options += fmt.Sprintf(", {cacertfile, %q}, {verify, verify_peer}, {fail_if_no_peer_cert, true}", conf.Clients.File)
	}
	r.Eval(fmt.Sprintf(`rabbit_networking:ensure_ssl(), ok = rabbit_networking:start_ssl_listener({"127.0.0.1", %d}, [%s], 1)`, ports[0], options))
	u, err := url.Parse(r.URL)
	if err != nil {
		r.t.Fatal("the server's address is not a URL") // the error would quote the password
	}
	u.Scheme, u.Host = "amqps", instance.Address(ports[0])
	return u.String()
}

// Eval runs an Erlang expression on the server and returns its value as text, for what AMQP cannot do:
//
//	r.Eval(`rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})`)
func (r *RabbitMQ) Eval(expression string) string {
	r.t.Helper()
	value, err := r.server.Eval(startContext(r.t), expression)
	if err != nil {
		r.t.Fatalf("RabbitMQ: %v", err)
	}
	return value
}

// PostgreSQL is a server that belongs to one test, to be killed and started again.
type PostgreSQL struct {
	URL string // the same after each start; role postgres, database postgres

	t      testing.TB
	server *instance.PostgreSQL
}

// StartPostgres starts a PostgreSQL for this test alone, which ends with the test. It takes two to four seconds.
func StartPostgres(t testing.TB) *PostgreSQL {
	t.Helper()
	server, err := instance.StartPostgreSQL(startContext(t))
	Started(t, "PostgreSQL", err)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return &PostgreSQL{URL: server.URL(), t: t, server: server}
}

// Kill ends the server at once and cuts every connection. What was committed comes back with Start.
func (p *PostgreSQL) Kill() {
	p.t.Helper()
	if err := p.server.Kill(); err != nil {
		p.t.Fatalf("kill PostgreSQL: %v", err)
	}
}

// Start starts the server again after Kill, at the same address, and waits until it answers.
func (p *PostgreSQL) Start() {
	p.t.Helper()
	if err := p.server.Start(startContext(p.t)); err != nil {
		p.t.Fatalf("start PostgreSQL again: %v", err)
	}
}

// Restart is Kill and Start.
func (p *PostgreSQL) Restart() {
	p.t.Helper()
	p.Kill()
	p.Start()
}

// TerminateBackends ends every client's connection with pg_terminate_backend and returns how many there were.
func (p *PostgreSQL) TerminateBackends() int {
	p.t.Helper()
	ended, err := p.server.TerminateBackends(startContext(p.t))
	if err != nil {
		p.t.Fatalf("PostgreSQL: %v", err)
	}
	return ended
}
