package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-399731e2/taskq/codec"
)

// tag is one of kombu's typed values.
func tag(kind, value string) string {
	return fmt.Sprintf(`{"__type__": %q, "__value__": %s}`, kind, value)
}

func bigInt(t *testing.T, s string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		t.Fatal(s)
	}
	return n
}

func TestDecodesIntoAnyWhatTheTextSays(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("", 8*3600)
	for text, want := range map[string]any{
		`null`: nil, `true`: true, ` false `: false, `"a\u00e9\n\ud83d\ude00"`: "aé\n😀", `"\ud800x"`: "\uFFFDx", `"\ud800\u0041"`: "\uFFFDA",
		`0`: int64(0), `-0`: int64(0), `9007199254740993`: int64(9007199254740993), `-9223372036854775808`: int64(math.MinInt64),
		`2.0`: 2.0, `1e3`: 1000.0, `Infinity`: math.Inf(1), `-Infinity`: math.Inf(-1),
		`9223372036854775808`: bigInt(t, "9223372036854775808"),
		`[]`:                  []any{}, `{}`: map[string]any{}, `{"a": [1, {"b": null}]}`: map[string]any{"a": []any{int64(1), map[string]any{"b": nil}}},
		`{"a": 1, "a": 2}`: map[string]any{"a": int64(2)},
		tag("datetime", `"2021-07-03T12:34:56.789012"`):              time.Date(2021, 7, 3, 12, 34, 56, 789012000, time.UTC),
		tag("datetime", `"2021-07-03T12:34:56+08:00"`):               time.Date(2021, 7, 3, 12, 34, 56, 0, east),
		tag("date", `"2021-07-03"`):                                  "2021-07-03",
		tag("time", `"03:04:05.000006"`):                             "03:04:05.000006",
		tag("decimal", `"1.10"`):                                     "1.10",
		tag("uuid", `{"hex": "12345678123456781234567812345678"}`):   "12345678-1234-5678-1234-567812345678",
		tag("bytes", `"hello"`):                                      []byte("hello"),
		tag("base64", `"/wAB"`):                                      []byte{0xff, 0, 1},
		`{"__value__": "1.10", "__type__": "decimal"}`:               "1.10",
		`{"__type__": "x"}`:                                          map[string]any{"__type__": "x"},
		`{"__type__": 5, "__value__": 1}`:                            map[string]any{"__type__": int64(5), "__value__": int64(1)},
		`{"__type__": "date", "__value__": "2021-07-03", "more": 1}`: map[string]any{"__type__": "date", "__value__": "2021-07-03", "more": int64(1)},
	} {
		var got any
		if err := (codec.JSON{}).Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	var nan any
	if err := (codec.JSON{}).Unmarshal([]byte("NaN"), &nan); err != nil || !math.IsNaN(nan.(float64)) {
		t.Errorf("NaN = %v, %v", nan, err)
	}
}

type inner struct {
	Name string `json:"name"`
	Skip string `json:"-"`
}

type pointed struct{ Far int }

type record struct {
	inner
	*pointed

	ID       int64 `json:"id"`
	Exported string
	Quoted   int               `json:"quoted,string"`
	At       time.Time         `json:"at"`
	Maybe    *time.Time        `json:"maybe"`
	Data     []byte            `json:"data"`
	Text     string            `json:"text"`
	Big      *big.Int          `json:"big"`
	Number   json.Number       `json:"number"`
	UUID     uuid.UUID         `json:"uuid"`
	Later    codec.Raw         `json:"later"`
	Any      any               `json:"any"`
	List     []inner           `json:"list"`
	Pair     [2]int            `json:"pair"`
	ByID     map[int]string    `json:"by_id"`
	ByUUID   map[uuid.UUID]int `json:"by_uuid"`
	Float    float64           `json:"float"`
	Flag     bool              `json:"flag"`
	Decimal  decimal           `json:"decimal"`
	Std      json.RawMessage   `json:"std"`
}

// decimal decodes itself, as a library's type does, and knows nothing of kombu.
type decimal struct{ text string }

func (d *decimal) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &d.text) }

