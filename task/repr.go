package task

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Repr prints a value as Python's repr does: 'text', None, True, [1, 2.0], {'k': 'v'}. Logs, events and Flower show it; nothing
// parses it.
func Repr(v any) string {
	var b strings.Builder
	repr(&b, reflect.ValueOf(v), 0)
	return b.String()
}

const (
	reprDepth = 16   // deeper values print as …
	reprLen   = 2048 // bytes, after which a value is cut
)

func repr(b *strings.Builder, v reflect.Value, depth int) {
	if !v.IsValid() {
		b.WriteString("None")
		return
	}
	if depth > reprDepth || b.Len() > reprLen {
		b.WriteString("...")
		return
	}
	if v.CanInterface() && !isNil(v) && reprSpecial(b, v.Interface()) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		repr(b, v.Elem(), depth)
	case reflect.Bool:
		b.WriteString(reprBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		b.WriteString(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		b.WriteString(reprFloat(v.Float()))
	case reflect.String:
		reprString(b, v.String())
	case reflect.Slice, reflect.Array:
		reprList(b, v, depth)
	case reflect.Map:
		reprMap(b, v, depth)
	case reflect.Struct:
		reprStruct(b, v, depth)
	default:
		fmt.Fprintf(b, "<%s>", v.Type())
	}
}

func reprSpecial(b *strings.Builder, v any) bool {
	switch v := v.(type) {
	case json.Number:
		b.WriteString(v.String())
	case *big.Int:
		b.WriteString(v.String())
	case []byte:
		fmt.Fprintf(b, "b'%x'", v)
	case time.Time:
		fmt.Fprintf(b, "datetime.datetime(%d, %d, %d, %d, %d", v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute())
		if v.Second() != 0 || v.Nanosecond() != 0 {
			fmt.Fprintf(b, ", %d", v.Second())
		}
		if us := v.Nanosecond() / 1000; us != 0 {
			fmt.Fprintf(b, ", %d", us)
		}
		if _, offset := v.Zone(); offset == 0 {
			b.WriteString(", tzinfo=datetime.timezone.utc)")
		} else {
			fmt.Fprintf(b, ", tzinfo=datetime.timezone(datetime.timedelta(seconds=%d)))", offset)
		}
	case error:
		reprString(b, v.Error())
	default:
		return false
	}
	return true
}

// isNil reports whether v is a pointer to nothing, which is None: it need not bear that its methods are called.
func isNil(v reflect.Value) bool {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v.Kind() == reflect.Pointer && v.IsNil()
}

func reprBool(is bool) string {
	if is {
		return "True"
	}
	return "False"
}

func reprFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func reprString(b *strings.Builder, s string) {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			fmt.Fprintf(b, `\U%08x`, r)
		}
	}
	b.WriteByte(quote)
}

func reprList(b *strings.Builder, v reflect.Value, depth int) {
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteString(", ")
		}
		repr(b, v.Index(i), depth+1)
	}
	b.WriteByte(']')
}

func reprMap(b *strings.Builder, v reflect.Value, depth int) {
	b.WriteByte('{')
	for i, k := range sortedKeys(v) {
		if i > 0 {
			b.WriteString(", ")
		}
		repr(b, k, depth+1)
		b.WriteString(": ")
		repr(b, v.MapIndex(k), depth+1)
	}
	b.WriteByte('}')
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	if v.Type().Key() == reflect.TypeFor[string]() {
		slices.SortFunc(keys, func(a, c reflect.Value) int { return strings.Compare(a.String(), c.String()) })
		return keys
	}
	slices.SortFunc(keys, func(a, c reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(c)) })
	return keys
}

// A struct prints as the dict that it is on the wire.
func reprStruct(b *strings.Builder, v reflect.Value, depth int) {
	b.WriteByte('{')
	for i, m := range membersOf(v) {
		if i > 0 {
			b.WriteString(", ")
		}
		reprString(b, m.name)
		b.WriteString(": ")
		repr(b, m.value, depth+1)
	}
	b.WriteByte('}')
}

type member struct {
	name  string
	value reflect.Value
}

func membersOf(v reflect.Value) []member {
	members := make([]member, 0, v.NumField())
	for f, value := range v.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		members = append(members, member{cmp.Or(name, f.Name), value})
	}
	return members
}
