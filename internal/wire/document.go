package wire

import (
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
)

// document is an object whose members have an order.
type document []member

// member is a text, or else any value, which takes memory of its own. An empty text is null where it may be missing.
type member struct {
	key   string
	text  string
	value any
	kind  memberKind
}

type memberKind uint8

const (
	isValue memberKind = iota
	isText
	isNote // a text that may be missing
)

func text(key, s string) member { return member{key: key, text: s, kind: isText} }

func note(key, s string) member { return member{key: key, text: s, kind: isNote} }

func anything(key string, v any) member { return member{key: key, value: v} }

// any is the member's value.
func (m *member) any() any {
	switch {
	case m.kind == isValue:
		return m.value
	case m.kind == isNote && m.text == "":
		return nil
	}
	return m.text
}

// encode writes the document. Only JSON keeps the order; no peer asks for it elsewhere.
func (d document) encode(c codec.Codec) ([]byte, error) {
	if _, ok := c.(codec.JSON); ok {
		return d.json()
	}
	object := make(map[string]any, len(d))
	for i := range d {
		object[d[i].key] = d[i].any()
	}
	return c.Marshal(object)
}

func (d document) json() ([]byte, error) {
	size := 2
	for i := range d {
		m := &d[i]
		if raw, ok := m.value.(codec.Raw); ok {
			size += len(raw)
		}
		size += len(m.text) + len(m.text)/8 + len(m.key) + len(`"":null,`)
	}
	body := append(make([]byte, 0, size), '{')
	for i := range d {
		m := &d[i]
		if i > 0 {
			body = append(body, ',')
		}
		var err error
		if body, err = appendText(body, m.key); err != nil {
			return nil, err
		}
		if body, err = m.append(append(body, ':')); err != nil {
			return nil, fmt.Errorf("%s: %w", m.key, err)
		}
	}
	return append(body, '}'), nil
}

func (m *member) append(b []byte) ([]byte, error) {
	switch {
	case m.kind == isValue:
		return appendJSON(b, m.value)
	case m.kind == isNote && m.text == "":
		return append(b, "null"...), nil
	}
	return appendText(b, m.text)
}

func appendJSON(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
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
