package task

import (
	"encoding/hex"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ReprArgs prints positional arguments as Celery shows them in messages, events and logs (celery/utils/saferepr.py): a Python tuple,
// cut after 1024 characters and three levels.
func ReprArgs(args []any) string {
	if len(args) == 0 {
		return "()"
	}
	end := ")"
	if len(args) == 1 {
		end = ",)"
	}
	s := safeRepr{left: safeLen}
	s.container("(", end, len(args), func(i int) { s.value(reflect.ValueOf(args[i])) })
	return s.text.String()
}

// ReprKwargs prints keyword arguments as Celery shows them: a dict, cut as by ReprArgs.
func ReprKwargs(kwargs map[string]any) string {
	if len(kwargs) == 0 {
		return "{}"
	}
	s := safeRepr{left: safeLen}
	var few [16]string
	names := few[:0]
	for name := range kwargs {
		names = append(names, name)
	}
	slices.Sort(names)
	s.container("{", "}", len(names), func(i int) {
		s.quoted(names[i])
		s.token(": ")
		s.value(reflect.ValueOf(kwargs[names[i]]))
	})
	return s.text.String()
}

// ReprResult prints a return value as Celery's log shows it, cut as by ReprArgs.
func ReprResult(v any) string {
	s := safeRepr{left: safeLen}
	s.value(reflect.ValueOf(v))
	return s.text.String()
}

const (
	safeLen    = 1024 // characters
	safeLevels = 3    // of nested containers
)

// safeRepr prints token by token. The token after the limit becomes an ellipsis, and of the rest only closing brackets are shown;
// strings and numbers are cut at what is left. Nothing is escaped but the quote.
type safeRepr struct {
	text  strings.Builder
	left  int // characters
	level int
	hops  int // over pointers, which may lead in a circle
	cut   bool
}

// token writes a piece, unless the limit was reached before.
func (s *safeRepr) token(piece string) {
	switch {
	case s.cut:
	case s.left <= 0:
		s.text.WriteString(", ...")
		s.cut = true
	default:
		s.text.WriteString(piece)
		s.left -= utf8.RuneCountInString(piece)
	}
}

// container writes n items between brackets.
func (s *safeRepr) container(start, end string, n int, item func(int)) {
	if s.level >= safeLevels {
		s.token(s.truncate(start + "..." + end))
		return
	}
	s.level++
	s.token(start)
	for i := 0; i < n && !s.cut; i++ {
		if i > 0 {
			s.token(", ")
		}
		item(i)
	}
	if s.cut { // Celery closes what is open
		s.text.WriteString(end)
	}
	s.token(end)
	s.level--
}

// truncate cuts a text that fills what is left, if it can at a space.
func (s *safeRepr) truncate(text string) string {
	if len(text) < s.left || s.left <= 0 {
		return text
	}
	at := 0
	for range s.left {
		_, size := utf8.DecodeRuneInString(text[at:])
		if at += size; size == 0 {
			return text // fewer characters than bytes
		}
	}
	text = text[:at]
	if space := strings.LastIndexByte(text, ' '); space >= 0 {
		text = text[:space]
	}
	return text + "..."
}

func (s *safeRepr) quoted(text string) {
	text = s.truncate(strings.ToValidUTF8(text, string(utf8.RuneError)))
	s.token("'" + strings.ReplaceAll(text, "'", `\'`) + "'")
}

// value writes a value: containers piece by piece, others as one.
func (s *safeRepr) value(v reflect.Value) {
	if v.IsValid() && v.CanInterface() && !isNil(v) && s.special(v.Interface()) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if s.hops++; s.hops < safeLen {
			s.value(v.Elem())
		}
	case reflect.String:
		s.quoted(v.String())
	case reflect.Slice, reflect.Array:
		s.container("[", "]", v.Len(), func(i int) { s.value(v.Index(i)) })
	case reflect.Map:
		keys := sortedKeys(v)
		s.container("{", "}", len(keys), func(i int) {
			s.value(keys[i])
			s.token(": ")
			s.value(v.MapIndex(keys[i]))
		})
	case reflect.Struct:
		members := membersOf(v)
		s.container("{", "}", len(members), func(i int) {
			s.quoted(members[i].name)
			s.token(": ")
			s.value(members[i].value)
		})
	case reflect.Bool:
		s.token(s.truncate(reprBool(v.Bool())))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.token(s.truncate(strconv.FormatInt(v.Int(), 10)))
	default:
		var b strings.Builder
		repr(&b, v, 0)
		s.token(s.truncate(b.String()))
	}
}

func (s *safeRepr) special(v any) bool {
	switch v := v.(type) {
	case nil, string, bool, int, int64, float64, []any, map[string]any: // the usual ones are not
		return false
	case []byte:
		s.bytes(v)
	case error:
		s.quoted(v.Error())
	default:
		var b strings.Builder
		if !reprSpecial(&b, v) {
			return false
		}
		s.token(s.truncate(b.String()))
	}
	return true
}

// bytes shows text as it is and the rest in hexadecimal.
func (s *safeRepr) bytes(b []byte) {
	more := ""
	if s.left > 0 && len(b) > s.left {
		b, more = b[:s.left], "..."
	}
	text := string(b)
	if !utf8.Valid(b) {
		text = hex.EncodeToString(b)
	}
	s.token("b'" + text + more + "'")
}
