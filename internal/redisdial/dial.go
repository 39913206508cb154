// Package redisdial is what everything here that speaks Redis does with the address of a server: it reads the URL as Celery does, makes
// connections that end with their owner, and says what errors mean, without passwords.
package redisdial

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/redis/rueidis"
)

// oneConnection carries the commands of all goroutines; a subscription has another one. With more, each write holds fewer commands and
// the server, which has one thread, gets through less (BenchmarkStore in result/redis).
const oneConnection = -1

// Options say how the client library connects. It only ever retries what its user does: with retries of its own a waiter could not tell
// how long it waits. Connections, and attempts to make one, end with life.
func (ep *Endpoint) Options(life context.Context) rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress: []string{ep.address}, Username: ep.username, Password: ep.password, SelectDB: ep.database, ClientName: ep.name,
		ClientSetInfo: rueidis.DisableClientSetInfo, AlwaysRESP2: ep.resp2,
		Dialer: net.Dialer{Timeout: ep.connect}, ConnWriteTimeout: ep.answer,
		DialCtxFn: func(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return ep.dial(ctx, life, address, dialer)
		},
		DisableCache: true, DisableRetry: true, ForceSingleClient: true, PipelineMultiplex: oneConnection,
		// else a context that ends in the middle of a command takes the connection, and what others sent on it, with it
		AlwaysPipelining:   true,
		ReadBufferEachConn: 64 << 10, WriteBufferEachConn: 64 << 10,
	}
}

// dial makes one connection, which ends with life.
func (ep *Endpoint) dial(ctx, life context.Context, address string, dialer *net.Dialer) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	conn, err := ep.open(ctx, address, dialer)
	if err != nil {
		return nil, err
	}
	return &mortal{Conn: conn, spared: context.AfterFunc(life, func() { _ = conn.Close() })}, nil
}

func (ep *Endpoint) open(ctx context.Context, address string, dialer *net.Dialer) (net.Conn, error) {
	if ep.tls == nil {
		return dialer.DialContext(ctx, "tcp", address)
	}
	conf, err := ep.tls.Config()
	if err != nil {
		return nil, err
	}
	secure := tls.Dialer{NetDialer: dialer, Config: conf}
	return secure.DialContext(ctx, "tcp", address)
}

// mortal is a connection that is closed with its owner: the client library would wait for the greeting of a server that is silent.
type mortal struct {
	net.Conn
	spared func() bool // by being closed before
}

// Close implements net.Conn.
func (m *mortal) Close() error {
	m.spared()
	return m.Conn.Close()
}
