package wire

import (
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
)

// document is an object whose members have an order.
type document []member

type member struct {
	key   string
	value any
}

// encode writes the document. Only JSON keeps the order; no peer asks for it elsewhere.
func (d document) encode(c codec.Codec) ([]byte, error) {
	if _, ok := c.(codec.JSON); ok {
		return d.json()
	}
	object := make(map[string]any, len(d))
	for _, m := range d {
		object[m.key] = m.value
	}
	return c.Marshal(object)
}

func (d document) json() ([]byte, error) {
	size := 2
	for _, m := range d {
		switch v := m.value.(type) {
		case string:
			size += len(v) + len(v)/8
		case codec.Raw:
			size += len(v)
		}
		size += len(m.key) + len(`"":null,`)
	}
	body := append(make([]byte, 0, size), '{')
	for i, m := range d {
		if i > 0 {
			body = append(body, ',')
		}
		var err error
		if body, err = appendText(body, m.key); err != nil {
			return nil, err
		}
		if body, err = appendJSON(append(body, ':'), m.value); err != nil {
			return nil, fmt.Errorf("%s: %w", m.key, err)
		}
	}
	return append(body, '}'), nil
}

func appendJSON(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return appendText(b, v)
	case []any:
		if len(v) == 0 && v != nil {
			return append(b, "[]"...), nil
		}
	}
	encoded, err := deep(codec.JSON{}).Marshal(value)
	return append(b, encoded...), err
}

// appendText quotes a text; the plain ones, which are most, without a detour.
func appendText(b []byte, s string) ([]byte, error) {
	if plain(s) {
		return append(append(append(b, '"'), s...), '"'), nil
	}
	encoded, err := codec.JSON{}.Marshal(s)
	return append(b, encoded...), err
}

// plain reports whether a text is its own JSON.
func plain[T string | codec.Raw](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