func (d decimal) MarshalJSON() ([]byte, error) { return json.Marshal(d.text) }

func (d decimal) Equal(other decimal) bool { return d == other }

// Pointed is what an embedded pointer can be made for.
type Pointed struct{ Far int }

type outer struct {
	*Pointed
	inner
}

func TestDecodesIntoGoTypes(t *testing.T) {
	t.Parallel()
	text := `{"name": "n", "Skip": "x", "id": 9007199254740993, "eXPORTED": "e", "quoted": "7", "at": "2021-07-03 12:34:56.5+0200",
		"maybe": ` + tag("datetime", `"2021-07-03T12:34:56"`) + `, "data": ` + tag("base64", `"/wAB"`) + `, "text": ` + tag("date", `"2021-07-03"`) + `,
		"big": 123456789012345678901234567890, "number": ` + tag("decimal", `"1.10"`) + `,
		"uuid": ` + tag("uuid", `{"hex": "12345678123456781234567812345678", "version": 4}`) + `, "later": {"a":  1}, "any": [1],
		"list": [{"name": "a"}, {}], "pair": [1, 2, 3], "by_id": {"5": "five"},
		"by_uuid": {"12345678-1234-5678-1234-567812345678": 1}, "float": NaN, "flag": true, "decimal": ` + tag("decimal", `"2.50"`) + `,
		"std": [null], "unknown": {"deep": [1, 2]}}`
	var got record
	if err := (codec.JSON{}).Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(got.Float) {
		t.Errorf("float = %v, want NaN", got.Float)
	}
	got.Float = 0
	id := uuid.MustParse("12345678-1234-5678-1234-567812345678")
	naive := time.Date(2021, 7, 3, 12, 34, 56, 0, time.UTC)
	want := record{
		inner: inner{Name: "n"}, ID: 9007199254740993, Exported: "e", Quoted: 7, At: time.Date(2021, 7, 3, 10, 34, 56, 5e8, time.UTC),
		Maybe: &naive, Data: []byte{0xff, 0, 1}, Text: "2021-07-03", Big: bigInt(t, "123456789012345678901234567890"), Number: "1.10",
		UUID: id, Later: codec.Raw(`{"a":  1}`), Any: []any{int64(1)}, List: []inner{{Name: "a"}, {}}, Pair: [2]int{1, 2},
		ByID: map[int]string{5: "five"}, ByUUID: map[uuid.UUID]int{id: 1}, Flag: true, Decimal: decimal{"2.50"}, Std: json.RawMessage("[null]"),
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{}, inner{}), cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	var o outer
	if err := (codec.JSON{}).Unmarshal([]byte(`{"Far": 3, "name": "x"}`), &o); err != nil || o.Pointed == nil || o.Far != 3 || o.Name != "x" {
		t.Errorf("outer = %+v, %v", o, err)
	}
}

