package amqp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// stream is a connection that only reads.
type streamConn struct {
	net.Conn
	io.Reader
}

func (c streamConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// pass returns what comes out of a frameConn that reads r.
func pass(t testing.TB, r io.Reader) []byte {
	t.Helper()
	out, err := io.ReadAll(newFrameConn(streamConn{Reader: r}))
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return out
}

func frame(kind byte, payload []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{kind, 0, 5}, uint32(len(payload)))
	return append(append(out, payload...), frameEnd)
}

// header is the payload of a content header with a content type, the table's entries, and a delivery mode.
func header(entries []byte) []byte {
	out := []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}
	out = binary.BigEndian.AppendUint16(out, flagType|flagHeaders|flagMode)
	out = append(out, 4, 't', 'e', 'x', 't')
	out = binary.BigEndian.AppendUint32(out, uint32(len(entries)))
	return append(append(out, entries...), 2)
}

// entry is one entry of a table.
func entry(name string, value ...byte) []byte {
	return append(append([]byte{byte(len(name))}, name...), value...)
}

// block is a tagged value with a length: a string, a table or an array.
func block(tag byte, content []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{tag}, uint32(len(content))), content...)
}

// long is a long integer with the tag.
func long(tag byte) []byte { return []byte{tag, 0, 0, 1, 0x8f, 1, 2, 3, 4} }

// nested is n tables around a boolean.
func nested(n int) []byte {
	value := []byte{'t', 1}
	for range n {
		value = block('F', entry("k", value...))
	}
	return value
}

func TestLongIntegersAreRetagged(t *testing.T) {
	t.Parallel()
	entries := func(tag byte) []byte {
		return bytes.Join([][]byte{
			entry("L", 'S', 0, 0, 0, 1, 'L'), // a name and a text are no tags
			entry("a", long(tag)...),
			entry("b", block('F', entry("in", block('A', append([]byte{'V'}, long(tag)...))...))...),
			entry("c", 'd', 'L', 'L', 'L', 'L', 'L', 'L', 'L', 'L'),
		}, nil)
	}
	in := bytes.Join([][]byte{
		frame(typeMethod, long('L')), frame(typeHeader, header(entries('L'))), frame(typeBody, long('L')), frame(typeHeartbeat, nil),
	}, nil)
	want := bytes.Join([][]byte{
		frame(typeMethod, long('L')), frame(typeHeader, header(entries('l'))), frame(typeBody, long('L')), frame(typeHeartbeat, nil),
	}, nil)
	if got := pass(t, bytes.NewReader(in)); !bytes.Equal(got, want) {
		t.Errorf("frames = %q\nwant %q", got, want)
	}
	if got := pass(t, iotest.OneByteReader(bytes.NewReader(in))); !bytes.Equal(got, want) {
		t.Errorf("frames read byte by byte = %q\nwant %q", got, want)
	}
}

func TestUnreadableTableIsReplacedByOneThatSaysWhy(t *testing.T) {
	t.Parallel()
	many := bytes.Repeat(entry("k", 'V'), maxEntries+1)
	for name, c := range map[string]struct {
		entries []byte
		want    string
	}{
		"too deep":         {entry("k", nested(maxDepth+1)...), errTooDeep.Error()},
		"too many entries": {many, errTooMany.Error()},
		"too many values":  {entry("k", block('A', bytes.Repeat([]byte{'V'}, maxEntries+1))...), errTooMany.Error()},
		"unknown tag":      {entry("k", '?', 1, 2), "unknown type tag '?'"},
		"no tag":           {[]byte{1, 'k'}, errTruncated.Error()},
		"short name":       {[]byte{200, 'k'}, errTruncated.Error()},
		"short value":      {entry("k", 'l', 1, 2), errTruncated.Error()},
		"huge string":      {entry("k", 'S', 0xff, 0xff, 0xff, 0xff, 1), errTruncated.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := header(c.entries)
			got := pass(t, bytes.NewReader(append(frame(typeHeader, in), frame(typeBody, []byte("body"))...)))
			want := append(frame(typeHeader, header(markTable(errors.New(c.want))[4:])), frame(typeBody, []byte("body"))...)
			if !bytes.Equal(got, want) {
				t.Errorf("frames = %q\nwant %q", got, want)
			}
		})
	}
}

