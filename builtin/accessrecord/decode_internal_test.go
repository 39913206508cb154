package accessrecord

import (
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/codec"
)

// BenchmarkDecode reads a visit as Python sends it, where what is not ASCII is escaped.
func BenchmarkDecode(b *testing.B) {
	visit := codec.Raw(`{"path": "/articles/42/", "query_str": "page=2", "address": "203.0.113.7", "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
		"referer": "https://example.com/", "atime": "2021-07-03T12:34:56.789012", "source": "\u4e2d\u56fd-\u5e7f\u4e1c-\u6df1\u5733"}`)
	d := decoder{location: time.UTC, now: now}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.decode(codec.JSON{}, visit); err != nil {
			b.Fatal(err)
		}
	}
}
