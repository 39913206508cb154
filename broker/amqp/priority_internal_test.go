package amqp

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// properties is the payload of a content header with the flags, and the properties up to the priority.
func properties(flags uint16, values ...string) []byte {
	out := []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}
	out = binary.BigEndian.AppendUint16(out, flags)
	for _, v := range values {
		out = append(out, v...)
	}
	return out
}

func TestMessagesWithoutAPriorityGetTheZeroOfCelery(t *testing.T) {
	t.Parallel()
	const text, table, mode = "\x04text", "\x00\x00\x00\x03\x01x\x56", "\x02"
	id := "\x02id" // correlation id, 0x0400, behind the priority
	for name, c := range map[string]struct{ in, want []byte }{
		"all":       {properties(0xF400, text, text, table, mode, id), properties(0xFC00, text, text, table, mode, "\x00", id)},
		"no table":  {properties(0xD400, text, text, mode, id), properties(0xDC00, text, text, mode, "\x00", id)},
		"no mode":   {properties(0xA400, text, table, id), properties(0xAC00, text, table, "\x00", id)},
		"nothing":   {properties(0), properties(0x0800, "\x00")},
		"one":       {properties(0xF800, text, text, table, mode, "\x07"), properties(0xF800, text, text, table, mode, "\x07")},
		"continued": {properties(0x0001), properties(0x0001)},
		"truncated": {properties(0x8000, "\x09text"), properties(0x8000, "\x09text")},
		"too short": {[]byte{0, 60}, []byte{0, 60}},
	} {
		if got, want := withPriority(frame(typeHeader, c.in)), frame(typeHeader, c.want); !bytes.Equal(got, want) {
			t.Errorf("%s: % x, want % x", name, got, want)
		}
	}
}

// TestFramesAreFilteredHoweverTheyAreCut writes a stream in pieces of every size.
func TestFramesAreFilteredHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	in, want := []byte("AMQP\x00\x00\x09\x01"), []byte("AMQP\x00\x00\x09\x01")
	for _, kind := range []byte{typeMethod, typeHeader, typeBody, typeBody, typeHeartbeat, typeMethod, typeHeader, typeBody} {
		payload, sent := bytes.Repeat([]byte{kind}, 50), bytes.Repeat([]byte{kind}, 50)
		switch kind {
		case typeHeader:
			payload, sent = properties(0x8000, "\x04text"), properties(0x8800, "\x04text", "\x00")
		case typeHeartbeat:
			payload, sent = nil, nil
		}
		in, want = append(in, frame(kind, payload)...), append(want, frame(kind, sent)...)
	}
	for size := 1; size <= len(in); size++ {
		var f priorities
		var got []byte
		for rest := in; len(rest) > 0; {
			n := min(size, len(rest))
			got = append(got, f.filter(rest[:n])...)
			rest = rest[n:]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("in pieces of %d: % x, want % x", size, got, want)
		}
	}
	var f priorities
	strange := []byte("GET / HTTP/1.1\r\n\r\n")
	if got := f.filter(strange); !bytes.Equal(got, strange) {
		t.Errorf("what is no AMQP became %q", got)
	}
}
