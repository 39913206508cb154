package codec_test

import (
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/codec"
)

func TestParsesTheTimesThatPeersWrite(t *testing.T) {
	t.Parallel()
	second := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2024-01-02T03:04:05":              second,
		"2024-01-02 03:04:05":              second,
		"2024-01-02T03:04:05Z":             second,
		"2024-01-02t03:04:05z":             second,
		"2024-01-02T03:04:05+00:00":        second,
		"2024-01-02T11:04:05+08:00":        second,
		"2024-01-02T11:04:05+0800":         second,
		"2024-01-02T11:04:05+08":           second,
		"2024-01-01T22:34:05-04:30":        second,
		"2024-01-02T11:09:48+08:05:43":     second,
		"2024-01-02T03:04":                 second.Add(-5 * time.Second),
		"2024-01-02T03:04Z":                second.Add(-5 * time.Second),
		"2024-01-02":                       time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC),
		"2024-01-02T03:04:05.5":            second.Add(500 * time.Millisecond),
		"2024-01-02 03:04:05.123456+00:00": second.Add(123456 * time.Microsecond),
		"2024-01-02T03:04:05.123456789Z":   second.Add(123456789),
	} {
		got, err := codec.ParseTime(text)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "2024", "2024-13-01", "2024-01-02T", "2024-01-02T25:00:00", "1577836800", "2024-01-02T03:04:05+", "2024-01-02T03:04:05 CET"} {
		if got, err := codec.ParseTime(text); err == nil {
			t.Errorf("%q = %v, want an error", text, got)
		}
	}
}
