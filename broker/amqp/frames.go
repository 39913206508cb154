package amqp

import (
	"encoding/binary"
	"net"
)

// Frames of AMQP 0-9-1 (section 2.3.5): type, channel, size of the payload, payload, end octet.
const (
	frameHead      = 7
	frameEnd       = 0xCE
	frameMax       = 128 << 10 // asked for, as RabbitMQ's own default
	typeMethod     = 1
	typeHeader     = 2
	typeBody       = 3
	typeHeartbeat  = 8
	tlsAlert       = 21
	maxHeaderFrame = 1 << 20 // above any negotiated frame size: such a frame is left to the client library to refuse
)

// frameConn is the connection that the client library reads from and writes to. What is read it cuts into frames, takes the deliveries
// to our own consumers out (intake) and repairs content headers (repairHeader); everything else passes through as it is. What is written
// goes through an outlet.
type frameConn struct {
	net.Conn
	broken chan error // gets the first error of the socket; buffered, never closed

	greeted bool // our properties were sent; the writer's alone
	outlet  outlet

	intake *intake
	into   *part // the delivery to which the current frame, of a body, goes; nil when that passes through
	taken  bool  // frames were taken out since the reader got something

	buf  []byte // read from the socket; buf[r:] is not looked at yet
	r    int
	out  []byte // a repaired frame, on its way to the reader
	pass int    // bytes of the current frame that pass through
	raw  bool   // this is no AMQP: everything passes through
	err  error  // the socket's, delivered when the rest is
}

func newFrameConn(conn net.Conn) *frameConn {
	return &frameConn{
		Conn: conn, outlet: outlet{w: conn}, broken: make(chan error, 1), intake: newIntake(), buf: make([]byte, 0, 32<<10),
	}
}

// Write implements net.Conn.
func (c *frameConn) Write(p []byte) (int, error) {
	out := p
	if !c.greeted { // the client library flushes each frame of the handshake by itself
		out = withCapability(p)
		c.greeted = len(out) > len(p)
	}
	if _, err := c.outlet.Write(out); err != nil {
		c.report(err)
		return 0, err // the library gives the connection up
	}
	return len(p), nil
}

// flush writes what the outlet has gathered. Its error ends the session, as that of any write does.
func (c *frameConn) flush() error {
	err := c.outlet.flush()
	if err != nil {
		c.report(err)
	}
	return err
}

func (c *frameConn) report(err error) {
	select {
	case c.broken <- err:
	default: // the first one is the cause
	}
}

// Read implements net.Conn. It has one caller, the client library's reader.
func (c *frameConn) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if n := c.take(p); n > 0 {
			return n, nil
		}
		if c.err != nil {
			c.report(c.err)
			return 0, c.err
		}
		if c.taken && (c.pass == 0 || c.into != nil) {
			// The library measures by what it reads whether the broker is alive. A heartbeat stands for what was taken out.
			c.out, c.taken = heartbeat(), false
			continue
		}
		if c.into != nil && c.r == len(c.buf) && c.pass > cap(c.buf) { // a big body: straight into the delivery
			n, err := c.into.read(c.Conn, c.pass-1)
			c.pass -= n
			c.err, c.taken = err, n > 0
			continue
		}
		if c.into == nil && c.pass > len(p) && len(p) >= cap(c.buf)/2 { // likewise, into the reader's buffer
			n, err := c.Conn.Read(p)
			c.pass -= n
			c.err = err
			if n > 0 {
				return n, nil
			}
			continue
		}
		c.fill()
	}
	return 0, nil
}

// take copies to p what can be delivered without reading from the socket.
func (c *frameConn) take(p []byte) int {
	n := 0
	for n < len(p) {
		switch rest := c.buf[c.r:]; {
		case len(c.out) > 0:
			k := copy(p[n:], c.out)
			c.out = c.out[k:]
			n += k
		case len(rest) == 0:
			return n
		case c.into != nil:
			c.absorb(rest)
		case c.pass > 0 || c.raw:
			if !c.raw {
				rest = rest[:min(len(rest), c.pass)]
			}
			k := copy(p[n:], rest)
			c.r += k
			c.pass = max(0, c.pass-k)
			n += k
		case c.next(rest): // it decided how the frame goes on
		case c.err != nil: // it stays incomplete
			c.raw = true
		default:
			return n
		}
	}
	return n
}

