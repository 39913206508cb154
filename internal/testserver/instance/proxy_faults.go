package instance

import (
	"net"
	"time"
)

// Cut resets all connections (RST), as a crashed host does; new ones are welcome.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut(true)
}

// CloseConnections closes all connections in good order (FIN); new ones are welcome.
func (p *Proxy) CloseConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut(false)
}

// HalfClose tells the receivers of one direction that nothing more comes (FIN) and drops what is sent to them. The other direction
// of these connections flows on.
func (p *Proxy) HalfClose(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.deaf[d] = true
		if conn, ok := c.receiver(d).(*net.TCPConn); ok {
			_ = conn.CloseWrite() // it may be closed already
		}
	}
}

// Stall stops the bytes and closes nothing, as a firewall or a dead cable does: in the directions named, or in both. New
// connections are accepted and stall as well.
func (p *Proxy) Stall(directions ...Direction) {
	if len(directions) == 0 {
		directions = []Direction{ToServer, ToClient}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range directions {
		p.links[d].stall()
	}
}

// Delay holds every byte of a direction back for delay, give or take jitter. Bytes stay in order.
func (p *Proxy) Delay(d Direction, delay, jitter time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[d].delay, p.links[d].jitter = delay, jitter
}

// Limit lets so many bytes a second through in one direction, over all connections; 0 is no limit.
func (p *Proxy) Limit(d Direction, bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[d].rate, p.links[d].free = bytesPerSecond, time.Time{}
}

// Truncate lets exactly n more bytes through in one direction, over all connections. The connection that brings the next one ends
// there: its receiver sees a close, its sender a reset. It happens once.
func (p *Proxy) Truncate(d Direction, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[d].truncateAt = p.links[d].bytes + n
}

// Corrupt flips all bits of the byte that comes after n more in one direction, over all connections. It happens once.
func (p *Proxy) Corrupt(d Direction, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[d].corruptAt = p.links[d].bytes + n
}

// BlackHole accepts new connections and answers nothing, as a load balancer without a server does. Existing ones go on.
func (p *Proxy) BlackHole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = true
}

// Refuse closes all connections and refuses new ones.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.drain()
	p.cut(false)
}

// Resume ends every fault. The bytes that were held back flow; connections in the black hole are closed.
func (p *Proxy) Resume() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = false
	p.drain()
	for d := range p.links {
		p.links[d].heal()
	}
	if p.listener != nil || p.stopped {
		return nil
	}
	return p.listen()
}

// Connections is how many connections it carries.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Bytes is how many bytes it has passed on in one direction so far.
func (p *Proxy) Bytes(d Direction) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.links[d].bytes
}

// drain closes what is in the black hole. The caller holds mu.
func (p *Proxy) drain() {
	for conn := range p.held {
		_ = conn.Close()
	}
	clear(p.held)
}

// The caller holds mu.
func (p *Proxy) cut(reset bool) {
	for c := range p.pairs {
		if reset {
			abort(c.client)
			abort(c.server)
		}
		c.close()
	}
	clear(p.pairs)
}

// abort makes the close of a connection a reset, which drops what its peer has not got yet.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it may be closed already
	}
}
