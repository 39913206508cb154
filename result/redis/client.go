package redis

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/redis/rueidis"
)

// oneConnection carries the commands of all goroutines; the subscription has another one. With more, each write holds fewer commands and
// the server, which has one thread, gets through less (BenchmarkStore).
const oneConnection = -1

// options say how the client library connects. It only ever retries here what is written here: with its own retries a waiter could
// not tell how long it waits.
func (b *Backend) options() rueidis.ClientOption {
	ep := b.endpoint
	return rueidis.ClientOption{
		InitAddress: []string{ep.address}, Username: ep.username, Password: ep.password, SelectDB: ep.database, ClientName: ep.name,
		ClientSetInfo: rueidis.DisableClientSetInfo, AlwaysRESP2: ep.resp2,
		Dialer: net.Dialer{Timeout: ep.connect}, ConnWriteTimeout: ep.answer, DialCtxFn: b.dial,
		DisableCache: true, DisableRetry: true, ForceSingleClient: true, PipelineMultiplex: oneConnection,
		// else a context that ends in the middle of a command takes the connection, and what others sent on it, with it
		AlwaysPipelining:   true,
		ReadBufferEachConn: 64 << 10, WriteBufferEachConn: 64 << 10,
	}
}

// dial makes one connection, which ends with the store.
func (b *Backend) dial(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.life, cancel)()
	conn, err := b.connect(ctx, address, dialer)
	if err != nil {
		return nil, err
	}
	return &mortal{Conn: conn, spared: context.AfterFunc(b.life, func() { _ = conn.Close() })}, nil
}

func (b *Backend) connect(ctx context.Context, address string, dialer *net.Dialer) (net.Conn, error) {
	if b.endpoint.tls == nil {
		return dialer.DialContext(ctx, "tcp", address)
	}
	conf, err := b.endpoint.tls.Config()
	if err != nil {
		return nil, err
	}
	secure := tls.Dialer{NetDialer: dialer, Config: conf}
	return secure.DialContext(ctx, "tcp", address)
}

// mortal is a connection that is closed with the store: the client library would wait for the greeting of a server that is silent.
type mortal struct {
	net.Conn
	spared func() bool // by being closed before
}

// Close implements net.Conn.
func (m *mortal) Close() error {
	m.spared()
	return m.Conn.Close()
}
