package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"
)

// Msgpack is MessagePack as kombu writes and reads it: use_bin_type=True, raw=False (kombu/serialization.py). The zero value is ready
// to use.
//
// Go values are treated as by JSON, with the same tags and methods, except:
//
//   - []byte is a value of its own. It is written as bin, and read from bin only, not from text.
//   - There are no tagged values; a timestamp (extension type -1) is read like a datetime. Python's msgpack cannot write a datetime, so
//     a time.Time goes out as the same ISO text as in JSON.
//   - Integers end at 64 bits, -2^63 to 2^64-1: larger ones cannot be written.
//   - A json.Marshaler is written as what its JSON says; a json.Unmarshaler gets the value as JSON.
//   - Keys are written as text. Text, integers (as their digits) and bytes in UTF-8 are read.
//
// Text that is no UTF-8 is refused, as in Python, and so are other extension types.
type Msgpack struct {
	// MaxDepth is how deep arrays and maps may be nested, read and written; 0 means the constant MaxDepth.
	MaxDepth int
	// Types are remembered from one document to the next; nil: what is needed is found out for each document.
	Types *Types
}

var _ Codec = Msgpack{}

// ContentType implements Codec.
func (Msgpack) ContentType() string { return "application/x-msgpack" }

// ContentEncoding implements Codec.
func (Msgpack) ContentEncoding() string { return "binary" }

// Marshal implements Codec.
func (m Msgpack) Marshal(v any) ([]byte, error) {
	e := encoder{format: packFormat{}, maxDepth: depth(m.MaxDepth), structs: structs{always: m.Types}}
	if err := e.any(v); err != nil {
		return nil, inMsgpack(err)
	}
	return e.buf, nil
}

// Unmarshal implements Codec. After an error, *dst may be filled in part.
func (m Msgpack) Unmarshal(data []byte, dst any) error {
	s := m.scanner(data)
	split, err := s.split(dst)
	if !split {
		whole := s // the decoder's is on the heap
		err = decode(decoder{source: &whole, bytes: true, structs: structs{always: m.Types}}, dst)
		s = whole
	}
	if err == nil {
		err = s.end()
	}
	return inMsgpack(err)
}

// inMsgpack says that an error is about MessagePack.
func inMsgpack(err error) error {
	if e, ok := errors.AsType[*formatError](err); ok {
		e.format = "msgpack"
	}
	return err
}

func (m Msgpack) scanner(data []byte) packScanner {
	return packScanner{data: data, maxDepth: depth(m.MaxDepth)}
}

// packFormat writes MessagePack.
type packFormat struct{}

func (packFormat) null(b []byte) []byte               { return msgp.AppendNil(b) }
func (packFormat) boolean(b []byte, v bool) []byte    { return msgp.AppendBool(b, v) }
func (packFormat) unsigned(b []byte, n uint64) []byte { return msgp.AppendUint64(b, n) }
func (packFormat) bytes(b, data []byte) []byte        { return msgp.AppendBytes(b, data) }
func (packFormat) next(b []byte, _ int) []byte        { return b }
func (packFormat) colon(b []byte) []byte              { return b }
func (packFormat) shut(b []byte, _ byte) []byte       { return b }

// integer writes what is not negative as unsigned, as Python does: that is a byte shorter at times.
func (f packFormat) integer(b []byte, n int64) []byte {
	if n >= 0 {
		return f.unsigned(b, uint64(n))
	}
	return msgp.AppendInt64(b, n)
}

func (packFormat) float(b []byte, f float64, bits int) []byte {
	if bits == 32 {
		return msgp.AppendFloat32(b, float32(f))
	}
	return msgp.AppendFloat64(b, f)
}

// text writes bytes that are no UTF-8 as U+FFFD.
func (packFormat) text(b []byte, s string) []byte {
	return msgp.AppendString(b, strings.ToValidUTF8(s, "\uFFFD"))
}

func (f packFormat) bigInt(b []byte, n *big.Int) ([]byte, error) {
	switch {
	case n.IsInt64():
		return f.integer(b, n.Int64()), nil
	case n.IsUint64():
		return f.unsigned(b, n.Uint64()), nil
	}
	return nil, &formatError{text: "an integer of more than 64 bits; send it as text, or use json"}
}

func (f packFormat) number(b []byte, n json.Number) ([]byte, error) {
	if strings.ContainsAny(n.String(), ".eE") {
		v, err := n.Float64()
		if err != nil {
			return nil, &formatError{text: fmt.Sprintf("%s does not fit float64", clip(n.String()))}
		}
		return f.float(b, v, 64), nil
	}
	if v, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return f.integer(b, v), nil
	}
	v, err := bigInt([]byte(n))
	if err != nil {
		return nil, err
	}
	return f.bigInt(b, v)
}

func (packFormat) raw(b []byte, r Raw, maxDepth int) ([]byte, error) {
	s := packScanner{data: r, maxDepth: maxDepth}
	if _, err := s.skip(); err != nil {
		return nil, err
	}
	if s.pos < len(r) {
		return nil, &formatError{text: "the raw value is more than one value of MessagePack"}
	}
	return append(b, r...), nil
}

func (packFormat) open(b []byte, container byte, n int) []byte {
	if container == '[' {
		return msgp.AppendArrayHeader(b, uint32(n)) //nolint:gosec // memory ends before
	}
	return msgp.AppendMapHeader(b, uint32(n)) //nolint:gosec // memory ends before
}
