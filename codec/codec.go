// Package codec turns Go values into message bodies and back, in the serialisations that Celery's peers use.
//
// It knows bytes and Go values, and nothing of tasks, messages or brokers.
package codec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Codec is one serialisation. Implementations are safe for concurrent use.
type Codec interface {
	// ContentType is the AMQP content_type, compared to the letter: "application/json".
	ContentType() string
	// ContentEncoding is the AMQP content_encoding: "utf-8" for text, "binary" for the rest.
	ContentEncoding() string
	Marshal(v any) ([]byte, error)
	// Unmarshal decodes data into the value dst points to. A dst that holds Raw (*Raw, *[]Raw, *map[string]Raw) gets the
	// encoded bytes of that part, aliasing data, to be decoded later by the same codec.
	Unmarshal(data []byte, dst any) error
}

// Envelope is a codec that wraps what another one encoded, such as the signed messages of Celery's "auth". Marshal wraps what Inner
// encoded; Unmarshal opens, and decodes what is in it.
type Envelope interface {
	Codec
	// Inner is the codec for what is sent when nothing else is said.
	Inner() Codec
	// Open checks the envelope and returns what is in it, with its codec. The error for one that cannot be trusted wraps ErrRefused.
	Open(data []byte) (Codec, []byte, error)
	// Seal wraps what inner encoded.
	Seal(inner Codec, data []byte) ([]byte, error)
}

// Limits bound what is read from a message. A field that is 0 has its default.
type Limits struct {
	BodyBytes     int // of the body as it is sent; 64 MiB
	UnpackedBytes int // of the body when it is unpacked; 64 MiB
	Depth         int // of nested arrays and objects; MaxDepth
}

// Raw is one value in encoded form. Which codec encoded it is known from where it was found.
type Raw []byte

// ByName returns the codec of one of Celery's names, "json" or "msgpack", or of its content type. The error says why the others of
// Celery are not among them. An Envelope has keys and is made by its package.
func ByName(name string) (Codec, error) {
	for _, c := range []struct {
		name string
		Codec
	}{{"json", JSON{}}, {"msgpack", Msgpack{}}} {
		if name == c.name || name == c.ContentType() {
			return c.Codec, nil
		}
	}
	switch name {
	case "pickle", typePickle:
		return nil, errors.New("codec: the serializer pickle is refused for good: it runs code of the sender's choice; use json, msgpack or auth")
	case "yaml", typeYAML:
		return nil, errors.New("codec: the serializer yaml is not spoken here; use json, msgpack or auth")
	}
	return nil, fmt.Errorf("codec: unknown serializer %q; use json, msgpack or auth", clip(name))
}

// WithMaxDepth returns c with another limit on how deep arrays and objects may be nested; 0 leaves it as it is.
func WithMaxDepth(c Codec, depth int) Codec {
	switch limited := c.(type) {
	case JSON:
		if depth > 0 && depth != limited.MaxDepth {
			limited.MaxDepth = depth
			return limited
		}
	case Msgpack:
		if depth > 0 && depth != limited.MaxDepth {
			limited.MaxDepth = depth
			return limited
		}
	}
	return c
}

// The content types that are known to be refused (kombu/serialization.py).
const (
	typePickle = "application/x-python-serialize"
	typeYAML   = "application/x-yaml"
)

// Set is what a process accepts, by content type (Celery's accept_content).
type Set map[string]Codec

// NewSet returns the set of the given codecs.
func NewSet(codecs ...Codec) Set {
	s := make(Set, len(codecs))
	for _, c := range codecs {
		s[c.ContentType()] = c
	}
	return s
}

// ErrRefused is wrapped by the error for a content type that this process does not accept.
var ErrRefused = errors.New("refusing to deserialize untrusted content")

// ForContentType returns the codec for a content type, which must match to the letter, as in Celery. The error wraps ErrRefused
// and says what to do.
func (s Set) ForContentType(contentType string) (Codec, error) {
	if c, ok := s[contentType]; ok {
		return c, nil
	}
	accepted := strings.Join(slices.Sorted(maps.Keys(s)), ", ")
	switch contentType {
	case typePickle:
		return nil, fmt.Errorf("codec: %w of type pickle (%s): pickle runs code of the sender's choice and only Python can read it; set task_serializer='json' in the sender", ErrRefused, contentType)
	case typeYAML:
		return nil, fmt.Errorf("codec: %w of type yaml (%s), which is not spoken here; set task_serializer='json' in the sender", ErrRefused, contentType)
	case "":
		return nil, fmt.Errorf("codec: %w without a content type; accepted: %s", ErrRefused, accepted)
	case (Msgpack{}).ContentType(), (JSON{}).ContentType(), "application/data":
		return nil, fmt.Errorf("codec: %w of type %s; accepted: %s; add it to accept_content here, or change task_serializer in the sender", ErrRefused, contentType, accepted)
	}
	return nil, fmt.Errorf("codec: %w of type %q; accepted: %s; change task_serializer in the sender", ErrRefused, contentType, accepted)
}