// TestErrorsNameThePlaceAndTheReason lists mistakes of callers.
func TestErrorsNameThePlaceAndTheReason(t *testing.T) {
	t.Parallel()
	type call struct {
		Data struct {
			At    time.Time `json:"atime"`
			Count int8      `json:"count"`
			Size  uint      `json:"size"`
			Name  string    `json:"name"`
			Tags  []string  `json:"tags"`
			Data  []byte    `json:"data"`
			Any   any       `json:"any"`
			F     float32   `json:"f"`
			ID    uuid.UUID `json:"id"`
			Big   big.Int   `json:"big"`
		} `json:"data"`
	}
	for member, want := range map[string]string{
		`"atime": 5`:                              "data.atime: got an integer (5), want time.Time",
		`"atime": "soon"`:                         `data.atime: "soon" is no ISO 8601 time`,
		`"atime": ` + tag("datetime", `5`):        "data.atime: the __value__ of a datetime is an integer (5), want a string",
		`"atime": ` + tag("decimal", `"1"`):       "data.atime: got a decimal, want time.Time",
		`"atime": ` + tag("money", `"1"`):         `data.atime: unknown __type__ "money"`,
		`"any": [1, ` + tag("money", `"1"`) + `]`: `data.any[1]: unknown __type__ "money"`,
		`"count": 300`:                            "data.count: 300 does not fit int8",
		`"count": 2.0`:                            "data.count: got a float (2.0), want int8",
		`"count": NaN`:                            "data.count: got NaN, want int8",
		`"count": -Infinity`:                      "data.count: got -Infinity, want int8",
		`"count": "2"`:                            "data.count: got a string, want int8",
		`"count": {}`:                             "data.count: got an object, want int8",
		`"count": true`:                           "data.count: got a bool, want int8",
		`"size": -1`:                              "data.size: -1 does not fit uint",
		`"name": 5`:                               "data.name: got an integer (5), want string",
		`"name": [1]`:                             "data.name: got a list, want string",
		`"tags": ["a", 5]`:                        "data.tags[1]: got an integer (5), want string",
		`"tags": "a"`:                             "data.tags: got a string, want []string",
		`"data": "not base64"`:                    "data.data: got a string that is no base64, want []uint8",
		`"data": ` + tag("base64", `"*"`):         "data.data: the __value__ of a base64 is no base64",
		`"f": 1e39`:                               "1e39 does not fit float32",
		`"id": "x"`:                               "data.id: uuid.UUID: invalid UUID length: 1",
		`"id": ` + tag("uuid", `{"hex": "x"}`):    "data.id: the __value__ of a uuid is not",
		`"big": 1.5`:                              "data.big: got a float (1.5), want big.Int",
		`"big": ` + strings.Repeat("9", 5000):     "an integer of more than 4300 digits",
		`"any": 0123`:                             "a number starts with 0",
		`"any": "a` + "\n" + `"`:                  `control character '\n' in a string`,
		`"any": "\x"`:                             "invalid escape in a string",
		`"any": nul`:                              "'n' where a value is expected",
		`"any": [1 2]`:                            "data.any: byte 20: '2' where ',' or ']' is expected",
		`"any": [1,]`:                             "']' where a value is expected",
		`"any": -`:                                "where a digit is expected",
		`"any": 1.`:                               "where a digit is expected",
		`"any": ` + strings.Repeat("[", 200):      "nested deeper than 128 levels",
		`"any": "` + "\xff" + `"`:                 "invalid UTF-8",
		`any`:                                     "'a' where a key in double quotes is expected",
		`"any" 5`:                                 "'5' where ':' is expected",
	} {
		var dst call
		err := codec.JSON{}.Unmarshal([]byte(`{"data": {`+member+`}}`), &dst)
		if err == nil || !strings.HasPrefix(err.Error(), "json: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error = %v, want %s", member, err, want)
		}
	}
}

func TestRefusesWhatIsNoTarget(t *testing.T) {
	t.Parallel()
	var n int
	for _, dst := range []any{nil, n, (*int)(nil), map[string]any{}} {
		if err := (codec.JSON{}).Unmarshal([]byte("1"), dst); err == nil {
			t.Errorf("decoded into %T, want an error", dst)
		}
	}
	for _, text := range []string{"", " ", "1 2", "{} x", `{"a":1`, `[1`, `"a`, "]", "tru"} {
		for _, dst := range []any{new(any), new(codec.Raw), new([]any), new(map[string]codec.Raw), new([]codec.Raw), new(record)} {
			if err := (codec.JSON{}).Unmarshal([]byte(text), dst); err == nil {
				t.Errorf("decoded %q into %T, want an error", text, dst)
			}
		}
	}
}

