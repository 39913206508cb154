package codec

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// encoder writes Go values as JSON.
type encoder struct {
	buf             []byte
	depth, maxDepth int
	hops            int // over pointers
	structs         map[reflect.Type]fields
}

// maxHops is far above what a value of the greatest depth can hold: pointers may point in a circle without a container on the way.
const maxHops = 10 * 1000

// any writes a value; the cases are the hot ones, and those with a form of their own.
func (e *encoder) any(v any) error {
	switch v := v.(type) {
	case nil:
		e.buf = append(e.buf, "null"...)
	case string:
		e.buf = appendString(e.buf, v)
	case bool:
		e.buf = strconv.AppendBool(e.buf, v)
	case int:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int64:
		e.buf = strconv.AppendInt(e.buf, v, 10)
	case float64:
		e.buf = appendFloat(e.buf, v, 64)
	case []any:
		return e.anyList(v)
	case map[string]any:
		return e.anyMap(v)
	case Raw:
		return e.raw(v)
	case time.Time:
		return e.time(v)
	case *big.Int:
		return e.bigInt(v)
	case json.Number:
		return e.number(v)
	default:
		return e.value(reflect.ValueOf(v))
	}
	return nil
}

func (e *encoder) enter() error {
	if e.depth++; e.depth > e.maxDepth {
		return &jsonError{text: fmt.Sprintf("nested deeper than %d levels, or in a circle", e.maxDepth)}
	}
	return nil
}

func (e *encoder) anyList(list []any) error {
	if list == nil {
		return e.any(nil)
	}
	return e.list(len(list), func(i int) error { return e.any(list[i]) })
}

func (e *encoder) list(n int, element func(int) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	e.buf = append(e.buf, '[')
	for i := range n {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := element(i); err != nil {
			return inElement(err, i)
		}
	}
	e.buf = append(e.buf, ']')
	e.depth--
	return nil
}

func (e *encoder) anyMap(m map[string]any) error {
	if m == nil {
		return e.any(nil)
	}
	return e.object(slices.Sorted(maps.Keys(m)), func(key string) error { return e.any(m[key]) })
}

func (e *encoder) object(keys []string, member func(string) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	e.buf = append(e.buf, '{')
	for i, key := range keys {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(appendString(e.buf, key), ':')
		if err := member(key); err != nil {
			return inMember(err, key)
		}
	}
	e.buf = append(e.buf, '}')
	e.depth--
	return nil
}

// raw writes an encoded value, checked: a peer would drop the whole message for a fault in it.
func (e *encoder) raw(r Raw) error {
	if r == nil {
		return e.any(nil)
	}
	s := scanner{data: r, maxDepth: e.maxDepth - e.depth}
	if _, err := s.skip(); err != nil {
		return err
	}
	if s.peek(); s.pos < len(r) || !utf8.Valid(r) {
		return &jsonError{text: "the raw value is no JSON"}
	}
	e.buf = append(e.buf, r...)
	return nil
}

func (e *encoder) time(t time.Time) error {
	if err := year(t); err != nil {
		return err
	}
	e.buf = append(appendTime(append(e.buf, '"'), t), '"')
	return nil
}

func (e *encoder) bigInt(n *big.Int) error {
	if n == nil {
		return e.any(nil)
	}
	if n.BitLen() > maxDigits*3 && len(n.String()) > maxDigits {
		return &jsonError{text: fmt.Sprintf("an integer of more than %d digits", maxDigits)}
	}
	e.buf = n.Append(e.buf, 10)
	return nil
}

func (e *encoder) number(n json.Number) error {
	if n == "" {
		n = "0" // as encoding/json
	}
	if _, err := numberText(n.String()); err != nil {
		return &jsonError{text: fmt.Sprintf("%q is no number", clip(n.String()))}
	}
	e.buf = append(e.buf, n...)
	return nil
}

