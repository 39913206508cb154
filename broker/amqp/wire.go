package amqp

import (
	"net"
	"time"
)

// writeChunk is how much is written under one deadline: small enough that a slow link (64 kbit/s) makes progress within it.
const writeChunk = 16 << 10

// deadlineConn bounds every write in time. Without it a peer that stops reading blocks the client library for good: its writer
// holds the locks that its own heartbeat and shutdown need.
type deadlineConn struct {
	net.Conn
	timeout time.Duration
}

// Write implements net.Conn.
func (c *deadlineConn) Write(p []byte) (int, error) {
	written := 0
	for {
		chunk := p[written:min(len(p), written+writeChunk)]
		if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(chunk)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}
