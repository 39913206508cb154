package wire_test

import (
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// visit is the argument of access_record.
type visit struct {
	Path      string    `json:"path"`
	Query     string    `json:"query_str"`
	Address   string    `json:"address"`
	UserAgent string    `json:"user_agent"`
	Referer   string    `json:"referer"`
	Time      time.Time `json:"atime"`
	Source    string    `json:"source"`
}

func BenchmarkDecode(b *testing.B) {
	d := load(b, "tasks/main/access_record.json").delivery(b)
	accept := codec.NewSet(codec.JSON{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Decode(d, accept, wire.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeWithArguments(b *testing.B) {
	d := load(b, "tasks/main/access_record.json").delivery(b)
	accept := codec.NewSet(codec.JSON{})
	b.ReportAllocs()
	for b.Loop() {
		req, err := wire.Decode(d, accept, wire.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		var v visit
		if err := req.Codec.Unmarshal(req.Args[0], &v); err != nil {
			b.Fatal(err)
		}
	}
}

// formats are the ways to send the call of the benchmarks.
func formats() map[string]wire.Outgoing {
	return map[string]wire.Outgoing{
		"msgpack": {Codec: codec.Msgpack{}}, "json+zlib": {Compression: new(codec.Zlib)}, "json+zstd": {Compression: new(codec.Zstd)},
		"msgpack+zstd": {Codec: codec.Msgpack{}, Compression: new(codec.Zstd)},
	}
}

func BenchmarkEncodePacked(b *testing.B) {
	for name, o := range formats() {
		o.Signature, o.Now, o.Origin = visitCall(), time.Now(), "gen1@host"
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.Encode(o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodePackedWithArguments(b *testing.B) {
	accept := codec.NewSet(codec.JSON{}, codec.Msgpack{})
	for name, o := range formats() {
		o.Signature, o.Now, o.Origin = visitCall(), time.Now(), "gen1@host"
		msg, err := wire.Encode(o)
		if err != nil {
			b.Fatal(err)
		}
		d := broker.NewDelivery(msg, nil)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req, err := wire.Decode(d, accept, wire.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				var v visit
				if err := req.Codec.Unmarshal(req.Args[0], &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func visitCall() task.Signature {
	sig := task.Signature{Task: "access_record", Args: []any{visit{
		Path: "/api/articles/1/", Query: "page=2&sort=-date", Address: "203.0.113.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)",
		Referer: "https://example.com/", Time: time.Date(2021, 7, 3, 12, 34, 56, 789012000, time.UTC), Source: "中国-广东-深圳",
	}}}
	sig.ID, sig.ReplyTo = "516612f5-d46e-471a-8559-20b86da2b364", "d30cdce2-6521-33ba-8024-441489dddaf7"
	return sig
}

func BenchmarkEncode(b *testing.B) {
	o := wire.Outgoing{Signature: visitCall(), Now: time.Now(), Origin: "gen1@host"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Encode(o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeResult(b *testing.B) {
	meta, err := wire.DecodeResult(load(b, "results-rpc/main/access_record-1-SUCCESS.json").Body, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.EncodeResult(meta, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeResult(b *testing.B) {
	body := load(b, "results-rpc/main/access_record-1-SUCCESS.json").Body
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeResult(body, nil); err != nil {
			b.Fatal(err)
		}
	}
}
