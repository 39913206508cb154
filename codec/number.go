package codec

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
)

// Python refuses to read and print longer integers, because that takes quadratic time (sys.set_int_max_str_digits).
const maxDigits = 4300

// scalarKind says what a scalar token is.
type scalarKind uint8

const (
	nullToken scalarKind = iota
	boolToken
	intToken
	floatToken
	nonFinite // NaN, Infinity, -Infinity
)

// scalar implements source.
func (s *scanner) scalar() (scalarKind, []byte, error) {
	s.peek()
	start := s.pos
	kind, err := s.bare()
	return kind, s.data[start:s.pos], err
}

// bare takes the next token, which is no string, and says what it is.
func (s *scanner) bare() (scalarKind, error) {
	switch c := s.peek(); {
	case c == 'n' && s.literal("null"):
		return nullToken, nil
	case c == 't' && s.literal("true"), c == 'f' && s.literal("false"):
		return boolToken, nil
	case c == 'N' && s.literal("NaN"), c == 'I' && s.literal("Infinity"), c == '-' && s.literal("-Infinity"):
		return nonFinite, nil
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	return 0, s.unexpected("a value")
}

// number takes a number by JSON's grammar.
func (s *scanner) number() (scalarKind, error) {
	if s.data[s.pos] == '-' {
		s.pos++
	}
	start := s.pos
	if s.digits() == 0 {
		return 0, s.unexpected("a digit")
	}
	if s.data[start] == '0' && s.pos > start+1 {
		s.pos = start
		return 0, s.syntax("a number starts with 0")
	}
	kind := intToken
	if s.at('.') {
		kind = floatToken
		s.pos++
		if s.digits() == 0 {
			return 0, s.unexpected("a digit")
		}
	}
	if s.at('e') || s.at('E') {
		kind = floatToken
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if s.digits() == 0 {
			return 0, s.unexpected("a digit")
		}
	}
	return kind, nil
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// bigInt reads an integer token of any size.
func bigInt(token []byte) (*big.Int, error) {
	if len(token) > maxDigits {
		return nil, &formatError{text: fmt.Sprintf("an integer of more than %d digits", maxDigits)}
	}
	n, _ := new(big.Int).SetString(string(token), 10)
	return n, nil
}

// anyNumber reads a number token as int64, *big.Int or float64.
func anyNumber(token []byte, kind scalarKind) (any, error) {
	if kind != intToken {
		return float(token, kind, 64)
	}
	if n, err := strconv.ParseInt(string(token), 10, 64); err == nil {
		return n, nil
	}
	return bigInt(token)
}

func float(token []byte, kind scalarKind, bits int) (float64, error) {
	if kind == nonFinite {
		switch token[0] {
		case 'N':
			return math.NaN(), nil
		case 'I':
			return math.Inf(1), nil
		}
		return math.Inf(-1), nil
	}
	f, err := strconv.ParseFloat(string(token), bits)
	if err != nil {
		return 0, &formatError{text: fmt.Sprintf("%s does not fit float%d", shorten(token), bits)}
	}
	return f, nil
}

// setNumber puts a number token into v.
func setNumber(v reflect.Value, token []byte, kind scalarKind) error {
	var err error
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		var f float64
		if f, err = float(token, kind, v.Type().Bits()); err == nil {
			v.SetFloat(f)
		}
		return err
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if kind == intToken {
			var n int64
			if n, err = strconv.ParseInt(string(token), 10, v.Type().Bits()); err == nil {
				v.SetInt(n)
				return nil
			}
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if kind == intToken {
			var n uint64
			if n, err = strconv.ParseUint(string(token), 10, v.Type().Bits()); err == nil {
				v.SetUint(n)
				return nil
			}
		}
	}
	if err != nil {
		return &formatError{text: fmt.Sprintf("%s does not fit %s", shorten(token), v.Type())}
	}
	return mismatch(describe(token), v.Type())
}

// shorten keeps a long token readable in an error.
func shorten(token []byte) string {
	if len(token) > 40 {
		return string(token[:40]) + "…"
	}
	return string(token)
}

// numberText checks text for json.Number.
func numberText(text string) (json.Number, error) {
	s := scanner{data: []byte(text)}
	if c := s.peek(); s.pos > 0 || c != '-' && (c < '0' || c > '9') {
		return "", mismatch("a string", reflect.TypeFor[json.Number]())
	}
	if _, err := s.number(); err != nil || s.pos < len(text) {
		return "", mismatch("a string", reflect.TypeFor[json.Number]())
	}
	return json.Number(text), nil
}
