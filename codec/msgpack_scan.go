package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// packScanner walks over MessagePack.
type packScanner struct {
	data            []byte
	pos             int
	depth, maxDepth int
	scratch         [32]byte // for the texts of numbers
}

var _ source = (*packScanner)(nil)

func (s *packScanner) rest() []byte { return s.data[s.pos:] }

// take moves the cursor to where rest begins.
func (s *packScanner) take(rest []byte) { s.pos = len(s.data) - len(rest) }

func (s *packScanner) syntax(format string, args ...any) error {
	return &formatError{text: fmt.Sprintf("byte %d: ", s.pos) + fmt.Sprintf(format, args...)}
}

// broken is the error for what cannot be read at the cursor.
func (s *packScanner) broken(err error) error {
	if s.pos >= len(s.data) || errors.Is(err, msgp.ErrShortBytes) {
		return s.syntax("the data ends where a value is expected")
	}
	return s.syntax("0x%02x where a value is expected", s.data[s.pos])
}

// peek implements source.
func (s *packScanner) peek() byte {
	switch msgp.NextType(s.rest()) {
	case msgp.StrType:
		return '"'
	case msgp.ArrayType:
		return '['
	case msgp.MapType, msgp.BinType, msgp.TimeType, msgp.ExtensionType, msgp.Complex64Type, msgp.Complex128Type:
		return '{' // all but a map are tagged
	case msgp.NilType:
		return 'n'
	case msgp.BoolType:
		return 't'
	case msgp.InvalidType:
		return 0
	}
	return '0'
}

func (s *packScanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.pos++
	return true
}

// end is an error unless all was taken.
func (s *packScanner) end() error {
	if s.pos < len(s.data) {
		return s.syntax("more data after the value")
	}
	return nil
}

func (s *packScanner) mark() mark { return mark{s.pos, s.depth} }

func (s *packScanner) reset(to mark) { s.pos, s.depth = to.pos, to.depth }

func (s *packScanner) enter(rest []byte) error {
	if s.depth++; s.depth > s.maxDepth {
		return s.syntax("nested deeper than %d levels", s.maxDepth)
	}
	s.take(rest)
	return nil
}

// list implements source. The header's count is believed only as far as there are elements.
func (s *packScanner) list(element func() error, want string) error {
	if s.peek() != '[' {
		return s.mismatch(want)
	}
	n, rest, err := msgp.ReadArrayHeaderBytes(s.rest())
	if err != nil {
		return s.broken(err)
	}
	if err := s.enter(rest); err != nil {
		return err
	}
	for i := range int(n) {
		if err := element(); err != nil {
			return inElement(err, i)
		}
	}
	s.depth--
	return nil
}

// object implements source.
func (s *packScanner) object(member func(key string) error) error {
	return s.each(func(key []byte) error { return member(string(key)) })
}

// each implements source.
func (s *packScanner) each(member func(key []byte) error) error {
	return s.members(func(key []byte) error {
		if err := member(key); err != nil {
			return inMember(err, string(key))
		}
		return nil
	})
}

// members is each without the place of errors.
func (s *packScanner) members(member func(key []byte) error) error {
	if msgp.NextType(s.rest()) != msgp.MapType {
		return s.mismatch("an object")
	}
	n, rest, err := msgp.ReadMapHeaderBytes(s.rest())
	if err != nil {
		return s.broken(err)
	}
	if err := s.enter(rest); err != nil {
		return err
	}
	for range n {
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
	}
	s.depth--
	return nil
}

// key takes a key as text.
func (s *packScanner) key() ([]byte, error) {
	switch msgp.NextType(s.rest()) {
	case msgp.StrType:
		return s.string()
	case msgp.BinType:
		key, rest, err := msgp.ReadBytesZC(s.rest())
		switch {
		case err != nil:
			return nil, s.broken(err)
		case !utf8.Valid(key):
			return nil, s.syntax("a key of bytes that are no UTF-8")
		}
		s.take(rest)
		return key, nil
	case msgp.IntType, msgp.UintType:
		_, token, err := s.scalar()
		return bytes.Clone(token), err // the next number is written over it
	case msgp.InvalidType:
		return nil, s.broken(nil)
	}
	return nil, s.syntax("a key that is no text")
}

