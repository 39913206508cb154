package codec

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner walks over JSON text in UTF-8.
type scanner struct {
	data            []byte
	pos             int
	depth, maxDepth int
}

// valid is an error for data that is no text; the scanner does not look at that again.
func (s *scanner) valid() error {
	if !utf8.Valid(s.data) {
		return &formatError{text: "invalid UTF-8"}
	}
	return nil
}

// end is an error unless all was taken.
func (s *scanner) end() error {
	if s.peek(); s.pos < len(s.data) {
		return s.syntax("more data after the value")
	}
	return nil
}

func (s *scanner) syntax(format string, args ...any) error {
	return &formatError{text: fmt.Sprintf("byte %d: ", s.pos) + fmt.Sprintf(format, args...)}
}

// unexpected is the error for what is at the cursor.
func (s *scanner) unexpected(want string) error {
	if s.pos >= len(s.data) {
		return s.syntax("the text ends where %s is expected", want)
	}
	r, _ := utf8.DecodeRune(s.data[s.pos:])
	return s.syntax("%q where %s is expected", r, want)
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// literal takes the word when it comes next.
func (s *scanner) literal(word string) bool {
	s.peek()
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return false
	}
	s.pos += len(word)
	return true
}

// null takes null when it comes next.
func (s *scanner) null() bool { return s.peek() == 'n' && s.literal("null") }

// list calls element with the cursor on each element. want names what is needed when it is no list.
func (s *scanner) list(element func() error, want string) error {
	if s.peek() != '[' {
		return s.mismatch(want)
	}
	if err := s.enter(); err != nil {
		return err
	}
	if s.peek() == ']' {
		return s.leave()
	}
	for i := 0; ; i++ {
		if err := element(); err != nil {
			return inElement(err, i)
		}
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			return s.leave()
		default:
			return s.unexpected("',' or ']'")
		}
	}
}

// object calls member with the cursor on the value of each key.
func (s *scanner) object(member func(key string) error) error {
	return s.each(func(key []byte) error { return member(string(key)) })
}

// each implements source.
func (s *scanner) each(member func(key []byte) error) error {
	if s.peek() != '{' {
		return s.mismatch("an object")
	}
	if err := s.enter(); err != nil {
		return err
	}
	if s.peek() == '}' {
		return s.leave()
	}
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return inMember(err, string(key))
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			return s.leave()
		default:
			return s.unexpected("',' or '}'")
		}
	}
}

func (s *scanner) key() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.unexpected("a key in double quotes")
	}
	key, escaped, err := s.quoted()
	if err != nil {
		return nil, err
	}
	if escaped {
		key = []byte(unescape(key))
	}
	if s.peek() != ':' {
		return nil, s.unexpected("':'")
	}
	s.pos++
	return key, nil
}

func (s *scanner) enter() error {
	if s.depth++; s.depth > s.maxDepth {
		return s.syntax("nested deeper than %d levels", s.maxDepth)
	}
	s.pos++
	return nil
}

func (s *scanner) leave() error {
	s.depth--
	s.pos++
	return nil
}

// skip checks the next value and returns its text.
func (s *scanner) skip() (Raw, error) {
	c := s.peek()
	start := s.pos
	var err error
	switch c {
	case '{':
		err = s.skipObject()
	case '[':
		err = s.list(func() error { _, err := s.skip(); return err }, "")
	case '"':
		_, _, err = s.quoted()
	default:
		_, err = s.bare()
	}
	return s.data[start:s.pos:s.pos], err
}

// skipObject is object without the keys' texts.
func (s *scanner) skipObject() error {
	if err := s.enter(); err != nil {
		return err
	}
	if s.peek() == '}' {
		return s.leave()
	}
	for {
		if s.peek() != '"' {
			return s.unexpected("a key in double quotes")
		}
		if _, _, err := s.quoted(); err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.unexpected("':'")
		}
		s.pos++
		if _, err := s.skip(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			return s.leave()
		default:
			return s.unexpected("',' or '}'")
		}
	}
}

// asJSON implements source.
func (s *scanner) asJSON() (Raw, error) { return s.skip() }

func (s *scanner) mark() mark { return mark{s.pos, s.depth} }

func (s *scanner) reset(to mark) { s.pos, s.depth = to.pos, to.depth }

// text takes the string at the cursor.
func (s *scanner) text() (string, error) {
	raw, escaped, err := s.quoted()
	if err != nil || !escaped {
		return string(raw), err
	}
	return unescape(raw), nil
}

// quoted takes the string at the cursor and returns what is between the quotes. Escapes are checked, not resolved.
func (s *scanner) quoted() (raw []byte, escaped bool, err error) {
	start := s.pos + 1
	for i := start; i < len(s.data); {
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			return s.data[start:i], escaped, nil
		case c == '\\':
			n := escapeLen(s.data[i:])
			if n == 0 {
				s.pos = i
				return nil, false, s.syntax("invalid escape in a string")
			}
			escaped = true
			i += n
		case c < ' ':
			s.pos = i
			return nil, false, s.syntax("control character %q in a string", c)
		default:
			i++
		}
	}
	s.pos = len(s.data)
	return nil, false, s.syntax("the text ends inside a string")
}

// escapeLen returns the length of the escape that b starts with, 0 when it is none.
func escapeLen(b []byte) int {
	switch {
	case len(b) < 2:
		return 0
	case b[1] != 'u':
		if strings.IndexByte(`"\/bfnrt`, b[1]) < 0 {
			return 0
		}
		return 2
	case len(b) < 6:
		return 0
	}
	if _, ok := hex4(b[2:6]); !ok {
		return 0
	}
	return 6
}

func hex4(b []byte) (rune, bool) {
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape resolves checked escapes. Half of a surrogate pair becomes U+FFFD, as in encoding/json.
func unescape(raw []byte) string {
	var out strings.Builder
	out.Grow(len(raw))
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			out.Write(raw)
			break
		}
		out.Write(raw[:i])
		raw = raw[i:]
		if raw[1] != 'u' {
			out.WriteByte(unescapeByte(raw[1]))
			raw = raw[2:]
			continue
		}
		r, _ := hex4(raw[2:])
		raw = raw[6:]
		if utf16.IsSurrogate(r) {
			low := rune(utf8.RuneError)
			if len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
				low, _ = hex4(raw[2:])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				raw = raw[6:]
			}
		}
		out.WriteRune(r)
	}
	return out.String()
}

func unescapeByte(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c // " \ /
}
