package codec

import (
	"fmt"
	"time"
)

// ParseTime reads a time as Python and its users write it: ISO 8601 with T or a space between date and time, 0 to 9 digits of a
// second's fraction (more are cut), and Z, ±hh:mm, ±hhmm, ±hh or nothing, which means UTC. A date alone is its first instant.
func ParseTime(text string) (time.Time, error) {
	iso := text
	if len(iso) > 10 && (iso[10] == ' ' || iso[10] == 't') {
		iso = iso[:10] + "T" + iso[11:]
	}
	if len(iso) > 0 && iso[len(iso)-1] == 'z' {
		iso = iso[:len(iso)-1] + "Z"
	}
	t, err := time.ParseInLocation(layoutOf(iso), iso, time.UTC)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no ISO 8601 time", clip(text))
	}
	return t, nil
}

func layoutOf(iso string) string {
	if len(iso) <= len(time.DateOnly) {
		return time.DateOnly
	}
	end := len(iso) // of the time of day
	for i := len(time.DateOnly); i < len(iso); i++ {
		if c := iso[i]; c == 'Z' || c == '+' || c == '-' {
			end = i
			break
		}
	}
	minutes := end == len("2006-01-02T15:04")
	switch len(iso) - end {
	case 0:
		if minutes {
			return "2006-01-02T15:04"
		}
		return "2006-01-02T15:04:05"
	case len("Z"), len("+00:00"):
		if minutes {
			return "2006-01-02T15:04Z07:00"
		}
		return time.RFC3339
	case len("+0000"):
		return "2006-01-02T15:04:05Z0700"
	case len("+00"):
		return "2006-01-02T15:04:05Z07"
	}
	return "2006-01-02T15:04:05Z07:00:00"
}

func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}

// FormatTime writes a time as every version of Celery reads it: "2006-01-02T15:04:05.000000+00:00". What is finer than a
// microsecond is cut off.
func FormatTime(t time.Time) string { return string(appendTime(make([]byte, 0, 40), t)) }

func appendTime(b []byte, t time.Time) []byte {
	if _, offset := t.Zone(); offset%60 != 0 { // hh:mm cannot say it
		t = t.UTC()
	}
	return t.AppendFormat(b, "2006-01-02T15:04:05.000000-07:00")
}
