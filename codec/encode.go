package codec

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// encoder writes Go values in a format.
type encoder struct {
	format
	buf             []byte
	depth, maxDepth int
	hops            int // over pointers
	structs         structs
}

// maxHops is far above what a value of the greatest depth can hold: pointers may point in a circle without a container on the way.
const maxHops = 10 * 1000

// any writes a value; the cases are the hot ones, and those with a form of their own.
func (e *encoder) any(v any) error {
	switch v := v.(type) {
	case nil:
		e.buf = e.null(e.buf)
	case string:
		e.buf = e.text(e.buf, v)
	case bool:
		e.buf = e.boolean(e.buf, v)
	case int:
		e.buf = e.integer(e.buf, int64(v))
	case int64:
		e.buf = e.integer(e.buf, v)
	case float64:
		e.buf = e.float(e.buf, v, 64)
	case []any:
		return e.anyList(v)
	case map[string]any:
		return e.anyMap(v)
	case Raw:
		return e.encoded(v)
	case time.Time:
		return e.time(v)
	case *big.Int:
		return e.big(v)
	case json.Number:
		return e.jsonNumber(v)
	default:
		return e.value(reflect.ValueOf(v))
	}
	return nil
}

// containerHint is room for the body of an ordinary message.
const containerHint = 128

// enter begins a container.
func (e *encoder) enter() error {
	if e.buf == nil {
		e.buf = make([]byte, 0, containerHint)
	}
	if e.depth++; e.depth > e.maxDepth {
		return &formatError{text: fmt.Sprintf("nested deeper than %d levels, or in a circle", e.maxDepth)}
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
	e.buf = e.open(e.buf, '[', n)
	for i := range n {
		e.buf = e.next(e.buf, i)
		if err := element(i); err != nil {
			return inElement(err, i)
		}
	}
	e.buf = e.shut(e.buf, '[')
	e.depth--
	return nil
}

func (e *encoder) anyMap(m map[string]any) error {
	if m == nil {
		return e.any(nil)
	}
	var few [16]string
	keys := few[:0]
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return e.object(keys, func(key string) error { return e.any(m[key]) })
}

func (e *encoder) object(keys []string, member func(string) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	e.buf = e.open(e.buf, '{', len(keys))
	for i, key := range keys {
		e.buf = e.colon(e.text(e.next(e.buf, i), key))
		if err := member(key); err != nil {
			return inMember(err, key)
		}
	}
	e.buf = e.shut(e.buf, '{')
	e.depth--
	return nil
}

func (e *encoder) encoded(r Raw) error {
	if r == nil {
		return e.any(nil)
	}
	return e.took(e.raw(e.buf, r, e.maxDepth-e.depth))
}

// took keeps what was appended, unless there was an error.
func (e *encoder) took(buf []byte, err error) error {
	if err == nil {
		e.buf = buf
	}
	return err
}

func (e *encoder) time(t time.Time) error {
	if err := year(t); err != nil {
		return err
	}
	e.buf = e.text(e.buf, FormatTime(t))
	return nil
}

func (e *encoder) big(n *big.Int) error {
	if n == nil {
		return e.any(nil)
	}
	return e.took(e.bigInt(e.buf, n))
}

func (e *encoder) jsonNumber(n json.Number) error {
	if n == "" {
		n = "0" // as encoding/json
	}
	if _, err := numberText(n.String()); err != nil {
		return &formatError{text: fmt.Sprintf("%q is no number", clip(n.String()))}
	}
	return e.took(e.number(e.buf, n))
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
		if v.IsNil() {
			return e.any(nil)
		}
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
		return &formatError{text: "pointers in a circle"}
	}
	err := e.value(v.Elem())
	e.hops--
	return err
}

func (e *encoder) structure(v reflect.Value) error {
	if err := e.enter(); err != nil {
		return err
	}
	known := e.structs.fieldsOf(v.Type())
	var few [16]*field
	members := few[:0]
	for i := range known {
		f, ok := known[i].of(v)
		if !ok || known[i].omitEmpty && empty(f) || known[i].omitZero && zero(f) {
			continue
		}
		members = append(members, &known[i])
	}
	e.buf = e.open(e.buf, '{', len(members))
	for i, m := range members {
		e.buf = e.colon(e.text(e.next(e.buf, i), m.name))
		f, _ := m.of(v)
		if err := e.field(m, f); err != nil {
			return inMember(err, m.name)
		}
	}
	e.buf = e.shut(e.buf, '{')
	e.depth--
	return nil
}

func (e *encoder) field(f *field, v reflect.Value) error {
	if !f.quoted {
		return e.value(v)
	}
	inner := encoder{format: jsonFormat{}, maxDepth: e.maxDepth}
	if err := inner.value(v); err != nil {
		return err
	}
	if string(inner.buf) == "null" {
		return e.any(nil)
	}
	e.buf = e.text(e.buf, string(inner.buf))
	return nil
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
			return "", &formatError{text: k.Type().String() + ": ", err: err}
		}
		return string(text), nil
	}
	switch k.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(k.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(k.Uint(), 10), nil
	}
	return "", &formatError{text: fmt.Sprintf("cannot encode a key of type %s", k.Type())}
}

func (e *encoder) sequence(v reflect.Value) error {
	if v.Kind() == reflect.Slice {
		if v.IsNil() {
			return e.any(nil)
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			e.buf = e.bytes(e.buf, v.Bytes())
			return nil
		}
	}
	return e.list(v.Len(), func(i int) error { return e.value(v.Index(i)) })
}

func (e *encoder) scalar(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Bool:
		e.buf = e.boolean(e.buf, v.Bool())
	case reflect.String:
		e.buf = e.text(e.buf, v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.buf = e.integer(e.buf, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.buf = e.unsigned(e.buf, v.Uint())
	case reflect.Float32, reflect.Float64:
		e.buf = e.float(e.buf, v.Float(), v.Type().Bits())
	default:
		return &formatError{text: "cannot encode " + v.Type().String()}
	}
	return nil
}