// value writes a value of any type.
func (e *encoder) value(v reflect.Value) error {
	if t := v.Type(); t.PkgPath() != "" || t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer {
		if done, err := e.special(v); done {
			return err
		}
	}
	switch v.Kind() {
	case reflect.Interface:
		return e.value(v.Elem())
	case reflect.Pointer:
		return e.pointer(v)
	case reflect.Struct:
		return e.structure(v)
	case reflect.Map:
		return e.mapping(v)
	case reflect.Slice, reflect.Array:
		return e.sequence(v)
	}
	return e.scalar(v)
}

func (e *encoder) pointer(v reflect.Value) error {
	if e.hops++; e.hops > maxHops {
		return &jsonError{text: "pointers in a circle"}
	}
	err := e.value(v.Elem())
	e.hops--
	return err
}

func (e *encoder) structure(v reflect.Value) error {
	if err := e.enter(); err != nil {
		return err
	}
	e.buf = append(e.buf, '{')
	first := true
	known := e.fieldsOf(v.Type())
	for i := range known {
		f, ok := known[i].of(v)
		if !ok || known[i].omitEmpty && empty(f) || known[i].omitZero && zero(f) {
			continue
		}
		if !first {
			e.buf = append(e.buf, ',')
		}
		first = false
		e.buf = append(appendString(e.buf, known[i].name), ':')
		if err := e.field(&known[i], f); err != nil {
			return inMember(err, known[i].name)
		}
	}
	e.buf = append(e.buf, '}')
	e.depth--
	return nil
}

func (e *encoder) field(f *field, v reflect.Value) error {
	start := len(e.buf)
	if err := e.value(v); err != nil || !f.quoted {
		return err
	}
	if inner := e.buf[start:]; !bytes.Equal(inner, []byte("null")) {
		e.buf = appendString(e.buf[:start], string(inner))
	}
	return nil
}

func (e *encoder) fieldsOf(t reflect.Type) fields {
	if known, ok := e.structs[t]; ok {
		return known
	}
	if e.structs == nil {
		e.structs = map[reflect.Type]fields{}
	}
	known := fieldsOf(t)
	e.structs[t] = known
	return known
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func zero(v reflect.Value) bool {
	if z, ok := reflect.TypeAssert[interface{ IsZero() bool }](v); ok && (v.Kind() != reflect.Pointer || !v.IsNil()) {
		return z.IsZero()
	}
	return v.IsZero()
}

func (e *encoder) mapping(v reflect.Value) error {
	if v.IsNil() {
		return e.any(nil)
	}
	values := make(map[string]reflect.Value, v.Len())
	for k, value := range v.Seq2() {
		key, err := keyText(k)
		if err != nil {
			return err
		}
		values[key] = value
	}
	return e.object(slices.Sorted(maps.Keys(values)), func(key string) error { return e.value(values[key]) })
}

func keyText(k reflect.Value) (string, error) {
	if k.Kind() == reflect.String {
		return k.String(), nil
	}
	if m, ok := reflect.TypeAssert[encoding.TextMarshaler](k); ok {
		text, err := m.MarshalText()
		if err != nil {
			return "", &jsonError{text: k.Type().String() + ": ", err: err}
		}
		return string(text), nil
	}
	switch k.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(k.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(k.Uint(), 10), nil
	}
	return "", &jsonError{text: fmt.Sprintf("cannot encode a key of type %s", k.Type())}
}

func (e *encoder) sequence(v reflect.Value) error {
	if v.Kind() == reflect.Slice {
		if v.IsNil() {
			return e.any(nil)
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			e.buf = append(e.buf, '"')
			e.buf = base64.StdEncoding.AppendEncode(e.buf, v.Bytes())
			e.buf = append(e.buf, '"')
			return nil
		}
	}
	return e.list(v.Len(), func(i int) error { return e.value(v.Index(i)) })
}

func (e *encoder) scalar(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Bool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case reflect.String:
		e.buf = appendString(e.buf, v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.buf = strconv.AppendInt(e.buf, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.buf = strconv.AppendUint(e.buf, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		e.buf = appendFloat(e.buf, v.Float(), v.Type().Bits())
	default:
		return &jsonError{text: "cannot encode " + v.Type().String()}
	}
	return nil
}