// string takes text, which is checked here.
func (s *packScanner) string() ([]byte, error) {
	text, rest, err := msgp.ReadStringZC(s.rest())
	switch {
	case err != nil:
		return nil, s.broken(err)
	case !utf8.Valid(text):
		return nil, s.syntax("invalid UTF-8")
	}
	s.take(rest)
	return text, nil
}

// text implements source.
func (s *packScanner) text() (string, error) {
	text, err := s.string()
	return string(text), err
}

// scalar implements source.
func (s *packScanner) scalar() (kind scalarKind, token []byte, err error) {
	rest := s.rest()
	switch msgp.NextType(rest) {
	case msgp.NilType:
		s.pos++
		return nullToken, append(s.scratch[:0], "null"...), nil
	case msgp.BoolType:
		var v bool
		v, rest, err = msgp.ReadBoolBytes(rest)
		kind, token = boolToken, strconv.AppendBool(s.scratch[:0], v)
	case msgp.IntType:
		var n int64
		n, rest, err = msgp.ReadInt64Bytes(rest)
		kind, token = intToken, strconv.AppendInt(s.scratch[:0], n, 10)
	case msgp.UintType:
		var n uint64
		n, rest, err = msgp.ReadUint64Bytes(rest)
		kind, token = intToken, strconv.AppendUint(s.scratch[:0], n, 10)
	case msgp.Float32Type, msgp.Float64Type:
		var f float64
		f, rest, err = msgp.ReadFloat64Bytes(rest) // takes both
		kind, token = floatToken, appendFloat(s.scratch[:0], f, 64)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			kind = nonFinite
		}
	default:
		return 0, nil, s.broken(nil)
	}
	if err != nil {
		return 0, nil, s.broken(err)
	}
	s.take(rest)
	return kind, token, nil
}

// skip implements source.
func (s *packScanner) skip() (Raw, error) {
	start := s.pos
	var err error
	switch s.peek() {
	case '[':
		err = s.list(func() error { _, err := s.skip(); return err }, "")
	case '{':
		if _, tagged, failed := s.tagged(); tagged || failed != nil {
			err = failed
			break
		}
		err = s.members(func([]byte) error { _, err := s.skip(); return err })
	case '"':
		_, err = s.string()
	default:
		_, _, err = s.scalar()
	}
	return s.data[start:s.pos:s.pos], err
}

// tagged implements source: bytes are kombu's "bytes" or "base64", a timestamp is a "datetime".
func (s *packScanner) tagged() (t tagged, ok bool, err error) {
	var rest []byte
	switch msgp.NextType(s.rest()) {
	case msgp.BinType:
		t.name = "bytes"
		if t.data, rest, err = msgp.ReadBytesZC(s.rest()); err == nil && !utf8.Valid(t.data) {
			t.name = "base64"
		}
	case msgp.TimeType, msgp.ExtensionType, msgp.Complex64Type, msgp.Complex128Type: // what its type is, msgp does not always see
		t.name = "datetime"
		t.data, rest, err = s.timestamp()
	default:
		return t, false, nil
	}
	switch {
	case errors.As(err, new(msgp.ExtensionTypeError)):
		return t, false, s.syntax("an extension type, which neither side knows")
	case err != nil:
		return t, false, s.broken(err)
	}
	s.take(rest)
	return t, true, nil
}

// timestamp reads an extension of type -1 as ISO text.
func (s *packScanner) timestamp() (iso, rest []byte, err error) {
	if _, err := msgp.ReadExtensionBytes(s.rest(), &msgp.RawExtension{Type: msgp.MsgTimeExtension}); err != nil {
		return nil, nil, err
	}
	at, rest, err := msgp.ReadTimeUTCBytes(s.rest())
	return appendTime(nil, at), rest, err
}

// asJSON implements source.
func (s *packScanner) asJSON() (Raw, error) {
	v, err := (&decoder{source: s, bytes: true}).any()
	if err != nil {
		return nil, err
	}
	return JSON{MaxDepth: s.maxDepth}.Marshal(v)
}

// mismatch implements source.
func (s *packScanner) mismatch(want string) error {
	var got string
	switch s.peek() {
	case '[':
		got = "a list"
	case '{':
		got = "an object"
		if t, ok, err := s.tagged(); ok || err != nil {
			if err != nil {
				return err
			}
			got = t.kind()
		}
	case '"':
		got = "a string"
	default:
		_, token, err := s.scalar()
		if err != nil {
			return err
		}
		got = describe(token)
	}
	return &formatError{text: fmt.Sprintf("got %s, want %s", got, want)}
}
