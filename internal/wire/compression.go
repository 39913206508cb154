package wire

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// unpack undoes the compression that the header names. kombu calls a zlib stream gzip.
func unpack(compression any, body []byte, limit int) ([]byte, error) {
	if compression == nil {
		return body, nil
	}
	switch compression {
	case "application/x-gzip", "application/x-zlib", "gzip", "zlib":
	default:
		return nil, undecodable(fmt.Errorf("compression %s is not known here; set task_compression='gzip' or None in the sender", describe(compression)))
	}
	z, err := zlib.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, undecodable(fmt.Errorf("unpack: %w", err))
	}
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(z, int64(limit)+1))
	switch {
	case err != nil:
		return nil, undecodable(fmt.Errorf("unpack: %w", errors.Join(err, z.Close())))
	case n > int64(limit):
		return nil, tooLarge(limit)
	}
	if err := z.Close(); err != nil {
		return nil, undecodable(fmt.Errorf("unpack: %w", err))
	}
	return out.Bytes(), nil
}

func undecodable(err error) error { return &MalformedError{Kind: Undecodable, Err: err} }
