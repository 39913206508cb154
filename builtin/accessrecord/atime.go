package accessrecord

import (
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/codec"
)

// time decodes atime: an ISO 8601 string (Celery up to 5.2), kombu's tagged datetime (from 5.3), or what else the codec has for a
// time. A time without a zone is in d.location. For null it returns now.
func (d decoder) time(c codec.Codec, raw codec.Raw) (time.Time, error) {
	if text, ok := plain(c, raw); ok {
		return d.iso(text)
	}
	var value any
	if err := c.Unmarshal(raw, &value); err != nil {
		return time.Time{}, valueError("data field 'atime' cannot be read: %v", err)
	}
	switch value := value.(type) {
	case nil:
		return d.now(), nil
	case string:
		return d.iso(value)
	case time.Time:
		var text string // of a tagged datetime, which still shows whether it has a zone
		if c.Unmarshal(raw, &text) == nil {
			return d.iso(text)
		}
		return value.UTC(), nil
	default:
		return time.Time{}, typeError("data field 'atime' must be a datetime or a str, not %s", kind(value))
	}
}

// iso parses what Python's datetime.isoformat writes, and str of a datetime.
func (d decoder) iso(text string) (time.Time, error) {
	t, err := codec.ParseTime(text)
	if err != nil {
		return time.Time{}, valueError("data field 'atime': %v", err)
	}
	if clock := text[min(len(text), len(time.DateOnly)):]; !strings.ContainsAny(clock, "Zz+-") {
		t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), d.location)
	}
	t = t.UTC().Truncate(time.Microsecond)
	if y := t.Year(); y < 1 || y > 9999 { // as far as Python's datetime goes
		return time.Time{}, valueError("data field 'atime' is in the year %d, want 1 to 9999", y)
	}
	return t, nil
}
