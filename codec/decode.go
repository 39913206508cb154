package codec

import (
	"encoding"
	"encoding/base64"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// source is an encoded document that is read value by value. Bytes and times that its format has of its own show as kombu's tagged
// values, so that each Go type reads them by one rule.
type source interface {
	// peek returns how JSON would begin what comes next: '{', '[', '"', 'n' for null, something else for a scalar, 0 at the end.
	peek() byte
	null() bool // takes null when it comes next
	// list and object call their function with the cursor on each element and each member's value.
	list(element func() error, want string) error
	object(member func(key string) error) error
	// each is object without memory for the keys, which are good until the cursor moves.
	each(member func(key []byte) error) error
	text() (string, error)
	// scalar takes what is no text and no container; the token is its text in JSON, good until the next call.
	scalar() (kind scalarKind, token []byte, err error)
	skip() (Raw, error)   // checks the next value and returns it as it is encoded
	asJSON() (Raw, error) // takes the next value as JSON
	tagged() (t tagged, ok bool, err error)
	mismatch(want string) error // takes the next value and says what it is
	mark() mark
	reset(to mark)
}

// mark is a place in a source.
type mark struct{ pos, depth int }

// decoder reads a document into Go values.
type decoder struct {
	source
	bytes   bool // the format tells bytes from text
	structs structs
}

// decode reads the next value into what dst points to.
func decode(d decoder, dst any) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return &formatError{text: fmt.Sprintf("cannot decode into %T: not a pointer", dst)}
	}
	return d.value(v.Elem())
}

// mismatch is the error for a value of another type than the one that is wanted.
func mismatch(got string, want reflect.Type) error {
	return &formatError{text: fmt.Sprintf("got %s, want %s", got, want)}
}

// mismatch is the error for the value at the cursor; a syntax error when it is no value.
func (s *scanner) mismatch(want string) error {
	token, err := s.skip()
	if err != nil {
		return err
	}
	return &formatError{text: fmt.Sprintf("got %s, want %s", describe(token), want)}
}

// describe names what an encoded value is.
func describe(token []byte) string {
	switch token[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 'n':
		return "null"
	case 't', 'f':
		return "a bool"
	case 'N', 'I':
		return string(token)
	}
	if string(token) == "-Infinity" {
		return "-Infinity"
	}
	if strings.ContainsAny(string(token), ".eE") {
		return "a float (" + shorten(token) + ")"
	}
	return "an integer (" + shorten(token) + ")"
}

// value decodes the next value into v, which can be set and has an address.
func (d *decoder) value(v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		if d.null() {
			v.SetZero()
			return nil
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return d.value(v.Elem())
	}
	if t := v.Type(); t.PkgPath() != "" || t.Kind() == reflect.Struct {
		if done, err := d.special(v); done {
			return err
		}
	}
	switch d.peek() {
	case '{':
		return d.valueObject(v)
	case '[':
		return d.valueList(v)
	case '"':
		return d.valueString(v)
	}
	return d.valueScalar(v)
}

func (d *decoder) valueObject(v reflect.Value) error {
	if v.Kind() == reflect.Interface {
		return d.valueAny(v)
	}
	if t, ok, err := d.tagged(); ok || err != nil {
		if err != nil {
			return err
		}
		return t.set(v)
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.valueStruct(v)
	case reflect.Map:
		return d.valueMap(v)
	}
	return d.mismatch(v.Type().String())
}

func (d *decoder) valueStruct(v reflect.Value) error {
	known := d.structs.fieldsOf(v.Type())
	var seen uint64 // by position; a struct of more fields merges duplicates there
	return d.each(func(key []byte) error {
		i := known.find(key)
		if i < 0 {
			_, err := d.skip()
			return err
		}
		f, err := known[i].in(v)
		if err != nil {
			return err
		}
		if seen&(1<<i) != 0 {
			f.SetZero()
		}
		seen |= 1 << i
		if known[i].quoted && d.peek() == '"' {
			return d.quotedScalar(f)
		}
		return d.value(f)
	})
}

// quotedScalar decodes a field with the option ",string": a scalar inside a string.
func (d *decoder) quotedScalar(f reflect.Value) error {
	text, err := d.text()
	if err != nil {
		return err
	}
	inner := &scanner{data: []byte(text), maxDepth: 1}
	if err := (&decoder{source: inner}).value(f); err != nil {
		return err
	}
	if inner.peek(); inner.pos < len(text) {
		return mismatch("a string", f.Type())
	}
	return nil
}

func (d *decoder) valueMap(v reflect.Value) error {
	t := v.Type()
	if v.IsNil() {
		v.Set(reflect.MakeMap(t))
	}
	return d.object(func(key string) error {
		k := reflect.New(t.Key()).Elem()
		if err := setKey(k, key); err != nil {
			return err
		}
		value := reflect.New(t.Elem()).Elem()
		if err := d.value(value); err != nil {
			return err
		}
		v.SetMapIndex(k, value)
		return nil
	})
}

func setKey(k reflect.Value, key string) error {
	if k.Kind() == reflect.String {
		k.SetString(key)
		return nil
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](k.Addr()); ok {
		if err := u.UnmarshalText([]byte(key)); err != nil {
			return &formatError{text: k.Type().String() + ": ", err: err}
		}
		return nil
	}
	bad := &formatError{text: fmt.Sprintf("a key does not fit %s", k.Type())}
	switch k.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(key, 10, k.Type().Bits())
		if err != nil {
			return bad
		}
		k.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		n, err := strconv.ParseUint(key, 10, k.Type().Bits())
		if err != nil {
			return bad
		}
		k.SetUint(n)
	default:
		return bad
	}
	return nil
}

func (d *decoder) valueList(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Interface:
		return d.valueAny(v)
	case reflect.Array:
		return d.valueArray(v)
	case reflect.Slice:
	default:
		return d.mismatch(v.Type().String())
	}
	t := v.Type()
	s := reflect.MakeSlice(t, 0, 0)
	err := d.list(func() error {
		s = reflect.Append(s, reflect.Zero(t.Elem()))
		return d.value(s.Index(s.Len() - 1))
	}, "a list")
	v.Set(s)
	return err
}

// valueArray drops what is too many and zeroes the rest, as encoding/json does.
func (d *decoder) valueArray(v reflect.Value) error {
	v.SetZero()
	i := 0
	return d.list(func() error {
		i++
		if i > v.Len() {
			_, err := d.skip()
			return err
		}
		return d.value(v.Index(i - 1))
	}, "a list")
}

func (d *decoder) valueString(v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Interface:
		return d.valueAny(v)
	case v.Kind() == reflect.String:
		text, err := d.text()
		if err == nil {
			v.SetString(text)
		}
		return err
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 && !d.bytes:
		text, err := d.text()
		if err != nil {
			return err
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return &formatError{text: fmt.Sprintf("got a string that is no base64, want %s", v.Type())}
		}
		v.SetBytes(b)
		return nil
	}
	return d.mismatch(v.Type().String())
}

func (d *decoder) valueScalar(v reflect.Value) error {
	if v.Kind() == reflect.Interface {
		return d.valueAny(v)
	}
	kind, token, err := d.scalar()
	if err != nil {
		return err
	}
	switch kind {
	case nullToken: // leaves a scalar alone, as in encoding/json
		if v.Kind() == reflect.Map || v.Kind() == reflect.Slice {
			v.SetZero()
		}
		return nil
	case boolToken:
		if v.Kind() != reflect.Bool {
			return mismatch("a bool", v.Type())
		}
		v.SetBool(token[0] == 't')
		return nil
	}
	return setNumber(v, token, kind)
}
