package accessrecord

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// decoder turns the task's argument into a visit, strictly: what does not fit is refused in words that name the field.
type decoder struct {
	location *time.Location // of a time without a zone
	limits   map[string]int // characters by field, where lower than the fields' own
	now      func() time.Time
}

// decode returns the visit of an encoded dict. A missing field, or one that is null, has its default.
func (d decoder) decode(c codec.Codec, data codec.Raw) (Visit, error) {
	var fields map[string]codec.Raw
	if err := c.Unmarshal(data, &fields); err != nil || fields == nil {
		return Visit{}, typeError("data must be a dict, not %s", kindOf(c, data))
	}
	v := Visit{ATime: d.now()}
	for _, f := range texts() {
		value, err := d.text(c, f, fields[f.name])
		if err != nil {
			return Visit{}, err
		}
		*f.of(&v) = value
		delete(fields, f.name)
	}
	if raw, ok := fields["atime"]; ok {
		t, err := d.time(c, raw)
		if err != nil {
			return Visit{}, err
		}
		if !t.IsZero() {
			v.ATime = t
		}
		delete(fields, "atime")
	}
	if len(fields) > 0 {
		return Visit{}, typeError("data got an unexpected field '%s'", slices.Min(slices.Collect(maps.Keys(fields))))
	}
	return v, nil
}

func (d decoder) text(c codec.Codec, f text, raw codec.Raw) (string, error) {
	if raw == nil {
		return f.def, nil
	}
	var s *string
	if err := c.Unmarshal(raw, &s); err != nil {
		return "", typeError("data field '%s' must be a str, not %s", f.name, kindOf(c, raw))
	}
	if s == nil {
		return f.def, nil
	}
	limit := f.limit
	if n, ok := d.limits[f.name]; ok {
		limit = min(limit, n)
	}
	if n := utf8.RuneCountInString(*s); n > limit {
		return "", valueError("data field '%s' has %d characters, at most %d are allowed", f.name, n, limit)
	}
	if strings.IndexByte(*s, 0) >= 0 || !utf8.ValidString(*s) {
		return "", valueError("data field '%s' holds NUL or bytes that are not UTF-8", f.name)
	}
	return *s, nil
}

func typeError(format string, args ...any) error {
	return task.Permanent(task.Raise("TypeError", TaskName+"() "+fmt.Sprintf(format, args...)))
}

func valueError(format string, args ...any) error {
	return task.Permanent(task.Raise("ValueError", TaskName+"() "+fmt.Sprintf(format, args...)))
}

// kindOf names the type of an encoded value in Python's words.
func kindOf(c codec.Codec, raw codec.Raw) string {
	var v any
	if err := c.Unmarshal(raw, &v); err != nil {
		return "a value that cannot be read"
	}
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		return "str"
	case bool:
		return "bool"
	case map[string]any:
		return "dict"
	case []any:
		return "list"
	case []byte:
		return "bytes"
	case time.Time:
		return "datetime"
	case float32, float64:
		return "float"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eEN") { // N: NaN
			return "float"
		}
		return "int"
	default:
		return "int"
	}
}