func TestTableAtTheLimitsPassesAsItIs(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]byte{
		"deep":  entry("k", nested(maxDepth)...),
		"many":  bytes.Repeat(entry("k", 'V'), maxEntries),
		"array": entry("k", block('A', bytes.Repeat([]byte{'V'}, maxEntries))...),
		"empty": nil,
		"types": bytes.Join([][]byte{
			entry("t", 't', 1), entry("b", 'b', 1), entry("B", 'B', 1), entry("s", 's', 0, 1), entry("u", 'u', 0, 1),
			entry("I", 'I', 0, 0, 0, 1), entry("i", 'i', 0, 0, 0, 1), entry("f", 'f', 0, 0, 0, 1), entry("D", 'D', 2, 0, 0, 0, 1),
			entry("l", long('l')...), entry("T", long('T')...), entry("x", block('x', []byte("bytes"))...), entry("V", 'V'),
		}, nil),
	} {
		in := frame(typeHeader, header(entries))
		if got := pass(t, bytes.NewReader(bytes.Clone(in))); !bytes.Equal(got, in) {
			t.Errorf("%s: frame of %d bytes was changed to %d bytes", name, len(in), len(got))
		}
	}
}

func TestBrokenPropertiesAreReplaced(t *testing.T) {
	t.Parallel()
	short := header(entry("k", 't', 1))
	for name, payload := range map[string][]byte{
		"cut in the fixed part": short[:9],
		"cut in a property":     short[:headerFixed+2],
		"cut before the mode":   short[:len(short)-1],
	} {
		got, replaced := repairHeader(bytes.Clone(payload))
		if !replaced || !strings.Contains(string(got), HeaderUnreadable) {
			t.Errorf("%s: repaired = %q, %v, want a table that says so", name, got, replaced)
		}
		if again, replaced := repairHeader(got); replaced {
			t.Errorf("%s: the repaired header was repaired again: %q", name, again)
		}
	}
}

func TestWhatIsNoAMQPPassesAsItIs(t *testing.T) {
	t.Parallel()
	for name, in := range map[string][]byte{
		"greeting of a server with another protocol": []byte("AMQP\x00\x00\x09\x01"),
		"frame cut by the end of the connection":     frame(typeHeader, header(entry("k", long('L')...)))[:20],
		"head cut":                                   {typeHeader, 0},
		"header out of step":                         append(frame(typeHeader, header(nil))[:headerFixed], bytes.Repeat([]byte{7}, 99)...),
		"oversized header":                           append(binary.BigEndian.AppendUint32([]byte{typeHeader, 0, 1}, 1<<31-1), "start"...),
	} {
		if got := pass(t, bytes.NewReader(bytes.Clone(in))); !bytes.Equal(got, in) {
			t.Errorf("%s: %q was changed to %q", name, in, got)
		}
	}
}

func TestLargeBodyIsReadStraight(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
	in := append(frame(typeBody, body), frame(typeHeader, header(entry("k", long('L')...)))...)
	want := append(frame(typeBody, body), frame(typeHeader, header(entry("k", long('l')...)))...)
	c := newFrameConn(streamConn{Reader: bytes.NewReader(in)})
	got := make([]byte, len(in))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("frames differ, error = %v", err)
	}
}

func FuzzHeaderRepairKeepsFrames(f *testing.F) {
	f.Add(header(entry("k", long('L')...)), uint8(1))
	f.Add(header(entry("k", nested(40)...)), uint8(3))
	f.Add(header(entry("k", '?')), uint8(200))
	f.Add([]byte{}, uint8(7))
	f.Fuzz(func(t *testing.T, payload []byte, chunk uint8) {
		before, after := frame(typeMethod, []byte("before")), frame(typeBody, []byte("after"))
		in := bytes.Join([][]byte{before, frame(typeHeader, payload), after}, nil)
		out := pass(t, &chunks{data: in, size: int(chunk) + 1})
		if !bytes.HasPrefix(out, before) || !bytes.HasSuffix(out, after) {
			t.Fatalf("neighbours of the header frame were changed: %q", out)
		}
		got := out[len(before) : len(out)-len(after)]
		if size := binary.BigEndian.Uint32(got[3:]); int(size)+frameHead+1 != len(got) || got[len(got)-1] != frameEnd {
			t.Fatalf("frame of %d bytes says that its payload has %d", len(got), size)
		}
		if again, replaced := repairHeader(bytes.Clone(got[frameHead : len(got)-1])); replaced || !bytes.Equal(again, got[frameHead:len(got)-1]) {
			t.Fatalf("a repaired header needs repair: %q", got)
		}
		if whole := pass(t, bytes.NewReader(in)); !bytes.Equal(whole, out) {
			t.Fatalf("in chunks of %d it reads %q, in one piece %q", chunk, out, whole)
		}
	})
}

// chunks reads data in pieces of a size.
type chunks struct {
	data []byte
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.data)
	c.data = c.data[n:]
	return n, nil
}
