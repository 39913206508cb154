package codec_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/seed-399731e2/taskq/codec"
)

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func bigs() cmp.Option {
	return cmp.Comparer(func(a, b *big.Int) bool { return a == b || a != nil && b != nil && a.Cmp(b) == 0 })
}

// The bytes are those of Python's packb(v, use_bin_type=True). What has two forms there is written in Python's.
func TestMsgpackIsPythons(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	for code, want := range map[string]any{
		"c0": nil, "c3": true, "c2": false, "00": int64(0), "7f": int64(127), "cc80": int64(128), "cd0100": int64(256),
		"ce00010000": int64(65536), "cf0000000100000000": int64(1) << 32, "ff": int64(-1), "e0": int64(-32), "d0df": int64(-33),
		"d1ff7f": int64(-129), "d2ffff7fff": int64(-32769), "d3ffffffff7fffffff": int64(-1<<31) - 1,
		"cfffffffffffffffff": new(big.Int).SetUint64(math.MaxUint64), "cb3ff8000000000000": 1.5, "cb7ff0000000000000": math.Inf(1),
		"a0": "", "a3e783ad": "热", "d9" + "20" + strings.Repeat("78", 32): long[:32], "da012c" + strings.Repeat("78", 300): long,
		"c400": []byte{}, "c40200ff": []byte{0, 255}, "c5012c" + strings.Repeat("78", 300): []byte(long),
		"90": []any{}, "9201a3" + "74776f": []any{int64(1), "two"}, "80": map[string]any{},
		"82a16101a162" + "93c0c301":         map[string]any{"a": int64(1), "b": []any{nil, true, int64(1)}},
		"dc0010" + strings.Repeat("01", 16): slices.Repeat([]any{int64(1)}, 16),
	} {
		packed := unhex(t, code)
		var got any
		if err := (codec.Msgpack{}).Unmarshal(packed, &got); err != nil || !cmp.Equal(want, got, bigs()) {
			t.Errorf("%s = %#v, %v, want %#v", code, got, err, want)
		}
		if again, err := (codec.Msgpack{}).Marshal(want); err != nil || !bytes.Equal(again, packed) {
			t.Errorf("%#v is written as %x, %v, want %s", want, again, err, code)
		}
		var raw codec.Raw
		if err := (codec.Msgpack{}).Unmarshal(packed, &raw); err != nil || !bytes.Equal(raw, packed) {
			t.Errorf("%s is %x raw: %v", code, raw, err)
		}
	}
	var nan any
	if err := (codec.Msgpack{}).Unmarshal(unhex(t, "cb7ff8000000000000"), &nan); err != nil || !math.IsNaN(nan.(float64)) {
		t.Errorf("NaN = %v, %v", nan, err)
	}
}

func TestMsgpackReadsWhatOtherWritersWrite(t *testing.T) {
	t.Parallel()
	at := time.Date(2021, 7, 3, 12, 34, 56, 0, time.UTC)
	for code, want := range map[string]any{
		"d3000000000000ffff": int64(65535), "cf00000000000000ff": int64(255), "ca3fc00000": 1.5, "db0000000178": "x", "dd0000000101": []any{int64(1)},
		"d6ff60e05810":             time.Unix(0x60e05810, 0).UTC(),               // a timestamp
		"8301a16102a162c40163a163": map[string]any{"1": "a", "2": "b", "c": "c"}, // keys that are no text
		"82a16101a16102":           map[string]any{"a": int64(2)},                // the last of two counts
	} {
		var got any
		if err := (codec.Msgpack{}).Unmarshal(unhex(t, code), &got); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s = %#v, %v, want %#v", code, got, err, want)
		}
	}
	var into time.Time
	packed, err := codec.Msgpack{}.Marshal(at)
	if err != nil || string(packed[2:]) != "2021-07-03T12:34:56.000000+00:00" {
		t.Errorf("a time is written as %q, %v", packed, err)
	}
	if err := (codec.Msgpack{}).Unmarshal(packed, &into); err != nil || !into.Equal(at) {
		t.Errorf("time = %v, %v, want %v", into, err, at)
	}
	if err := (codec.Msgpack{}).Unmarshal(unhex(t, "d6ff60e05810"), &into); err != nil || into.Unix() != 0x60e05810 {
		t.Errorf("timestamp = %v, %v", into, err)
	}
}

