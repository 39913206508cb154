package accessrecord

import (
	"bytes"
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

// decode returns the visit of an encoded dict. A field that is missing or null has its default.
func (d decoder) decode(c codec.Codec, data codec.Raw) (Visit, error) {
	var fields map[string]codec.Raw
	if err := c.Unmarshal(data, &fields); err != nil || fields == nil {
		var value any
		if err := c.Unmarshal(data, &value); err != nil {
			return Visit{}, valueError("data cannot be read: %v", err)
		}
		return Visit{}, typeError("data must be a dict, not %s", kind(value))
	}
	v := Visit{ATime: d.now()}
	known := 0
	for _, f := range texts() {
		raw, ok := fields[f.name]
		if !ok {
			*f.of(&v) = f.def
			continue
		}
		value, err := d.text(c, f, raw)
		if err != nil {
			return Visit{}, err
		}
		*f.of(&v) = value
		known++
	}
	if raw, ok := fields["atime"]; ok {
		t, err := d.time(c, raw)
		if err != nil {
			return Visit{}, err
		}
		v.ATime = t
		known++
	}
	if known < len(fields) {
		return Visit{}, unexpected(fields)
	}
	return v, nil
}

// unexpected is the error for fields of which some are not a visit's.
func unexpected(fields map[string]codec.Raw) error {
	delete(fields, "atime")
	for _, f := range texts() {
		delete(fields, f.name)
	}
	return typeError("data got an unexpected field %s", task.Repr(slices.Min(slices.Collect(maps.Keys(fields)))))
}

// plain returns the value of a text that stands in JSON as it is. Most do; the codec has checked it when it took the dict apart.
func plain(c codec.Codec, raw codec.Raw) (s string, ok bool) {
	if _, isJSON := c.(codec.JSON); !isJSON || raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 {
		return "", false
	}
	return string(raw[1 : len(raw)-1]), true
}

func (d decoder) text(c codec.Codec, f text, raw codec.Raw) (string, error) {
	s, ok := plain(c, raw)
	if !ok {
		var value any
		if err := c.Unmarshal(raw, &value); err != nil {
			return "", valueError("data field '%s' cannot be read: %v", f.name, err)
		}
		if value == nil {
			return f.def, nil
		}
		if s, ok = value.(string); !ok {
			return "", typeError("data field '%s' must be a str, not %s", f.name, kind(value))
		}
	}
	limit := f.limit
	if n, ok := d.limits[f.name]; ok {
		limit = min(limit, n)
	}
	if n := utf8.RuneCountInString(s); n > limit {
		return "", valueError("data field '%s' has %d characters, at most %d are allowed", f.name, n, limit)
	}
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return "", valueError("data field '%s' holds NUL or bytes that are not UTF-8", f.name)
	}
	return s, nil
}

func typeError(format string, args ...any) error {
	return task.Permanent(task.Raise("TypeError", TaskName+"() "+fmt.Sprintf(format, args...)))
}

func valueError(format string, args ...any) error {
	return task.Permanent(task.Raise("ValueError", TaskName+"() "+fmt.Sprintf(format, args...)))
}

// kind names the type of a decoded value in Python's words.
func kind(value any) string {
	switch v := value.(type) {
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
		if strings.ContainsAny(v.String(), ".eE") {
			return "float"
		}
	}
	return "int"
}
