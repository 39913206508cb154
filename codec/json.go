package codec

// MaxDepth is how deep arrays and objects may be nested when nothing else is said.
const MaxDepth = 128

// JSON is Celery's default serialisation: JSON as Python writes and reads it. The zero value is ready to use.
//
// Marshal and Unmarshal follow encoding/json (struct tags, Marshaler and Unmarshaler, TextMarshaler and TextUnmarshaler), except:
//
//   - kombu's tagged values {"__type__": T, "__value__": V} are read as what they stand for. Into any, a datetime becomes time.Time,
//     bytes and base64 []byte, and date, time, decimal and uuid their text. Into a string goes the text, into an Unmarshaler the
//     text as a JSON string. They are never written: a datetime goes out as ISO text, which all versions of Celery read.
//   - time.Time is read from ISO 8601 with T or a space, with or without a zone (without: UTC), see ParseTime, and written by
//     FormatTime.
//   - NaN, Infinity and -Infinity stand for float64 values.
//   - Integers are exact: into any they become int64, or *big.Int beyond; no float becomes an integer. A float64 without a fraction
//     is written with ".0", so that it stays a float.
//   - Of duplicate keys the last one counts, whole.
//   - Invalid UTF-8 is refused when read and replaced by U+FFFD when written; characters such as < are not escaped.
//   - []byte is written in base64, and read from base64 and from tagged bytes.
//
// Errors name the place and the reason: "json: visits[2].atime: got a number, want time.Time".
type JSON struct {
	// MaxDepth is how deep arrays and objects may be nested, read and written; 0 means the constant MaxDepth.
	MaxDepth int
	// Types are remembered from one document to the next; nil: what is needed is found out for each document.
	Types *Types
}

var _ Codec = JSON{}

// ContentType implements Codec.
func (JSON) ContentType() string { return "application/json" }

// ContentEncoding implements Codec.
func (JSON) ContentEncoding() string { return "utf-8" }

// Marshal implements Codec.
func (j JSON) Marshal(v any) ([]byte, error) {
	e := encoder{format: jsonFormat{}, maxDepth: depth(j.MaxDepth), structs: structs{always: j.Types}}
	if err := e.any(v); err != nil {
		return nil, err
	}
	return e.buf, nil
}

// Unmarshal implements Codec. After an error, *dst may be filled in part.
func (j JSON) Unmarshal(data []byte, dst any) error {
	s := j.scanner(data)
	if err := s.valid(); err != nil {
		return err
	}
	split, err := s.split(dst)
	if !split {
		whole := s // the decoder's is on the heap
		err = decode(decoder{source: &whole, structs: structs{always: j.Types}}, dst)
		s = whole
	}
	if err != nil {
		return err
	}
	return s.end()
}

func (j JSON) scanner(data []byte) scanner { return scanner{data: data, maxDepth: depth(j.MaxDepth)} }

func depth(limit int) int {
	if limit > 0 {
		return limit
	}
	return MaxDepth
}

// MarshalJSON implements json.Marshaler.
func (r Raw) MarshalJSON() ([]byte, error) {
	if r == nil {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Raw) UnmarshalJSON(data []byte) error {
	*r = append((*r)[:0], data...)
	return nil
}