func TestSplitsWithoutCopying(t *testing.T) {
	t.Parallel()
	body := []byte(` [[1,  {"a": NaN}], {"k" : "v"}, null] `)
	var parts []codec.Raw
	if err := (codec.JSON{}).Unmarshal(body, &parts); err != nil {
		t.Fatal(err)
	}
	want := []codec.Raw{codec.Raw(`[1,  {"a": NaN}]`), codec.Raw(`{"k" : "v"}`), codec.Raw("null")}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Fatalf("parts (-want +got):\n%s", diff)
	}
	if &parts[0][0] != &body[2] || cap(parts[0]) != len(parts[0]) {
		t.Error("the part does not alias the body, or can be appended to over it")
	}
	var kwargs map[string]codec.Raw
	if err := (codec.JSON{}).Unmarshal(parts[1], &kwargs); err != nil || string(kwargs["k"]) != `"v"` {
		t.Errorf("kwargs = %v, %v", kwargs, err)
	}
	if err := (codec.JSON{}).Unmarshal(parts[2], &kwargs); err != nil || kwargs != nil {
		t.Errorf("null = %v, %v, want nil", kwargs, err)
	}
}

func TestOfDuplicateMembersTheLastCountsWhole(t *testing.T) {
	t.Parallel()
	var dst struct {
		In struct{ A, B int }
		M  map[string]int
	}
	text := `{"In": {"A": 1, "B": 2}, "In": {"A": 3}, "M": {"a": 1}, "M": {"b": 2}}`
	if err := (codec.JSON{}).Unmarshal([]byte(text), &dst); err != nil {
		t.Fatal(err)
	}
	if dst.In.A != 3 || dst.In.B != 0 || !reflect.DeepEqual(dst.M, map[string]int{"b": 2}) {
		t.Errorf("decoded %+v", dst)
	}
}

func TestEncodesAsPythonReads(t *testing.T) {
	t.Parallel()
	type options struct {
		A string    `json:"a,omitempty"`
		B time.Time `json:"b,omitzero"`
		C int       `json:"c,string"`
		D *int      `json:"d"`
		e int
		inner
	}
	east := time.FixedZone("", 8*3600)
	odd := time.FixedZone("LMT", 8*3600+5*60+43)
	for want, v := range map[string]any{
		"null": nil, "true": true, "-5": int8(-5), "18446744073709551615": uint64(math.MaxUint64), "2.0": 2.0, "0.1": 0.1,
		"1e+16": 1e16, "1e-05": 1e-5, "0.3": float32(0.3), "NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": float32(math.Inf(-1)),
		"\"é<&>\u2028\"":                     "é<&>\u2028",
		`"\"\\\n\r\t\u0001"`:                 "\"\\\n\r\t\x01",
		"\"a\uFFFDb\"":                       "a\xffb",
		`"/wAB"`:                             []byte{0xff, 0, 1},
		`"2021-07-03T12:34:56.789012+00:00"`: time.Date(2021, 7, 3, 12, 34, 56, 789012999, time.UTC),
		`"2021-07-03T12:34:56.000000+08:00"`: time.Date(2021, 7, 3, 12, 34, 56, 0, east),
		`"1900-01-01T00:00:00.000000+00:00"`: time.Date(1900, 1, 1, 8, 5, 43, 0, odd),
		"123456789012345678901234567890":     bigInt(t, "123456789012345678901234567890"),
		"[1,[2.5,null]]":                     []any{1, []any{2.5, nil}},
		`{"a":1,"b":{"c":[]}}`:               map[string]any{"b": map[string]any{"c": []any{}}, "a": 1},
		`{"1":"a","2":"b"}`:                  map[int]string{2: "b", 1: "a"},
		`{"c":"0","d":null,"name":""}`:       options{e: 1},
		`{"far":  1}`:                        codec.Raw(`{"far":  1}`),
		`[{"a":"x","b":"0001-01-01T00:00:01.000000+00:00","c":"1","d":null,"name":"n"}]`: []*options{
			{A: "x", B: time.Time{}.Add(time.Second), C: 1, inner: inner{Name: "n"}},
		},
		`"12345678-1234-5678-1234-567812345678"`: uuid.MustParse("12345678-1234-5678-1234-567812345678"),
		`["2.50"]`:                               []decimal{{"2.50"}},
		"1.10":                                   json.Number("1.10"),
		"[1,2]":                                  [2]int{1, 2},
	} {
		got, err := codec.JSON{}.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("%v = %s, %v, want %s", v, got, err, want)
		}
	}
}

