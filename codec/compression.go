package codec

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Compression packs bodies in one way. Implementations are safe for concurrent use, and keep what they have made for the next body:
// use one for many.
type Compression interface {
	// Header is the value of the message header "compression" (kombu/compression.py).
	Header() string
	Pack(body []byte) ([]byte, error)
}

// The values of the header "compression".
const (
	headerZlib   = "application/x-gzip" // kombu's name for it
	headerZstd   = "application/zstd"
	headerBzip2  = "application/x-bz2"
	headerLzma   = "application/x-lzma"
	headerBrotli = "application/x-brotli"
)

// ErrTooLarge is wrapped by the error of Unpack for a body that is larger than the limit.
var ErrTooLarge = errors.New("the unpacked body is too large")

// ParseCompression returns the compression of a name that Celery's users write in task_compression: gzip or zlib, which are one, and
// zstd. "" and "none" mean nil: no compression. The others of Celery are known only to be refused.
func ParseCompression(name string) (Compression, error) {
	switch name {
	case "", "none":
		return nil, nil
	case "gzip", "zlib", headerZlib:
		return new(Zlib), nil
	case "zstd", "zstandard", headerZstd:
		return new(Zstd), nil
	case "bzip2", "bzip", headerBzip2:
		return nil, fmt.Errorf("codec: compression %s is read, not written: use zlib, zstd or none", name)
	case "lzma", "xz", headerLzma, "brotli", headerBrotli:
		return nil, fmt.Errorf("codec: compression %s is not spoken here: use zlib, zstd or none", name)
	}
	return nil, fmt.Errorf("codec: unknown compression %q: use zlib, zstd or none", clip(name))
}

// Zlib is the compression that every Celery reads and calls gzip; its stream is that of RFC 1950. The zero value is ready to use.
type Zlib struct {
	writers sync.Pool // of *zlib.Writer: a new one costs a megabyte
}

var _ Compression = (*Zlib)(nil)

// Header implements Compression.
func (*Zlib) Header() string { return headerZlib }

// Pack implements Compression.
func (z *Zlib) Pack(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w, ok := z.writers.Get().(*zlib.Writer)
	if !ok {
		w = zlib.NewWriter(nil)
	}
	defer z.writers.Put(w)
	w.Reset(&out)
	if _, err := w.Write(body); err != nil {
		return nil, fmt.Errorf("codec: zlib: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("codec: zlib: %w", err)
	}
	return out.Bytes(), nil
}

// Zstd is faster than Zlib and packs tighter; peers in Python need kombu ≥ 5.2 and a module for it (zstandard, or later backports.zstd).
// The zero value is ready to use.
type Zstd struct {
	once    sync.Once
	encoder *zstd.Encoder
	err     error
}

var _ Compression = (*Zstd)(nil)

// Header implements Compression.
func (*Zstd) Header() string { return headerZstd }

// Pack implements Compression.
func (z *Zstd) Pack(body []byte) ([]byte, error) {
	z.once.Do(func() {
		few := min(4, runtime.GOMAXPROCS(0)) // encoders, of more than a megabyte each
		z.encoder, z.err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(few), zstd.WithLowerEncoderMem(true),
			zstd.WithSingleSegment(true)) // says the size, which kombu 5.2 needs
	})
	if z.err != nil {
		return nil, fmt.Errorf("codec: zstd: %w", z.err)
	}
	return z.encoder.EncodeAll(body, nil), nil
}

const (
	// A body of a megabyte may come from next to nothing. Beyond it, one that is larger by more than deflate's own greatest ratio is a
	// bomb: with zstd and bzip2 a few bytes stand for gigabytes.
	maxRatio   = 1032
	smallBody  = 1 << 20
	zstdWindow = 8 << 20 // a stream may say that it needs so much, however short it is (RFC 8878)
)

// Unpack undoes the compression that the header of a message names, "" for none. The result has at most limit bytes; the error for
// more wraps ErrTooLarge. It takes memory in proportion to what it unpacks, not to what a header claims.
func Unpack(header string, body []byte, limit int) ([]byte, error) {
	limit = min(max(limit, 1), max(smallBody, saturated(len(body))))
	switch header {
	case "":
		return body, nil
	case headerZlib, "application/x-zlib", "gzip", "zlib":
		z, err := zlib.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("codec: unpack %s: %w", header, err)
		}
		return readAll(header, z, limit)
	case headerBzip2, "bzip2", "bzip":
		return readAll(header, bzip2.NewReader(bytes.NewReader(body)), limit)
	case headerZstd, "zstd", "zstandard":
		return unpackZstd(header, body, limit)
	case headerLzma, "lzma", "xz", headerBrotli, "brotli":
		return nil, fmt.Errorf("codec: compression %s is not spoken here; set task_compression='gzip' or None in the sender", header)
	}
	return nil, fmt.Errorf("codec: compression %q is not known; set task_compression='gzip' or None in the sender", clip(header))
}

func saturated(n int) int {
	if n > int(^uint(0)>>1)/maxRatio {
		return n
	}
	return n * maxRatio
}

func unpackZstd(header string, body []byte, limit int) ([]byte, error) {
	var frame zstd.Header
	if err := frame.Decode(body); err == nil && frame.HasFCS && frame.FrameContentSize > uint64(limit) {
		return nil, tooLarge(header, limit) // it would be allocated at once
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(max(limit, zstdWindow))))
	if err != nil {
		return nil, fmt.Errorf("codec: unpack %s: %w", header, err)
	}
	defer z.Close()
	out, err := z.DecodeAll(body, nil)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded) || err == nil && len(out) > limit:
		return nil, tooLarge(header, limit)
	case err != nil:
		return nil, fmt.Errorf("codec: unpack %s: %w", header, err)
	}
	return out, nil
}

func readAll(header string, r io.Reader, limit int) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("codec: unpack %s: %w", header, err)
	case len(out) > limit:
		return nil, tooLarge(header, limit)
	}
	return out, nil
}

func tooLarge(header string, limit int) error {
	return fmt.Errorf("codec: unpack %s: %w: more than %d bytes", header, ErrTooLarge, limit)
}
