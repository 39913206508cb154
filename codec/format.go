package codec

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"unicode/utf8"
)

// format is how an encoder writes: each function appends to b.
type format interface {
	null(b []byte) []byte
	boolean(b []byte, v bool) []byte
	integer(b []byte, n int64) []byte
	unsigned(b []byte, n uint64) []byte
	float(b []byte, f float64, bits int) []byte
	text(b []byte, s string) []byte
	bytes(b, data []byte) []byte
	bigInt(b []byte, n *big.Int) ([]byte, error)
	number(b []byte, n json.Number) ([]byte, error) // the text is a number
	// raw appends an encoded value, checked: a peer would drop the whole message for a fault in it.
	raw(b []byte, r Raw, maxDepth int) ([]byte, error)
	// open starts a container, '[' or '{', of n elements or members; next comes before each of them, colon after each key.
	open(b []byte, container byte, n int) []byte
	next(b []byte, i int) []byte
	colon(b []byte) []byte
	shut(b []byte, container byte) []byte
}

// jsonFormat writes JSON.
type jsonFormat struct{}

func (jsonFormat) null(b []byte) []byte               { return append(b, "null"...) }
func (jsonFormat) boolean(b []byte, v bool) []byte    { return strconv.AppendBool(b, v) }
func (jsonFormat) integer(b []byte, n int64) []byte   { return strconv.AppendInt(b, n, 10) }
func (jsonFormat) unsigned(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }
func (jsonFormat) text(b []byte, s string) []byte     { return appendString(b, s) }
func (jsonFormat) colon(b []byte) []byte              { return append(b, ':') }

func (jsonFormat) float(b []byte, f float64, bits int) []byte { return appendFloat(b, f, bits) }

func (jsonFormat) bytes(b, data []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), data), '"')
}

func (jsonFormat) bigInt(b []byte, n *big.Int) ([]byte, error) {
	if n.BitLen() > maxDigits*3 && len(n.String()) > maxDigits {
		return nil, &formatError{text: fmt.Sprintf("an integer of more than %d digits", maxDigits)}
	}
	return n.Append(b, 10), nil
}

func (jsonFormat) number(b []byte, n json.Number) ([]byte, error) { return append(b, n...), nil }

func (jsonFormat) raw(b []byte, r Raw, maxDepth int) ([]byte, error) {
	s := scanner{data: r, maxDepth: maxDepth}
	if _, err := s.skip(); err != nil {
		return nil, err
	}
	if s.peek(); s.pos < len(r) || !utf8.Valid(r) {
		return nil, &formatError{text: "the raw value is no JSON"}
	}
	return append(b, r...), nil
}

func (jsonFormat) open(b []byte, container byte, _ int) []byte { return append(b, container) }

func (jsonFormat) next(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ',')
}

func (jsonFormat) shut(b []byte, container byte) []byte { return append(b, container+2) } // ']' and '}'