// next looks at the frame that starts rest. It returns false when more of it is needed.
func (c *frameConn) next(rest []byte) bool {
	switch rest[0] {
	case typeMethod, typeHeader, typeBody, typeHeartbeat:
	case tlsAlert:
		c.report(errSpeaksTLS) // it is no AMQP frame, and what TLS answers to AMQP's greeting
		c.raw = true
		return true
	default:
		c.raw = true
		return true
	}
	if len(rest) < frameHead {
		return false
	}
	size, channel := int(binary.BigEndian.Uint32(rest[3:])), binary.BigEndian.Uint16(rest[1:])
	whole := frameHead + size + 1
	switch {
	case rest[0] == typeBody && size <= frameMax:
		if c.into = c.intake.body(channel); c.into != nil {
			c.r += frameHead
			c.pass = size + 1
			return true
		}
	case rest[0] == typeMethod && size > maxDeliver:
		c.intake.interrupt(channel)
	case rest[0] == typeMethod, rest[0] == typeHeader && size <= maxHeaderFrame:
		if len(rest) < whole {
			return false
		}
		c.r += whole
		c.judge(rest[:whole], channel)
		return true
	}
	c.pass = whole
	return true
}

// judge takes a method or a content header out, or lets it through.
func (c *frameConn) judge(frame []byte, channel uint16) {
	payload := frame[frameHead : len(frame)-1]
	switch {
	case frame[len(frame)-1] != frameEnd: // out of step: the library's to refuse
		c.out = frame
	case frame[0] == typeMethod:
		if c.intake.method(channel, payload) {
			c.taken = true
		} else {
			c.out = frame
		}
	case c.intake.header(channel, payload):
		c.taken = true
	default:
		c.out = repairFrame(frame)
	}
}

// absorb takes a piece of the body frame that goes to a delivery.
func (c *frameConn) absorb(rest []byte) {
	c.taken = true
	piece := rest[:min(len(rest), c.pass-1)] // the end octet is no part of it
	c.into.add(piece)
	c.r += len(piece)
	c.pass -= len(piece)
	if len(piece) == len(rest) {
		return
	}
	end := rest[len(piece)]
	if end != frameEnd {
		c.buf, c.r, c.err = c.buf[:0], 0, errOutOfStep
	} else {
		c.r++
		c.into.endOfFrame()
	}
	c.into, c.pass = nil, 0
}

// heartbeat is a frame that says that the broker is alive, and nothing else.
func heartbeat() []byte { return []byte{typeHeartbeat, 0, 0, 0, 0, 0, 0, frameEnd} }

// fill reads from the socket behind what is there, making room first.
func (c *frameConn) fill() {
	rest := copy(c.buf, c.buf[c.r:])
	c.buf, c.r = c.buf[:rest], 0
	if rest == cap(c.buf) { // a header frame larger than the buffer
		c.buf = append(make([]byte, 0, 2*cap(c.buf)), c.buf...)
	}
	n, err := c.Conn.Read(c.buf[rest:cap(c.buf)])
	c.buf = c.buf[:rest+n]
	c.err = err
}

// repairFrame returns a content-header frame that the client library can read: frame itself, changed in place, or a new one.
func repairFrame(frame []byte) []byte {
	if frame[len(frame)-1] != frameEnd {
		return frame // out of step: the library's to refuse
	}
	payload := frame[frameHead : len(frame)-1]
	repaired, replaced := repairHeader(payload)
	if !replaced {
		return frame
	}
	out := make([]byte, 0, frameHead+len(repaired)+1)
	out = append(out, frame[:3]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(repaired)))
	out = append(out, repaired...)
	return append(out, frameEnd)
}
