// Package record writes messages down, exactly: every property, and every header with its type. Stores of messages are built on it.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// layoutVersion is the first byte of a message's record, so that the layout can change.
const layoutVersion = 1

// ErrDamaged is wrapped by the errors of what is no record of this version.
var ErrDamaged = errors.New("damaged record")

// The tags of values, AMQP's where it has one (AMQP 0-9-1, field-value).
const (
	tagNil    = 'V'
	tagFalse  = 'f'
	tagTrue   = 't'
	tagString = 'S'
	tagBytes  = 'x'
	tagInt32  = 'I'
	tagInt64  = 'l'
	tagFloat  = 'd'
	tagTime   = 'T'
	tagList   = 'A'
	tagTable  = 'F'
)

// Encode writes all of the message but its body, which Check lets pass. Lengths and numbers are varints, and every header keeps its type.
func Encode(msg broker.Message) []byte {
	transient := byte(0)
	if msg.Transient {
		transient = 1
	}
	b := append(make([]byte, 0, 256), layoutVersion, transient, msg.Priority)
	for _, s := range []string{
		msg.ContentType, msg.ContentEncoding, msg.CorrelationID, msg.ReplyTo, msg.MessageID, msg.Type, msg.AppID,
	} {
		b = appendString(b, s)
	}
	b = binary.AppendVarint(b, int64(msg.Expiration))
	b = appendTime(b, msg.Timestamp)
	if msg.Headers == nil {
		return append(b, tagNil)
	}
	return appendValue(b, msg.Headers)
}

func appendString[S string | []byte](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTime writes seconds; the zero time is far outside of what a timestamp can be.
func appendTime(b []byte, t time.Time) []byte { return binary.AppendVarint(b, t.Unix()) }

// EncodeTable writes a table of the types that a Table has.
func EncodeTable(t broker.Table) []byte { return appendValue(nil, t) }

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, tagTrue)
		}
		return append(b, tagFalse)
	case string:
		return appendString(append(b, tagString), v)
	case []byte:
		return appendString(append(b, tagBytes), v)
	case int32:
		return binary.AppendVarint(append(b, tagInt32), int64(v))
	case int64:
		return binary.AppendVarint(append(b, tagInt64), v)
	case float64:
		return binary.BigEndian.AppendUint64(append(b, tagFloat), math.Float64bits(v))
	case time.Time:
		return appendTime(append(b, tagTime), v)
	case []any:
		b = binary.AppendUvarint(append(b, tagList), uint64(len(v)))
		for _, item := range v {
			b = appendValue(b, item)
		}
		return b
	case broker.Table:
		b = binary.AppendUvarint(append(b, tagTable), uint64(len(v)))
		for key, value := range v {
			b = appendValue(appendString(b, key), value)
		}
		return b
	}
	return append(b, tagNil) // Check lets nothing else pass
}

// Decode is the inverse of Encode.
func Decode(data []byte) (broker.Message, error) {
	r := reader{data: data}
	if version := r.byte(); version != layoutVersion {
		return broker.Message{}, fmt.Errorf("%w: version %d", ErrDamaged, version)
	}
	msg := broker.Message{Transient: r.byte() == 1, Priority: r.byte()}
	for _, s := range []*string{
		&msg.ContentType, &msg.ContentEncoding, &msg.CorrelationID, &msg.ReplyTo, &msg.MessageID, &msg.Type, &msg.AppID,
	} {
		*s = string(r.bytes())
	}
	msg.Expiration = time.Duration(r.varint())
	msg.Timestamp = r.time()
	msg.Headers, _ = r.value(0).(broker.Table)
	return msg, r.err
}

// DecodeTable is the inverse of EncodeTable.
func DecodeTable(data []byte) (broker.Table, error) {
	r := reader{data: data}
	t, _ := r.value(0).(broker.Table)
	return t, r.err
}

// reader reads a record; after the first error everything is zero.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail() {
	r.err, r.data = ErrDamaged, nil
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.data)) {
		r.fail()
		return nil
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

// length reads how many bytes or items follow; each takes a byte at least.
func (r *reader) length() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 || v > uint64(len(r.data)-n) {
		r.fail()
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) bytes() []byte { return r.take(r.length()) }

func (r *reader) time() time.Time {
	seconds := r.varint()
	if seconds == (time.Time{}).Unix() {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// maxNesting is more than Check lets in.
const maxNesting = 100

func (r *reader) value(depth int) any {
	if depth > maxNesting {
		r.fail()
		return nil
	}
	switch tag := r.byte(); tag {
	case tagFalse, tagTrue:
		return tag == tagTrue
	case tagString:
		return string(r.bytes())
	case tagBytes:
		return append([]byte{}, r.bytes()...)
	case tagInt32:
		return int32(r.varint())
	case tagInt64:
		return r.varint()
	case tagFloat:
		if b := r.take(8); b != nil {
			return math.Float64frombits(binary.BigEndian.Uint64(b))
		}
	case tagTime:
		return r.time()
	case tagList:
		list := make([]any, r.length())
		for i := range list {
			list[i] = r.value(depth + 1)
		}
		return list
	case tagTable:
		n := r.length()
		table := make(broker.Table, n)
		for range n {
			key := string(r.bytes())
			table[key] = r.value(depth + 1)
		}
		return table
	case tagNil:
	default:
		r.fail()
	}
	return nil
}
