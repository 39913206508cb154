package codec_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/codec"
)

// FuzzJSON checks that nothing panics; that what encoding/json takes is taken, and the other way round but for the numbers that Python
// adds; and that what was read is written and read again as the same text.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`[[{"path": "/", "atime": {"__type__": "datetime", "__value__": "2021-07-03T12:34:56.789012"}}], {}, {"chain": null}]`,
		`[NaN, -Infinity, 1e300, 1000000000000000000000000000000, -0, "\ud83d\ude00\ud800"]`,
		`{"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}}`, `{"__type__": "base64", "__value__": "/wAB"}`,
		`{"a": 1, "a": {"b": [true, false, null]}}`, `{"__value__": 1, "__type__": "x"}`, ` "\u00e9" `, `[1,]`, `{"a"`, `0.5e-3`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw codec.Raw
		rawErr := codec.JSON{}.Unmarshal(data, &raw)
		if s := string(data); rawErr == nil && !strings.Contains(s, "NaN") && !strings.Contains(s, "Infinity") && !json.Valid(data) {
			t.Fatalf("took %q, which is no JSON", data)
		}
		for _, dst := range []any{new(record), new([]record), new(map[string]string), new([]codec.Raw), new(map[string]codec.Raw), new([]byte)} {
			_ = codec.JSON{}.Unmarshal(data, dst)
		}
		var v any
		err := codec.JSON{}.Unmarshal(data, &v)
		if err == nil && rawErr != nil {
			t.Fatalf("decoded %q, which does not split: %v", data, rawErr)
		}
		if err != nil {
			if plain := json.Unmarshal(data, new(any)); plain == nil && !excused(err) {
				t.Fatalf("refused %q: %v", data, err)
			}
			return
		}
		text, err := codec.JSON{}.Marshal(v)
		if err != nil {
			if strings.Contains(err.Error(), "year") {
				return
			}
			t.Fatalf("%q decodes and does not encode: %v", data, err)
		}
		var again any
		if err := (codec.JSON{}).Unmarshal(text, &again); err != nil {
			t.Fatalf("%q became %q, which does not decode: %v", data, text, err)
		}
		if twice, err := (codec.JSON{}).Marshal(again); err != nil || !bytes.Equal(text, twice) {
			t.Fatalf("%q became %q, then %q: %v", data, text, twice, err)
		}
	})
}

// excused are the errors for what encoding/json takes.
func excused(err error) bool {
	for _, text := range []string{"UTF-8", "nested deeper", "digits", "__type__", "__value__", "ISO 8601"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}