type circle struct{ Next *circle }

type failing struct{}

var errOwn = errors.New("own")

func (failing) MarshalText() ([]byte, error) { return nil, errOwn }

type sloppy struct{}

func (sloppy) MarshalJSON() ([]byte, error) { return []byte("{"), nil }

func TestRefusesToEncodeWhatJSONCannotHold(t *testing.T) {
	t.Parallel()
	ring := &circle{}
	ring.Next = ring
	var loop any
	loop = &loop
	list := []any{nil}
	list[0] = list
	for want, v := range map[string]any{
		"json: a[0]: cannot encode chan int":                         map[string]any{"a": []any{make(chan int)}},
		"json: cannot encode func()":                                 func() {},
		"json: cannot encode complex128":                             complex(1, 2),
		"json: F: cannot encode func()":                              struct{ F func() }{func() {}},
		"json: cannot encode a key of type struct {}":                map[struct{}]int{{}: 1},
		"nested deeper than 128 levels, or in a circle":              ring,
		"pointers in a circle":                                       loop,
		"json: [0][0]":                                               list,
		"json: [0]: codec_test.failing: own":                         []any{failing{}},
		"json: codec_test.sloppy: json: byte 1: the text ends where": sloppy{},
		"json: the raw value is no JSON":                             codec.Raw("1 2"),
		"json: byte 0: 'n' where a value is expected":                codec.Raw("nope"),
		`json: "x" is no number`:                                     json.Number("x"),
		"json: cannot encode the year 10000":                         time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		got, err := codec.JSON{}.Marshal(v)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T = %s, %v, want error %s", v, got, err, want)
		}
	}
	if _, err := (codec.JSON{}).Marshal([]any{failing{}}); !errors.Is(err, errOwn) {
		t.Errorf("error = %v, want it to wrap the type's own", err)
	}
}

func TestDepthIsTheCallersChoice(t *testing.T) {
	t.Parallel()
	three := []any{[]any{[]any{}}}
	if _, err := (codec.JSON{MaxDepth: 2}).Marshal(three); err == nil {
		t.Error("wrote three levels, want an error")
	}
	text, err := codec.JSON{MaxDepth: 3}.Marshal(three)
	if err != nil {
		t.Fatal(err)
	}
	if err := (codec.JSON{MaxDepth: 2}).Unmarshal(text, new(any)); err == nil {
		t.Error("read three levels, want an error")
	}
	if err := (codec.JSON{MaxDepth: 3}).Unmarshal(text, new(any)); err != nil {
		t.Error(err)
	}
}

// TestFollowsEncodingJSON compares the rules for struct fields with those of the standard library.
func TestFollowsEncodingJSON(t *testing.T) {
	t.Parallel()
	type A struct {
		X int // loses to the one with a tag
		Y int // two of one name and depth: neither
	}
	type B struct {
		X int `json:"X"`
		Y int
	}
	type deep struct {
		A
		B
		Z     *int `json:",omitempty"`
		Named A    `json:"named"`
	}
	v := deep{A: A{1, 2}, B: B{3, 4}, Named: A{5, 6}}
	want, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec.JSON{}.Marshal(v)
	if err != nil || string(got) != string(want) {
		t.Errorf("encoded %s, %v, want %s", got, err, want)
	}
	text := []byte(`{"x": 1, "Y": 7, "y": 8, "named": {"x": 9, "Y": 4}, "Z": 10}`)
	var ours, theirs deep
	if err := json.Unmarshal(text, &theirs); err != nil {
		t.Fatal(err)
	}
	if err := (codec.JSON{}).Unmarshal(text, &ours); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Errorf("decoded (-encoding/json +ours):\n%s", diff)
	}
}
