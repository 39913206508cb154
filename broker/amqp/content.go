package amqp

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
)

const (
	classBasic     = 60
	modeTransient  = 1
	modePersistent = 2
	contentHint    = 768 // room for the content header of an ordinary call
)

// contentWriter writes the payload of a content-header frame (see header.go for its layout). The client library could, too, but walks
// over every header twice for it, and has no way to send the priority 0: to the broker that is the same as none, but Celery sends it,
// and tasks in Python can see it.
type contentWriter struct {
	bytes []byte
	flags uint16
	next  uint16 // flag of the next property
}

// encodeContent writes the properties of a message, which were checked, and its headers, which it checks. It returns the size of the
// headers, too.
func encodeContent(msg broker.Message, expiration string) (payload []byte, headers int, flaw *record.Misfit) {
	w := contentWriter{bytes: make([]byte, 0, contentHint), next: flagType}
	w.bytes = append(w.bytes, 0, classBasic, 0, 0)
	w.bytes = binary.BigEndian.AppendUint64(w.bytes, uint64(len(msg.Body)))
	w.bytes = append(w.bytes, 0, 0) // the flags
	w.text(msg.ContentType)
	w.text(msg.ContentEncoding)
	if headers, flaw = w.headers(msg.Headers); flaw != nil {
		return nil, 0, flaw
	}
	mode := byte(modePersistent)
	if msg.Transient {
		mode = modeTransient
	}
	w.octet(mode)
	w.octet(msg.Priority)
	w.text(msg.CorrelationID)
	w.text(msg.ReplyTo)
	w.text(expiration)
	w.text(msg.MessageID)
	w.timestamp(msg.Timestamp)
	w.text(msg.Type)
	w.text("") // user-id
	w.text(msg.AppID)
	binary.BigEndian.PutUint16(w.bytes[flagsAt:], w.flags)
	return w.bytes, headers, nil
}

// has says whether the next property is there.
func (w *contentWriter) has(is bool) bool {
	if is {
		w.flags |= w.next
	}
	w.next >>= 1
	return is
}

func (w *contentWriter) text(s string) {
	if w.has(s != "") {
		w.bytes = append(append(w.bytes, byte(len(s))), s...)
	}
}

func (w *contentWriter) octet(b byte) {
	w.has(true)
	w.bytes = append(w.bytes, b)
}

func (w *contentWriter) timestamp(t time.Time) {
	if w.has(!t.IsZero()) {
		w.bytes = binary.BigEndian.AppendUint64(w.bytes, uint64(t.Unix()))
	}
}

func (w *contentWriter) headers(table broker.Table) (size int, flaw *record.Misfit) {
	start := len(w.bytes)
	if w.bytes, flaw = appendTable(w.bytes, table, 0); flaw != nil {
		return 0, flaw
	}
	if size = len(w.bytes) - start; !w.has(size > lengthSize) {
		w.bytes = w.bytes[:start]
	}
	return size, nil
}

const lengthSize = 4 // of a table, list or long string

// appendTable writes a table in the types that every peer reads alike, with its length in front.
func appendTable(b []byte, table broker.Table, depth int) ([]byte, *record.Misfit) {
	if depth > maxDepth || len(table) > maxEntries {
		return nil, &record.Misfit{Why: record.TooMuch()}
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	for name, value := range table {
		if len(name) > record.MaxShort {
			return nil, &record.Misfit{Path: " name", Why: record.TooLong(name)}
		}
		entry := len(b)
		b = append(append(b, byte(len(name))), name...)
		var flaw *record.Misfit
		if b, flaw = appendValue(b, value, depth); flaw != nil {
			return nil, flaw.Within(name)
		}
		if depth == 0 && isDeadLetterHeader(name) {
			b = b[:entry]
		}
	}
	return putLength(b, at), nil
}

func appendArray(b []byte, values []any, depth int) ([]byte, *record.Misfit) {
	if depth > maxDepth || len(values) > maxEntries {
		return nil, &record.Misfit{Why: record.TooMuch()}
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	for _, value := range values {
		var flaw *record.Misfit
		if b, flaw = appendValue(b, value, depth); flaw != nil {
			return nil, flaw
		}
	}
	return putLength(b, at), nil
}

// putLength writes the length of what b ends with, at the place that was left for it.
func putLength(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-lengthSize))
	return b
}

// appendValue writes a value behind its type tag.
func appendValue(b []byte, value any, depth int) ([]byte, *record.Misfit) {
	switch v := value.(type) {
	case []any:
		return appendArray(append(b, 'A'), v, depth+1)
	case broker.Table:
		return appendTable(append(b, 'F'), v, depth+1)
	}
	if flaw := record.Flaw(value); flaw != "" {
		return nil, &record.Misfit{Why: flaw}
	}
	switch v := value.(type) {
	case bool:
		if v {
			return append(b, 't', 1), nil
		}
		return append(b, 't', 0), nil
	case string:
		return append(binary.BigEndian.AppendUint32(append(b, 'S'), uint32(len(v))), v...), nil
	case []byte:
		return append(binary.BigEndian.AppendUint32(append(b, 'x'), uint32(len(v))), v...), nil
	case int32:
		return binary.BigEndian.AppendUint32(append(b, 'I'), uint32(v)), nil
	case int64:
		return binary.BigEndian.AppendUint64(append(b, 'l'), uint64(v)), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'd'), math.Float64bits(v)), nil
	case time.Time:
		return binary.BigEndian.AppendUint64(append(b, 'T'), uint64(v.Unix())), nil
	}
	return append(b, 'V'), nil // nil, the last of those that have no flaw
}
