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

// Raw is one value in encoded form. Which codec encoded it is known from where it was found.
type Raw []byte

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
	case "application/x-python-serialize":
		return nil, fmt.Errorf("codec: %w of type pickle (%s): pickle runs code of the sender's choice and only Python can read it; set task_serializer='json' in the sender", ErrRefused, contentType)
	case "":
		return nil, fmt.Errorf("codec: %w without a content type; accepted: %s", ErrRefused, accepted)
	}
	return nil, fmt.Errorf("codec: %w of type %q; accepted: %s; set task_serializer='json' in the sender", ErrRefused, contentType, accepted)
}
