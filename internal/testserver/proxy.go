package testserver

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy stands between a client and a server and breaks what is between them.
type Proxy struct {
	URL string // the server's URL, through the proxy

	t        testing.TB
	address  string // where it listens
	target   string // the server's host:port
	pumps    sync.WaitGroup
	mu       sync.Mutex
	listener net.Listener   // nil while it refuses
	pairs    map[*pair]bool // the connections it carries
	flow     chan struct{}  // closed while bytes flow
	stopped  bool
}

// pair is a client's connection and its counterpart at the server.
type pair struct {
	client, server net.Conn
	once           sync.Once
	closed         chan struct{} // closed by close
}

func (p *pair) close() {
	p.once.Do(func() {
		close(p.closed)
		_ = p.client.Close()
		_ = p.server.Close()
	})
}

// StartProxy starts a proxy on 127.0.0.1 for the server at a URL with host and port. It ends with the test.
func StartProxy(t testing.TB, server string) *Proxy {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil || u.Port() == "" {
		t.Fatal("proxy: the server's address is not a URL with a port")
	}
	p := &Proxy{t: t, target: u.Host, address: "127.0.0.1:0", pairs: map[*pair]bool{}, flow: make(chan struct{})}
	close(p.flow)
	p.listen()
	p.address = p.listener.Addr().String()
	u.Host = p.address
	p.URL = u.String()
	t.Cleanup(p.stop)
	return p
}

// Cut closes all connections; new ones are welcome.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// Stall stops the bytes in both directions and closes nothing, as a firewall or a dead cable does. New connections are
// accepted and hear nothing.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flowing() {
		p.flow = make(chan struct{})
	}
}

// Refuse closes all connections and refuses new ones.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.cut()
}

// Resume ends Stall and Refuse. The bytes that were held back flow.
func (p *Proxy) Resume() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.flowing() {
		close(p.flow)
	}
	if p.listener == nil {
		p.listen()
	}
}

// Connections is how many connections are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

func (p *Proxy) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.Refuse()
	p.pumps.Wait()
}

// The caller holds mu.
func (p *Proxy) flowing() bool {
	select {
	case <-p.flow:
		return true
	default:
		return false
	}
}

// The caller holds mu.
func (p *Proxy) cut() {
	for connection := range p.pairs {
		connection.close()
	}
	clear(p.pairs)
}

// The caller holds mu, but for the first time.
func (p *Proxy) listen() {
	p.t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(p.t.Context(), "tcp", p.address)
	if err != nil {
		p.t.Fatalf("proxy: %v", err)
	}
	p.listener = listener
	p.pumps.Go(func() { p.accept(listener) })
}

func (p *Proxy) accept(listener net.Listener) {
	var dialer net.Dialer
	for {
		client, err := listener.Accept()
		if err != nil {
			return // Refuse closed it
		}
		server, err := dialer.DialContext(p.t.Context(), "tcp", p.target)
		if err != nil {
			_ = client.Close() // a server that is down refuses through the proxy too
			continue
		}
		p.carry(listener, &pair{client: client, server: server, closed: make(chan struct{})})
	}
}

func (p *Proxy) carry(listener net.Listener, c *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.listener != listener { // refused while it was being connected
		c.close()
		return
	}
	p.pairs[c] = true
	p.pumps.Go(func() { p.pump(c, c.server, c.client) })
	p.pumps.Go(func() { p.pump(c, c.client, c.server) })
}

// pump copies one direction until either side closes.
func (p *Proxy) pump(c *pair, to io.Writer, from io.Reader) {
	defer func() {
		c.close()
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.waitForFlow(c) // the news that a side has closed is held back as well
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// waitForFlow waits while the proxy stalls.
func (p *Proxy) waitForFlow(c *pair) {
	p.mu.Lock()
	flow := p.flow
	p.mu.Unlock()
	select {
	case <-flow:
	case <-c.closed:
	}
}
