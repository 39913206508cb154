package instance

import (
	"math/rand/v2"
	"net"
	"time"
)

const (
	chunkSize = 16 << 10
	queued    = 64 // chunks of a direction that may be under way; more would hide a slow receiver from the sender
	never     = -1
)

// link is what is wrong with one direction. Proxy.mu guards it.
type link struct {
	flow          chan struct{} // closed while bytes flow
	delay, jitter time.Duration
	rate          int       // bytes per second; 0: no limit
	free          time.Time // when the next byte may pass, with a rate
	bytes         int64     // passed so far
	truncateAt    int64     // of bytes; never: not
	corruptAt     int64
}

// heal ends all faults and keeps the count.
func (l *link) heal() {
	flow := l.flow
	if flow == nil {
		flow = make(chan struct{})
	}
	select {
	case <-flow:
	default:
		close(flow)
	}
	*l = link{flow: flow, bytes: l.bytes, truncateAt: never, corruptAt: never}
}

func (l *link) stall() {
	select {
	case <-l.flow:
		l.flow = make(chan struct{})
	default: // it stalls
	}
}

// piece is how much of n bytes may pass at once.
func (l *link) piece(n int) int {
	if l.rate > 0 {
		n = min(n, max(1, l.rate/20))
	}
	if l.truncateAt != never {
		n = int(min(int64(n), l.truncateAt-l.bytes))
	}
	return n
}

// chunk is what was read at once.
type chunk struct {
	data []byte
	due  time.Time
}

// read takes in the bytes of a direction until their sender ends or the pair is closed.
func (p *Proxy) read(c *pair, d Direction, chunks chan<- chunk) {
	defer close(chunks)
	for {
		data := make([]byte, chunkSize)
		n, err := c.sender(d).Read(data)
		p.waitForFlow(c, d) // the news that a side has closed is held back as well
		if err != nil {
			return
		}
		select {
		case chunks <- chunk{data[:n], p.due(d)}:
		case <-c.closed:
			return
		}
	}
}

func (p *Proxy) due(d Direction) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.links[d]
	due := time.Now().Add(l.delay)
	if l.jitter > 0 {
		due = due.Add(rand.N(2*l.jitter) - l.jitter)
	}
	return due
}

// write passes the bytes of a direction on, and closes the pair when there are no more.
func (p *Proxy) write(c *pair, d Direction, chunks <-chan chunk) {
	defer func() {
		c.close()
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	for chunk := range chunks {
		if !waitUntil(chunk.due, c.closed) {
			return
		}
		for rest := chunk.data; len(rest) > 0; {
			p.waitForFlow(c, d)
			n, ok := p.pass(c, d, rest)
			if !ok {
				return
			}
			rest = rest[n:]
		}
	}
}

// pass passes on as many of the bytes as the link lets through at once; false ends the connection.
func (p *Proxy) pass(c *pair, d Direction, data []byte) (int, bool) {
	to, n, free := p.take(c, d, data)
	if n == 0 {
		abort(c.sender(d))
		return 0, false
	}
	if !waitUntil(free, c.closed) {
		return 0, false
	}
	if to == nil {
		return n, true
	}
	_, err := to.Write(data[:n])
	return n, err == nil
}

// take decides about the next bytes: who gets them (nil: nobody), how many (0: the connection ends) and when.
func (p *Proxy) take(c *pair, d Direction, data []byte) (to net.Conn, n int, free time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.links[d]
	if n = l.piece(len(data)); n == 0 {
		l.truncateAt = never
		return nil, 0, free
	}
	if at := l.corruptAt - l.bytes; l.corruptAt != never && at < int64(n) {
		data[at] ^= 0xff
		l.corruptAt = never
	}
	if l.rate > 0 {
		if now := time.Now(); l.free.Before(now) {
			l.free = now
		}
		l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
	}
	l.bytes += int64(n)
	if c.deaf[d] {
		return nil, n, l.free
	}
	return c.receiver(d), n, l.free
}

// waitForFlow waits while the direction stalls.
func (p *Proxy) waitForFlow(c *pair, d Direction) {
	p.mu.Lock()
	flow := p.links[d].flow
	p.mu.Unlock()
	select {
	case <-flow:
	case <-c.closed:
	}
}

// waitUntil returns false when closed is closed before.
func waitUntil(due time.Time, closed <-chan struct{}) bool {
	left := time.Until(due)
	if left <= 0 {
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-closed:
		return false
	}
}
