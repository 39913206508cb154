package codec

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// tagged is one of kombu's typed values (kombu/utils/json.py, ≥ 5.3): {"__type__": name, "__value__": value}.
type tagged struct {
	name  string
	value Raw    // JSON; nil when data has it
	data  []byte // bytes, or text, of a format that has a type for it; aliases the document
}

// tagged takes the object at the cursor when its keys are exactly those of a typed value. Else the cursor stays where it is.
func (s *scanner) tagged() (t tagged, ok bool, err error) {
	start := s.mark()
	defer func() {
		if !ok {
			s.reset(start)
		}
	}()
	if s.peek() != '{' || s.enter() != nil || s.peek() != '"' {
		return t, false, nil // whoever reads the object says what is wrong
	}
	for range 2 {
		key, err := s.key()
		if err != nil || string(key) != "__type__" && string(key) != "__value__" {
			return t, false, nil
		}
		token, err := s.skip()
		if err != nil {
			return t, false, nil
		}
		if string(key) == "__value__" {
			t.value = token
		} else if token[0] == '"' {
			t.name, _ = (&scanner{data: token}).text()
		}
		if s.peek() == ',' {
			s.pos++
			s.peek()
		}
	}
	if s.peek() != '}' || t.name == "" || t.value == nil {
		return t, false, nil
	}
	return t, true, s.leave()
}

// text is the value as text: what kombu < 5.3 sends for it.
func (t tagged) text() (string, error) {
	switch {
	case t.value != nil:
	case t.name == "base64":
		return base64.StdEncoding.EncodeToString(t.data), nil
	default:
		return string(t.data), nil
	}
	switch t.name {
	case "datetime", "date", "time", "decimal", "bytes", "base64":
		if t.value[0] != '"' {
			return "", &formatError{text: fmt.Sprintf("the __value__ of a %s is %s, want a string", t.name, describe(t.value))}
		}
		return (&scanner{data: t.value}).text()
	case "uuid":
		return t.uuid()
	}
	return "", &formatError{text: fmt.Sprintf("unknown __type__ %q", clip(t.name))}
}

// kind is what the value is called in errors.
func (t tagged) kind() string {
	if t.name == "base64" || t.name == "bytes" {
		return "bytes"
	}
	return "a " + t.name
}

func (t tagged) uuid() (string, error) {
	var v struct {
		Hex string `json:"hex"`
	}
	if err := (JSON{}).Unmarshal(t.value, &v); err != nil || len(v.Hex) != 32 {
		return "", &formatError{text: `the __value__ of a uuid is not {"hex": 32 digits}`}
	}
	for i := 0; i < 32; i += 4 {
		if _, ok := hex4([]byte(v.Hex[i : i+4])); !ok {
			return "", &formatError{text: `the __value__ of a uuid is not {"hex": 32 digits}`}
		}
	}
	h := v.Hex
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], nil
}

func (t tagged) bytes() ([]byte, error) {
	if t.value == nil {
		return bytes.Clone(t.data), nil
	}
	text, err := t.text()
	if err != nil || t.name == "bytes" {
		return []byte(text), err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, &formatError{text: "the __value__ of a base64 is no base64"}
	}
	return b, nil
}

// any is the Go value for an interface.
func (t tagged) any() (any, error) {
	switch t.name {
	case "datetime":
		text, err := t.text()
		if err != nil {
			return nil, err
		}
		at, err := ParseTime(text)
		if err != nil {
			return nil, &formatError{err: err}
		}
		return at, nil
	case "bytes", "base64":
		return t.bytes()
	}
	return t.text()
}

// set puts the value into v, which is neither an interface nor of a type with a way of its own.
func (t tagged) set(v reflect.Value) error {
	text, err := t.text()
	switch {
	case err != nil:
		return err
	case v.Kind() == reflect.String:
		v.SetString(text)
		return nil
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 && (t.name == "bytes" || t.name == "base64"):
		b, err := t.bytes()
		v.SetBytes(b)
		return err
	}
	return mismatch(t.kind(), v.Type())
}

// textFor takes a string, or the text of a typed value of one of these names. want is the type that it is for.
func (d *decoder) textFor(want reflect.Type, names ...string) (string, error) {
	if d.peek() == '"' {
		return d.text()
	}
	t, ok, err := d.tagged()
	if err != nil {
		return "", err
	}
	if !ok {
		return "", d.mismatch(want.String())
	}
	text, err := t.text()
	if err == nil && !slices.Contains(names, t.name) {
		err = mismatch(t.kind(), want)
	}
	return text, err
}

// known takes a typed value of a known name as its text. A user's own types are left to their Unmarshaler.
func (d *decoder) known() (text string, ok bool, err error) {
	start := d.mark()
	t, ok, err := d.tagged()
	if !ok || err != nil {
		return "", false, err
	}
	switch t.name {
	case "datetime", "date", "time", "decimal", "uuid", "bytes", "base64":
		text, err = t.text()
		return text, true, err
	}
	d.reset(start)
	return "", false, nil
}

// year checks what Python's datetime can hold.
func year(t time.Time) error {
	if y := t.Year(); y < 1 || y > 9999 {
		return &formatError{text: fmt.Sprintf("cannot encode the year %d: Python's datetime ends at 9999", y)}
	}
	return nil
}
