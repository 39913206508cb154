package codec_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-399731e2/taskq/codec"
)

func TestPacksAndUnpacks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"zlib", "gzip", "zstd"} {
		c, err := codec.ParseCompression(name)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for _, body := range []string{"", "x", strings.Repeat("visit ", 1000*i)} {
					packed, err := c.Pack([]byte(body))
					if err != nil {
						t.Error(err)
						return
					}
					got, err := codec.Unpack(c.Header(), packed, 1<<20)
					if err != nil || string(got) != body {
						t.Errorf("%s: %d bytes came back as %d: %v", name, len(body), len(got), err)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestZlibIsThatOfRFC1950(t *testing.T) {
	t.Parallel()
	packed, err := new(codec.Zlib).Pack([]byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := zlib.NewReader(bytes.NewReader(packed)) // the standard library's
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "hello" {
		t.Errorf("unpacked %q, %v", text, err)
	}
}

// Python's ZstdDecompressor().decompress needs to know the size before (kombu 5.2).
func TestZstdSaysHowLongTheBodyIs(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 300, 100_000, 5 << 20} {
		packed, err := new(codec.Zstd).Pack(bytes.Repeat([]byte("z"), n))
		if err != nil {
			t.Fatal(err)
		}
		var header zstd.Header
		if err := header.Decode(packed); err != nil || !header.HasFCS || header.FrameContentSize != uint64(n) {
			t.Errorf("header of %d bytes: %+v, %v", n, header, err)
		}
	}
}

func TestParsesTheNamesOfCompressions(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"": "", "none": "", "gzip": "application/x-gzip", "zlib": "application/x-gzip", "application/x-gzip": "application/x-gzip",
		"zstd": "application/zstd", "zstandard": "application/zstd",
	} {
		c, err := codec.ParseCompression(name)
		if err != nil || (c == nil) != (header == "") || c != nil && c.Header() != header {
			t.Errorf("%q = %v, %v, want %q", name, c, err, header)
		}
	}
	for name, text := range map[string]string{
		"bzip2": "compression bzip2 is read, not written: use zlib, zstd or none", "lzma": "compression lzma is not spoken here",
		"brotli": "compression brotli is not spoken here", "snappy": `unknown compression "snappy": use zlib, zstd or none`,
	} {
		if _, err := codec.ParseCompression(name); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, want %q", name, err, text)
		}
	}
}

func TestUnpackRefusesWhatIsBroken(t *testing.T) {
	t.Parallel()
	packed := map[string][]byte{}
	for _, c := range []codec.Compression{new(codec.Zlib), new(codec.Zstd)} {
		body, err := c.Pack([]byte(strings.Repeat("hello", 100)))
		if err != nil {
			t.Fatal(err)
		}
		packed[c.Header()] = body
	}
	packed["application/x-bz2"], _ = base64.StdEncoding.DecodeString(bzip2Hello)
	for header, body := range packed {
		if _, err := codec.Unpack(header, body, 1000); err != nil {
			t.Errorf("%s: %v", header, err)
		}
		flipped := bytes.Clone(body)
		flipped[len(flipped)/2] ^= 1
		for what, broken := range map[string][]byte{"cut": body[:len(body)-1], "changed": flipped, "text": []byte("hello hello hello")} {
			if got, err := codec.Unpack(header, broken, 1000); err == nil {
				t.Errorf("%s, %s: unpacked %q", header, what, got)
			}
		}
	}
	for _, header := range []string{"application/x-lzma", "application/x-brotli", "xz", "x"} {
		if _, err := codec.Unpack(header, []byte("x"), 1000); err == nil || !strings.Contains(err.Error(), "set task_compression='gzip' or None in the sender") {
			t.Errorf("%s: %v, want the remedy", header, err)
		}
	}
}

// bzip2Hello is "hello" a hundred times, from Python's bz2.
const bzip2Hello = "QlpoOTFBWSZTWfxSrk4AAGOBAAJEoAAwzTQKUGEXEWkXCLxdyRThQkPxSrk4"

// A few bytes can stand for gigabytes. Nothing near that is ever allocated.
func TestBombsAreRefusedInLittleMemory(t *testing.T) {
	bombs := map[string][]byte{}
	zeros := make([]byte, 1<<20)
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	var s bytes.Buffer
	e, err := zstd.NewWriter(&s, zstd.WithWindowSize(1<<20)) // a stream: does not say its size
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		if _, err := e.Write(zeros); err != nil {
			t.Fatal(err)
		}
		if i%4 > 0 { // this one is slow
			continue
		}
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []io.Closer{w, e} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sized, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bombs["zlib"], bombs["zstd"] = z.Bytes(), s.Bytes()
	bombs["zstandard"] = sized.EncodeAll(make([]byte, 64<<20), nil)
	bombs["bzip2"], _ = base64.StdEncoding.DecodeString(bzip2Bomb)
	for header, body := range bombs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := codec.Unpack(header, body, 4<<20)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("%s: %d bytes: %v, want ErrTooLarge", header, len(body), err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 56<<20 {
			t.Errorf("%s: %d bytes took %d MiB", header, len(body), used>>20)
		}
	}
	// far below the limit, and still too much for its size
	for _, header := range []string{"zstd", "zstandard", "bzip2"} {
		if _, err := codec.Unpack(header, bombs[header], 1<<30); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("%s: %d bytes: %v, want ErrTooLarge", header, len(bombs[header]), err)
		}
	}
}

// bzip2Bomb is 46 MB of zeros, from Python's bz2.
const bzip2Bomb = "QlpoOTFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZudCH0AAAxdAAwAAEAAAIIAAgpTQZjUhbBQvF3JFOFCQpcNCbgA=="

func FuzzUnpack(f *testing.F) {
	for _, c := range []codec.Compression{new(codec.Zlib), new(codec.Zstd)} {
		body, err := c.Pack([]byte(strings.Repeat("hello", 100)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	bz, _ := base64.StdEncoding.DecodeString(bzip2Hello)
	f.Add(bz)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, header := range []string{"zlib", "zstd", "bzip2"} {
			if body, err := codec.Unpack(header, data, 10_000); err == nil && len(body) > 10_000 {
				t.Fatalf("%s: %d bytes", header, len(body))
			}
		}
	})
}

func BenchmarkPack(b *testing.B) {
	body := []byte(strings.Repeat(`{"path": "/api/articles/1/", "query_str": "page=2&sort=-date", "address": "203.0.113.7"}, `, 45))
	for name, c := range map[string]codec.Compression{"zlib": new(codec.Zlib), "zstd": new(codec.Zstd)} {
		packed, err := c.Pack(body)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Pack(body); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("un"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.Unpack(c.Header(), packed, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// zstd's own limits are those of its window, 8 MiB at least: what lies between is caught here, what says its size before it is allocated.
func TestZstdBodiesAboveASmallLimitAreRefused(t *testing.T) {
	body := make([]byte, 5<<20)
	var stream bytes.Buffer
	w, err := zstd.NewWriter(&stream)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body[:4<<20]); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil { // from here on it cannot say its size
		t.Fatal(err)
	}
	if _, err := w.Write(body[4<<20:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sized, err := new(codec.Zstd).Pack(body)
	if err != nil {
		t.Fatal(err)
	}
	for name, packed := range map[string][]byte{"of a size": sized, "a stream": stream.Bytes()} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := codec.Unpack("zstd", packed, 1000)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; name == "of a size" && used > 1<<20 {
			t.Errorf("%s: took %d KiB", name, used>>10)
		}
	}
}
