package wire

import (
	"errors"
	"fmt"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
)

// Limits bound what Decode takes.
type Limits = codec.Limits

const defaultBodyBytes = 64 << 20

// payload is a body and the codec that reads it.
type payload struct {
	codec       codec.Codec
	bytes       []byte
	envelope    codec.Envelope // that it came in; nil: none
	compression string         // that it came in, as in the header; "": none
}

// open finds the codec, unpacks the body and takes it out of its envelope.
func open(d *broker.Delivery, accept codec.Set, limits Limits) (payload, error) {
	c, err := accept.ForContentType(d.ContentType)
	if err != nil {
		return payload{}, &MalformedError{Kind: Refused, Err: err}
	}
	limit := orDefault(limits.BodyBytes)
	if len(d.Body) > limit {
		return payload{}, &MalformedError{Kind: TooLarge, Err: fmt.Errorf("the body is larger than %d bytes", limit)}
	}
	p := payload{codec: c, bytes: d.Body}
	if p.compression, err = compression(d); err != nil {
		return payload{}, err
	}
	if p.bytes, err = unpack(p.compression, d.Body, orDefault(limits.UnpackedBytes)); err != nil {
		return payload{}, err
	}
	if envelope, ok := c.(codec.Envelope); ok {
		p.envelope = envelope
		if p.codec, p.bytes, err = envelope.Open(p.bytes); err != nil {
			return payload{}, &MalformedError{Kind: Refused, Err: err}
		}
	}
	p.codec = codec.WithMaxDepth(p.codec, limits.Depth)
	return p, nil
}

func orDefault(limit int) int {
	if limit <= 0 {
		return defaultBodyBytes
	}
	return limit
}

// compression is the header of that name, "" for none.
func compression(d *broker.Delivery) (string, error) {
	switch header := d.Headers["compression"].(type) {
	case nil:
		return "", nil
	case string:
		return header, nil
	default:
		return "", &MalformedError{Kind: Undecodable, Err: fmt.Errorf("compression is %s, want text", describe(header))}
	}
}

func unpack(compression string, body []byte, limit int) ([]byte, error) {
	unpacked, err := codec.Unpack(compression, body, limit)
	switch {
	case errors.Is(err, codec.ErrTooLarge):
		return nil, &MalformedError{Kind: TooLarge, Err: err}
	case err != nil:
		return nil, &MalformedError{Kind: Undecodable, Err: err}
	}
	return unpacked, nil
}

// packing is how a body goes out.
type packing struct {
	codec       codec.Codec
	envelope    codec.Envelope    // nil: none
	compression codec.Compression // nil: none
}

// body encodes, seals and compresses, in this order, as Celery and kombu do, and returns a message with what says so.
func (p packing) body(v any) (msg broker.Message, err error) {
	msg.ContentType, msg.ContentEncoding = p.codec.ContentType(), p.codec.ContentEncoding()
	if msg.Body, err = p.codec.Marshal(v); err != nil {
		return broker.Message{}, err
	}
	if p.envelope != nil {
		msg.ContentType, msg.ContentEncoding = p.envelope.ContentType(), p.envelope.ContentEncoding()
		if msg.Body, err = p.envelope.Seal(p.codec, msg.Body); err != nil {
			return broker.Message{}, err
		}
	}
	if p.compression != nil {
		msg.Headers = broker.Table{"compression": p.compression.Header()}
		if msg.Body, err = p.compression.Pack(msg.Body); err != nil {
			return broker.Message{}, err
		}
	}
	return msg, nil
}
