package amqp

import (
	"bytes"
	"io"
	"testing"
)

// celeryHeaders is a header table as Celery sends it.
func celeryHeaders() []byte {
	text := func(s string) []byte { return block('S', []byte(s)) }
	id := text("527fad94-8116-4152-a703-90615892d849")
	null := []byte{'V'}
	return bytes.Join([][]byte{
		entry("lang", text("py")...), entry("task", text("bench.add")...), entry("id", id...), entry("shadow", null...), entry("eta", null...),
		entry("expires", null...), entry("group", null...), entry("group_index", null...), entry("retries", 'I', 0, 0, 0, 0),
		entry("timelimit", block('A', []byte{'V', 'V'})...), entry("root_id", id...), entry("parent_id", null...),
		entry("argsrepr", text("(1, 2)")...), entry("kwargsrepr", text("{}")...), entry("origin", text("gen18520@vm")...),
		entry("ignore_result", 't', 1),
	}, nil)
}

// BenchmarkReceive cuts deliveries out of the stream and decodes them.
func BenchmarkReceive(b *testing.B) {
	body := []byte(`[[], {"x": 1, "y": 2}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`)
	one := bytes.Join([][]byte{
		frame(typeMethod, deliverTo("one", 1)), frame(typeHeader, sized(header(celeryHeaders()), len(body))), frame(typeBody, body),
	}, nil)
	const batch = 50
	r := bytes.NewReader(nil)
	c, in := taking(r)
	all := bytes.Repeat(one, batch)
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%batch == 0 {
			r.Reset(all)
			c.err = nil
			if _, err := io.Copy(io.Discard, c); err != nil {
				b.Fatal(err)
			}
		}
		if msg := in.next().message(); len(msg.Headers) != 16 {
			b.Fatal(msg)
		}
	}
}
