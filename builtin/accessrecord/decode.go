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
	for _, f := range texts() {
		if raw, ok := fields[f.name]; !ok {
			*f.of(&v) = f.def
		} else if value, err := d.text(c, f, raw); err != nil {
			return Visit{}, err
		} else {
			*f.of(&v) = value
		}
		delete(fields, f.name)
	}
	if raw, ok := fields["atime"]; ok {
		t, err := d.time(c, raw)
		if err != nil {
			return Visit{}, err
		}
		v.ATime = t
		delete(fields, "atime")
	}
	if len(fields) > 0 {
		return Visit{}, typeError("data got an unexpected field %s", task.Repr(slices.Min(slices.Collect(maps.Keys(fields)))))
	}
	return v, nil
}

func (d decoder) text(c codec.Codec, f text, raw codec.Raw) (string, error) {
	var value any
	if err := c.Unmarshal(raw, &value); err != nil {
		return "", valueError("data field '%s' cannot be read: %v", f.name, err)
	}
	if value == nil {
		return f.def, nil
	}
	s, ok := value.(string)
	if !ok {
		return "", typeError("data field '%s' must be a str, not %s", f.name, kind(value))
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
