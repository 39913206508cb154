package accessrecord

import (
	"errors"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/codec"
)

// time decodes atime: an ISO 8601 string (Celery up to 5.2), kombu's {"__type__": "datetime", "__value__": …} (from 5.3), or
// what the codec itself has for a time. A time without a zone is in d.location. It returns now for null.
func (d decoder) time(c codec.Codec, raw codec.Raw) (time.Time, error) {
	var s *string
	if err := c.Unmarshal(raw, &s); err == nil {
		if s == nil {
			return d.now(), nil
		}
		return d.iso(*s)
	}
	var tagged map[string]codec.Raw
	if err := c.Unmarshal(raw, &tagged); err == nil && tagged["__type__"] != nil {
		var kind, value string
		if err := errors.Join(c.Unmarshal(tagged["__type__"], &kind), c.Unmarshal(tagged["__value__"], &value)); err != nil || kind != "datetime" {
			return time.Time{}, typeError("data field 'atime' must be a datetime, not another tagged type")
		}
		return d.iso(value)
	}
	var t time.Time
	if kind := kindOf(c, raw); kind != "datetime" || c.Unmarshal(raw, &t) != nil {
		return time.Time{}, typeError("data field 'atime' must be a datetime or a str, not %s", kind)
	}
	return t, nil
}

// iso parses what Python's datetime.isoformat writes, and str of a datetime.
func (d decoder) iso(s string) (time.Time, error) {
	text := strings.Replace(s, " ", "T", 1)
	for _, layout := range []string{
		"2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700",
		"2006-01-02T15:04:05Z07:00:00", // the offsets of old local mean times
		"2006-01-02T15:04", "2006-01-02T15:04Z07:00", "2006-01-02",
	} {
		if t, err := time.ParseInLocation(layout, text, d.location); err == nil {
			return t, nil
		}
	}
	return time.Time{}, valueError("data field 'atime' is not an ISO 8601 time such as 2021-07-03T12:34:56.789012+08:00")
}
