package amqp

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
)

const (
	methodDeliver = 60<<16 | 60              // class basic, method deliver
	deliverFixed  = 9                        // of its arguments: delivery tag, redelivered
	maxDeliver    = 4 + 3*256 + deliverFixed // its longest payload
	bodyTrusted   = 2 << 20                  // how much room is made for a body that is announced; for more when it comes
)

var errOutOfStep = errors.New("a frame does not end where it should")

// intake takes the deliveries to our own consumers out of what the broker sends. The client library never sees them: most of what it
// spends on a delivery goes into a table that would have to be copied, and into passing it from one goroutine to the next.
type intake struct {
	mu    sync.Mutex
	lines map[string]*line // by consumer tag

	parts map[uint16]*part // by channel; the reader's alone
}

// part is the delivery of a channel of which not everything has come.
type part struct {
	line    *line    // nil: there is none
	text    []byte   // what the method says, from the delivery tag on
	arrival *arrival // nil before the content header
	missing uint64   // bytes of the body
}

func newIntake() *intake {
	return &intake{lines: map[string]*line{}, parts: map[uint16]*part{}}
}

// open takes in what is delivered to the line's consumer tag, which is unique on the connection.
func (in *intake) open(l *line) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lines[l.tag] = l
}

// close leaves what is still delivered to the client library, which drops it.
func (in *intake) close(l *line) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.lines, l.tag)
}

func (in *intake) line(tag []byte) *line {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.lines[string(tag)]
}

// method looks at the payload of a method and takes it when it begins a delivery to one of our consumers.
func (in *intake) method(channel uint16, payload []byte) bool {
	in.interrupt(channel)
	if len(payload) < 4 || binary.BigEndian.Uint32(payload) != methodDeliver {
		return false
	}
	tag, rest, ok := cutDeliver(payload[4:])
	if !ok {
		return false // the library's to refuse
	}
	l := in.line(tag)
	if l == nil {
		return false
	}
	p := in.parts[channel]
	if p == nil {
		p = new(part)
		in.parts[channel] = p
	}
	p.line, p.arrival = l, nil
	p.text = append(p.text[:0], rest...)
	return true
}

// cutDeliver cuts the arguments of basic.deliver behind the consumer tag, once it has seen that they are whole.
//
//	consumer tag | delivery tag, 8 bytes | redelivered | exchange | routing key
func cutDeliver(args []byte) (tag, rest []byte, ok bool) {
	at := 0
	for i := range 3 {
		if at >= len(args) {
			return nil, nil, false
		}
		at += 1 + int(args[at])
		if i == 0 && at <= len(args) {
			tag, rest = args[1:at], args[at:]
			at += deliverFixed
		}
	}
	return tag, rest, at == len(args)
}

// header goes on with the payload of a content header; false when no delivery of ours waits for one.
func (in *intake) header(channel uint16, payload []byte) bool {
	p := in.parts[channel]
	if p == nil || p.line == nil {
		return false
	}
	if p.arrival != nil { // the rest of its body is missing: out of step, as the client library takes it
		p.line = nil
		return false
	}
	names := len(p.text) - deliverFixed
	p.text = append(p.text, payload...)
	p.arrival = &arrival{
		tag:         binary.BigEndian.Uint64(p.text),
		redelivered: p.text[deliverFixed-1]&1 != 0,
		text:        string(p.text[deliverFixed:]),
		header:      names,
	}
	p.missing = 0
	if len(payload) >= headerFixed {
		p.missing = binary.BigEndian.Uint64(payload[4:])
	}
	p.arrival.body = make([]byte, 0, min(p.missing, bodyTrusted))
	if p.missing == 0 {
		p.done()
	}
	return true
}

// body returns the delivery that a body frame of the channel belongs to; nil when it is none of ours.
func (in *intake) body(channel uint16) *part {
	p := in.parts[channel]
	if p == nil || p.line == nil {
		return nil
	}
	if p.arrival == nil {
		p.line = nil
		return nil
	}
	return p
}

// interrupt gives up a delivery, because a method came in its middle.
func (in *intake) interrupt(channel uint16) {
	if p := in.parts[channel]; p != nil {
		p.line = nil
	}
}

// add goes on with a piece of the body.
func (p *part) add(piece []byte) {
	p.arrival.body = append(p.arrival.body, piece...)
	p.missing -= min(p.missing, uint64(len(piece)))
}

// read reads a piece of the body, of most bytes at the most.
func (p *part) read(r io.Reader, most int) (int, error) {
	body := slices.Grow(p.arrival.body, most)
	n, err := r.Read(body[len(body) : len(body)+most])
	p.arrival.body = body[:len(body)+n]
	p.missing -= min(p.missing, uint64(n)) //nolint:gosec // a count
	return n, err
}

func (p *part) endOfFrame() {
	if p.missing == 0 {
		p.done()
	}
}

// done hands the delivery on.
func (p *part) done() {
	p.line.put(p.arrival)
	p.line, p.arrival = nil, nil
}