// What Go types become and are made from is what codec.JSON makes of them, but for bytes.
func TestMsgpackTreatsGoTypesAsJSONDoes(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("12345678-1234-5678-1234-567812345678")
	naive := time.Date(2021, 7, 3, 12, 34, 56, 0, time.UTC)
	want := record{
		inner: inner{Name: "n"}, ID: 9007199254740993, Exported: "e", Quoted: 7, At: naive.Add(5e8), Maybe: &naive, Data: []byte{0xff, 0, 1},
		Text: "热", Big: bigInt(t, "18446744073709551615"), Number: "1.25", UUID: id, Later: codec.Raw{0x92, 1, 0xc0}, Any: []any{int64(1), []byte{1}},
		List: []inner{{Name: "a"}, {}}, Pair: [2]int{1, 2}, ByID: map[int]string{5: "five"}, ByUUID: map[uuid.UUID]int{id: 1}, Float: 2,
		Flag: true, Decimal: decimal{"2.50"}, Std: json.RawMessage("[null]"),
	}
	packed, err := codec.Msgpack{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := (codec.Msgpack{}).Unmarshal(packed, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{}, inner{}), bigs()); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	var viaPack, viaJSON map[string]any
	if err := (codec.Msgpack{}).Unmarshal(packed, &viaPack); err != nil {
		t.Fatal(err)
	}
	want.Later, want.Any = codec.Raw("[1,null]"), []any{1, codec.Raw(tag("base64", `"AQ=="`))}
	text, err := codec.JSON{}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := (codec.JSON{}).Unmarshal(text, &viaJSON); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(viaPack["data"].([]byte), want.Data) || viaJSON["data"] != "/wAB" {
		t.Errorf("data = %v, and in JSON %v", viaPack["data"], viaJSON["data"])
	}
	delete(viaPack, "data")
	delete(viaJSON, "data")
	if diff := cmp.Diff(viaJSON, viaPack, bigs()); diff != "" {
		t.Errorf("as JSON says it, as msgpack does:\n%s", diff)
	}
}

func TestMsgpackKeepsPartsEncoded(t *testing.T) {
	t.Parallel()
	part := map[string]any{"a": []any{int64(1), []byte{255}}}
	raw, err := codec.Msgpack{}.Marshal(part)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := codec.Msgpack{}.Marshal([]any{codec.Raw(raw), map[string]codec.Raw{"k": raw, "none": nil}})
	if err != nil {
		t.Fatal(err)
	}
	var parts []codec.Raw
	var members map[string]codec.Raw
	if err := (codec.Msgpack{}).Unmarshal(packed, &parts); err != nil {
		t.Fatal(err)
	}
	if err := (codec.Msgpack{}).Unmarshal(parts[1], &members); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(parts[0], raw) || !bytes.Equal(members["k"], raw) || !bytes.Equal(members["none"], []byte{0xc0}) {
		t.Errorf("parts = %x, members = %x, want %x in both", parts, members, raw)
	}
	if len(parts[0]) > 0 && &parts[0][0] != &packed[1] {
		t.Error("a part was copied")
	}
	parts, members = []codec.Raw{{}}, map[string]codec.Raw{}
	for _, dst := range []any{&parts, &members} {
		if err := (codec.Msgpack{}).Unmarshal([]byte{0xc0}, dst); err != nil {
			t.Error(err)
		}
	}
	if parts != nil || members != nil {
		t.Errorf("null is %v and %v", parts, members)
	}
}

func TestMsgpackRefuses(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		dst  any
		want string
	}{
		"":                                   {new(any), "msgpack: byte 0: the data ends where a value is expected"},
		"93a3":                               {new([]codec.Raw), "msgpack: [0]: byte 1: the data ends"},
		"9301":                               {new(any), "msgpack: [1]: byte 2: the data ends"},
		"ddffffffff01":                       {new(any), "msgpack: [1]: byte 6: the data ends"}, // says that it has four billion elements
		"dfffffffff":                         {new(any), "msgpack: byte 5: the data ends"},
		"c6ffffffff01":                       {new(codec.Raw), "msgpack: byte 0: the data ends"},
		"c1":                                 {new(any), "msgpack: byte 0: 0xc1 where a value is expected"},
		"0101":                               {new(any), "msgpack: byte 1: more data after the value"},
		"a1ff":                               {new(codec.Raw), "msgpack: byte 0: invalid UTF-8"},
		"d40501":                             {new(codec.Raw), "msgpack: byte 0: an extension type, which neither side knows"},
		"81c001":                             {new(codec.Raw), "msgpack: byte 1: a key that is no text"},
		"81c401ff01":                         {new(codec.Raw), "msgpack: byte 1: a key of bytes that are no UTF-8"},
		"81a161a178":                         {new(struct{ A int }), "msgpack: a: got a string, want int"},
		"81a161c40178":                       {new(struct{ A int }), "msgpack: a: got bytes, want int"},
		"81a161a178 ":                        {new(struct{ A []byte }), "msgpack: a: got a string, want []uint8"},
		"cb4000000000000000":                 {new(int), "msgpack: got a float (2.0), want int"},
		"cd012c":                             {new(int8), "msgpack: 300 does not fit int8"},
		"c0 ":                                {nil, "msgpack: cannot decode into <nil>: not a pointer"},
		"01":                                 {new([]codec.Raw), "msgpack: got an integer (1), want a list"},
		"c40101":                             {new(map[string]codec.Raw), "msgpack: got bytes, want an object"},
		"80":                                 {new([]codec.Raw), "msgpack: got an object, want a list"},
		strings.Repeat("91", 200) + "c0":     {new(any), "nested deeper than 128 levels"},
		strings.Repeat("91", 201) + "c0":     {new(codec.Raw), "nested deeper than 128 levels"},
		strings.Repeat("81a161", 200) + "c0": {new(codec.Raw), "nested deeper than 128 levels"},
	} {
		err := codec.Msgpack{}.Unmarshal(unhex(t, code), c.dst)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40s into %T: %v, want %s", code, c.dst, err, c.want)
		}
	}
	circle := []any{nil}
	circle[0] = circle
	for want, v := range map[string]any{
		"msgpack: [0]: an integer of more than 64 bits; send it as text, or use json": []any{bigInt(t, "18446744073709551616")},
		"msgpack: an integer of more than 64 bits; send it as text, or use json":      json.Number("-9223372036854775809"),
		"msgpack: 1e400 does not fit float64":                                         json.Number("1e400"),
		"msgpack: cannot encode chan int":                                             make(chan int),
		"msgpack: [0]: byte 1: the data ends where a value is expected":               codec.Raw{0x91},
		"msgpack: the raw value is more than one value of MessagePack":                codec.Raw{1, 1},
		"nested deeper than 128 levels":                                               circle,
	} {
		if _, err := (codec.Msgpack{}).Marshal(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %s", err, want)
		}
	}
}

