package amqp

import (
	"encoding/binary"
	"slices"
)

// priorities gives the messages that are sent without a priority the priority 0. To the broker both are the same, but Celery sends
// the 0, which tasks in Python can see, and the client library has no way to. It is a filter over what the library writes, in which
// frames may be cut anywhere.
type priorities struct {
	pass int    // bytes of the current frame that pass through
	held []byte // the beginning of a frame
	out  []byte
	off  bool // this is no AMQP: everything passes through
}

// filter returns what to write for p: p itself, or bytes that are valid until the next call. What p ends within is kept until then.
func (f *priorities) filter(p []byte) []byte {
	if f.off || len(p) <= f.pass {
		f.pass = max(0, f.pass-len(p))
		return p
	}
	f.out = f.out[:0]
	for len(p) > 0 && !f.off {
		n := min(f.pass, len(p))
		f.out, p, f.pass = append(f.out, p[:n]...), p[n:], f.pass-n
		n = min(f.missing(), len(p))
		f.held, p = append(f.held, p[:n]...), p[n:]
		if len(f.held) > 0 && f.missing() == 0 {
			f.out = append(f.out, f.frame()...)
			f.held = f.held[:0]
		}
	}
	return append(f.out, p...)
}

// missing is how much more of the frame is needed: its head, and of a content header all.
func (f *priorities) missing() int {
	switch {
	case f.pass > 0:
		return 0
	case len(f.held) < frameHead:
		return frameHead - len(f.held)
	case f.held[0] == typeHeader:
		return max(0, frameHead+int(binary.BigEndian.Uint32(f.held[3:]))+1-len(f.held))
	}
	return 0
}

// frame returns what is held, and decides how the frame goes on.
func (f *priorities) frame() []byte {
	size := int(binary.BigEndian.Uint32(f.held[3:]))
	switch {
	case f.held[0] == typeHeader:
		return withPriority(f.held)
	case f.held[0] == typeMethod || f.held[0] == typeBody || f.held[0] == typeHeartbeat:
		f.pass = size + 1
	case string(f.held[:4]) == "AMQP": // the greeting, of eight bytes
		f.pass = 1
	default:
		f.off = true
	}
	return f.held
}

// withPriority adds the priority 0 to a content-header frame that has none.
func withPriority(frame []byte) []byte {
	payload := frame[frameHead : len(frame)-1]
	if len(payload) < headerFixed {
		return frame
	}
	flags := binary.BigEndian.Uint16(payload[flagsAt:])
	_, end, err := locateTable(payload, flags)
	if err != nil || flags&flagPriority != 0 {
		return frame
	}
	at := headerFixed
	for _, bit := range []uint16{flagType, flagEncoding} { // short strings, which locateTable has measured
		if flags&bit != 0 {
			at += 1 + int(payload[at])
		}
	}
	if flags&flagHeaders != 0 {
		at = end
	}
	if flags&flagMode != 0 {
		at++
	}
	frame = slices.Insert(frame, frameHead+at, 0)
	binary.BigEndian.PutUint32(frame[3:], uint32(len(payload)+1))
	binary.BigEndian.PutUint16(frame[frameHead+flagsAt:], flags|flagPriority)
	return frame
}
