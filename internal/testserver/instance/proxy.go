package instance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
)

// Proxy stands between clients and a server and breaks what is between them, each direction by itself. It is safe for
// concurrent use. Without faults it carries bytes as they come.
type Proxy struct {
	URL string // the server's URL, through the proxy

	address string // where it listens
	target  string // the server's host:port
	pumps   sync.WaitGroup
	ctx     context.Context // ends with Close; for dials, which nobody waits for otherwise
	end     context.CancelFunc

	mu       sync.Mutex
	listener net.Listener      // nil while it refuses
	pairs    map[*pair]bool    // the connections it carries
	hole     bool              // new connections are accepted and left alone
	held     map[net.Conn]bool // those
	links    [2]link           // by Direction
	stopped  bool
}

// Direction is one of the two ways through a proxy.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// String implements fmt.Stringer.
func (d Direction) String() string {
	if d == ToServer {
		return "client to server"
	}
	return "server to client"
}

// pair is a client's connection and its counterpart at the server.
type pair struct {
	client, server net.Conn
	once           sync.Once
	closed         chan struct{} // closed by close
	deaf           [2]bool       // by Direction: its receiver was told that nothing more comes; guarded by Proxy.mu
}

func (p *pair) close() {
	p.once.Do(func() {
		close(p.closed)
		_ = p.client.Close()
		_ = p.server.Close()
	})
}

// receiver is who gets the bytes of a direction.
func (p *pair) receiver(d Direction) net.Conn {
	if d == ToServer {
		return p.server
	}
	return p.client
}

// sender is where the bytes of a direction come from.
func (p *pair) sender(d Direction) net.Conn { return p.receiver(1 - d) }

// StartProxy starts a proxy on 127.0.0.1 for the server at a URL with host and port. It runs until Close.
func StartProxy(server string) (*Proxy, error) {
	u, err := url.Parse(server)
	if err != nil || u.Port() == "" {
		return nil, errors.New("instance: proxy: the server's address is not a URL with a port")
	}
	p := &Proxy{target: u.Host, address: "127.0.0.1:0", pairs: map[*pair]bool{}, held: map[net.Conn]bool{}}
	// no caller's context: the proxy outlives the call that starts it
	p.ctx, p.end = context.WithCancel(context.Background())
	for d := range p.links {
		p.links[d].heal()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.listen(); err != nil {
		p.end()
		return nil, err
	}
	p.address = p.listener.Addr().String()
	u.Host = p.address
	p.URL = u.String()
	return p, nil
}

// Close closes everything and waits for the proxy's goroutines.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.end()
	p.Refuse()
	p.pumps.Wait()
}

// The caller holds mu.
func (p *Proxy) listen() error {
	var config net.ListenConfig
	listener, err := config.Listen(p.ctx, "tcp", p.address)
	if err != nil {
		return fmt.Errorf("instance: proxy: %w", err)
	}
	p.listener = listener
	p.pumps.Go(func() { p.accept(listener) })
	return nil
}

func (p *Proxy) accept(listener net.Listener) {
	var dialer net.Dialer
	for {
		client, err := listener.Accept()
		if err != nil {
			return // Refuse closed it
		}
		if p.swallow(client) {
			continue
		}
		server, err := dialer.DialContext(p.ctx, "tcp", p.target)
		if err != nil {
			_ = client.Close() // a server that is down refuses through the proxy too
			continue
		}
		p.carry(listener, &pair{client: client, server: server, closed: make(chan struct{})})
	}
}

// swallow keeps a connection that falls into the black hole.
func (p *Proxy) swallow(client net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hole {
		p.held[client] = true
	}
	return p.hole
}

func (p *Proxy) carry(listener net.Listener, c *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.listener != listener { // refused while it was being connected
		c.close()
		return
	}
	p.pairs[c] = true
	for _, d := range []Direction{ToServer, ToClient} {
		chunks := make(chan chunk, queued)
		p.pumps.Go(func() { p.read(c, d, chunks) })
		p.pumps.Go(func() { p.write(c, d, chunks) })
	}
}