// anything generates values that JSON and MessagePack have both.
func anything() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.String().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) }).AsAny(),
	)
	return rapid.Deferred(func() *rapid.Generator[any] {
		return rapid.OneOf(scalar, scalar, rapid.SliceOfN(anything(), 0, 3).AsAny(), rapid.MapOfN(rapid.String(), anything(), 0, 3).AsAny())
	})
}

func TestMsgpackAndJSONSayTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := anything().Draw(t, "value")
		packed, err := codec.Msgpack{}.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text, err := codec.JSON{}.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := (codec.Msgpack{}).Unmarshal(packed, &a); err != nil {
			t.Fatal(err)
		}
		if err := (codec.JSON{}).Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(a, b) {
			t.Fatalf("msgpack: %#v, JSON: %#v", a, b)
		}
	})
}

// FuzzMsgpack checks that nothing panics, that what splits and decodes is one thing, and that what was read is written and read again as
// the same bytes.
func FuzzMsgpack(f *testing.F) {
	for _, code := range []string{
		"9395" + "01a374776fc40200ff9201" + "0281a16ba176" + "81a26b77cb3ff8000000000000" + "84a963616c6c6261636b73c0a865727262616b73c0",
		"d6ff60e05810", "d7ff000000000000ffff", "c70cff00000000ffffffffffffffff", "d40501", "cfffffffffffffffff", "81c001", "8101c0", "ca7fc00000",
		"ddffffffff01", "dfffffffff", "c1", "a1ff", "c401ff",
	} {
		f.Add(unhex(f, code))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw codec.Raw
		rawErr := codec.Msgpack{}.Unmarshal(data, &raw)
		for _, dst := range []any{new(record), new([]record), new(map[string]string), new([]codec.Raw), new(map[string]codec.Raw), new([]byte)} {
			_ = codec.Msgpack{}.Unmarshal(data, dst)
		}
		var v any
		err := codec.Msgpack{}.Unmarshal(data, &v)
		if err == nil && rawErr != nil {
			t.Fatalf("decoded %x, which does not split: %v", data, rawErr)
		}
		if err != nil {
			if rawErr == nil && !strings.Contains(err.Error(), "ISO 8601") {
				t.Fatalf("refused %x: %v", data, err)
			}
			return
		}
		packed, err := codec.Msgpack{}.Marshal(v)
		if err != nil {
			t.Fatalf("%x decodes and does not encode: %v", data, err)
		}
		var again any
		if err := (codec.Msgpack{}).Unmarshal(packed, &again); err != nil {
			t.Fatalf("%x became %x, which does not decode: %v", data, packed, err)
		}
		if twice, err := (codec.Msgpack{}).Marshal(again); err != nil || !bytes.Equal(packed, twice) {
			t.Fatalf("%x became %x, then %x: %v", data, packed, twice, err)
		}
	})
}

func TestNilInAListOfAnythingIsNull(t *testing.T) {
	t.Parallel()
	v := struct {
		List []any
		Map  map[string]any
	}{[]any{nil, 1}, map[string]any{"k": nil}}
	want := map[string]any{"List": []any{nil, int64(1)}, "Map": map[string]any{"k": nil}}
	for _, c := range []codec.Codec{codec.JSON{}, codec.Msgpack{}} {
		data, err := c.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if err := c.Unmarshal(data, &got); err != nil || !cmp.Equal(got, any(want)) {
			t.Errorf("%s: %v, %v, want %v", c.ContentType(), got, err, want)
		}
	}
}
