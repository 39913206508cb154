package amqp

import (
	"encoding/binary"
	"io"
	"sync"
)

// gatherMax is how much is gathered before it is written: one write under one deadline.
const gatherMax = writeChunk - 1<<10

// outlet is the writing half of a connection. The client library flushes each message by itself; the outlet gathers those of a lane until
// the lane says that there are no more just now, or until there is enough: one write for many saves both sides most of what a small
// message costs. All else goes out at once, behind what was gathered.
//
// It writes the contents of messages, too: the library is let publish an empty message, whose content header is replaced.
type outlet struct {
	w    io.Writer
	turn sync.Mutex // held by who gathers

	mu     sync.Mutex
	out    []byte // to be written
	err    error  // of w, for good
	gather bool   // somebody has more to write
	next   *load  // what takes the place of the next content header; nil: nothing

	head []byte // the beginning of a frame
	pass int    // bytes of the current frame that are to come
	drop bool   // they are not written
	raw  bool   // this is no AMQP: everything passes through
}

// load is the content of a message.
type load struct {
	header, body []byte // payloads
	frameMax     int    // negotiated for the connection
}

// publish lets write publish an empty message with the client library, and puts the content into it. What is written waits for flush, or
// for somebody else to write.
func (o *outlet) publish(content load, write func() (confirm, error)) (confirm, error) {
	o.turn.Lock()
	defer o.turn.Unlock()
	o.set(true, &content)
	defer o.set(false, nil)
	return write()
}

// together lets write write several frames with the client library. They wait as those of publish do.
func (o *outlet) together(write func() error) error {
	o.turn.Lock()
	defer o.turn.Unlock()
	o.set(true, nil)
	defer o.set(false, nil)
	return write()
}

func (o *outlet) set(gather bool, next *load) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gather, o.next = gather, next
}

// Write implements io.Writer.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for rest := p; len(rest) > 0 && o.err == nil; {
		rest = o.take(rest)
	}
	if !o.gather || len(o.out) > gatherMax {
		o.write()
	}
	if o.err != nil {
		return 0, o.err
	}
	return len(p), nil
}

// flush writes what was gathered.
func (o *outlet) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.write()
	return o.err
}

// write writes what is there. The caller holds mu.
func (o *outlet) write() {
	if len(o.out) == 0 || o.err != nil {
		return
	}
	_, o.err = o.w.Write(o.out)
	o.out = o.out[:0]
	if cap(o.out) > 4*writeChunk { // a large message
		o.out = nil
	}
}

// take takes a part of p, which may begin and end anywhere in a frame, and returns the rest.
func (o *outlet) take(p []byte) []byte {
	switch {
	case o.raw:
		o.out = append(o.out, p...)
		return nil
	case o.pass > 0:
		n := min(o.pass, len(p))
		if !o.drop {
			o.out = append(o.out, p[:n]...)
		}
		o.pass -= n
		return p[n:]
	}
	n := min(frameHead-len(o.head), len(p))
	o.head = append(o.head, p[:n]...)
	if len(o.head) == frameHead {
		o.begin(o.head)
		o.head = o.head[:0]
	}
	return p[n:]
}

// begin decides how the frame goes on of which the head is there.
func (o *outlet) begin(head []byte) {
	o.drop = false
	switch kind := head[0]; {
	case kind == typeHeader && o.next != nil:
		o.drop = true
		o.content(head, o.next)
		o.next = nil
		fallthrough
	case kind == typeMethod || kind == typeHeader || kind == typeBody || kind == typeHeartbeat:
		o.pass = int(binary.BigEndian.Uint32(head[3:])) + 1
	case string(head[:4]) == "AMQP": // the greeting, of eight bytes
		o.pass = 1
	default:
		o.raw = true
	}
	if !o.drop {
		o.out = append(o.out, head...)
	}
}

// content writes the frames of a content, on the channel that is named in the head of a frame.
func (o *outlet) content(head []byte, c *load) {
	o.append(typeHeader, head, c.header)
	most := c.frameMax - frameHead - 1
	for body := c.body; len(body) > 0 && o.err == nil; {
		n := min(most, len(body))
		o.append(typeBody, head, body[:n])
		if body = body[n:]; len(body) > 0 {
			o.write() // a large body need not be here as a whole
		}
	}
}

func (o *outlet) append(kind byte, head, payload []byte) {
	o.out = append(o.out, kind, head[1], head[2])
	o.out = binary.BigEndian.AppendUint32(o.out, uint32(len(payload)))
	o.out = append(append(o.out, payload...), frameEnd)
}
