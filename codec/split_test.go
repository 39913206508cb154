package codec_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
)

// foreign is a codec of somebody else's.
type foreign struct{ codec.Codec }

func splitters() map[string]codec.Codec {
	return map[string]codec.Codec{"json": codec.JSON{}, "msgpack": codec.Msgpack{}, "foreign": foreign{codec.JSON{}}}
}

func encoded(t *testing.T, c codec.Codec, v any) codec.Raw {
	t.Helper()
	raw, err := c.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestElementsTakeTheRoomThatThereIs(t *testing.T) {
	t.Parallel()
	for name, c := range splitters() {
		room := make([]codec.Raw, 2)
		one, two, three := encoded(t, c, 1), encoded(t, c, "two"), encoded(t, c, []int{3})
		parts, err := codec.Elements(c, encoded(t, c, []any{1, "two"}), room)
		if diff := cmp.Diff([]codec.Raw{one, two}, parts); err != nil || diff != "" {
			t.Errorf("%s: elements (-want +got), %v:\n%s", name, err, diff)
		}
		if name != "foreign" && &parts[0] != &room[0] {
			t.Errorf("%s: the elements are not in the room", name)
		}
		parts, err = codec.Elements(c, encoded(t, c, []any{1, "two", []int{3}}), room)
		if diff := cmp.Diff([]codec.Raw{one, two, three}, parts); err != nil || diff != "" {
			t.Errorf("%s: more elements than room (-want +got), %v:\n%s", name, err, diff)
		}
		if parts, err = codec.Elements(c, encoded(t, c, nil), room); parts != nil || err != nil {
			t.Errorf("%s: elements of null = %v, %v, want nil", name, parts, err)
		}
		if parts, err = codec.Elements(c, encoded(t, c, []int{}), nil); parts == nil || err != nil {
			t.Errorf("%s: elements of an empty list = nil, %v", name, err)
		}
	}
}

func TestMembersAreThoseThatAreNamed(t *testing.T) {
	t.Parallel()
	names := []string{"chain", "chord"}
	for name, c := range splitters() {
		values := []codec.Raw{codec.Raw("old"), codec.Raw("old")}
		object := encoded(t, c, map[string]any{"chord": []int{1}, "other": map[string]any{"chain": 2}})
		err := codec.Members(c, object, names, values)
		if diff := cmp.Diff([]codec.Raw{nil, encoded(t, c, []int{1})}, values); err != nil || diff != "" {
			t.Errorf("%s: members (-want +got), %v:\n%s", name, err, diff)
		}
		if err := codec.Members(c, encoded(t, c, nil), names, values); err != nil || values[1] != nil {
			t.Errorf("%s: members of null = %s, %v", name, values, err)
		}
		if err := codec.Members(c, encoded(t, c, []int{1}), names, values); err == nil {
			t.Errorf("%s: a list has members", name)
		}
		if null := encoded(t, c, nil); !codec.IsNull(c, null) || !codec.IsNull(c, nil) || codec.IsNull(c, encoded(t, c, 0)) {
			t.Errorf("%s: null is not told from other values", name)
		}
	}
	values := make([]codec.Raw, 2)
	if err := codec.Members(codec.JSON{}, []byte(`{"ch\u0061in": 1, "chain": 2}`), names, values); err != nil || string(values[0]) != "2" {
		t.Errorf("duplicate members = %s, %v, want the last one", values, err)
	}
	for _, broken := range []string{`{"chain": 1`, `{"chain": 1} 2`, "{\"chain\": \"\xff\"}", `{"chain": [1}`} {
		if err := codec.Members(codec.JSON{}, []byte(broken), names, values); err == nil {
			t.Errorf("took %q", broken)
		}
	}
}

func TestACallIsTakenApartInOneGo(t *testing.T) {
	t.Parallel()
	names, values := []string{"chain"}, make([]codec.Raw, 1)
	list, object, ok := codec.Nested(codec.JSON{}, []byte(` [[1, [2]], {"k": "v"}, {"chain": [{}], "chord": null}] `), nil, names, values)
	if !ok || len(list) != 2 || string(list[1]) != "[2]" || string(object["k"]) != `"v"` || string(values[0]) != "[{}]" {
		t.Errorf("parts = %q, %q, %q, %t", list, object, values, ok)
	}
	for _, other := range []string{
		`[[], {}]`, `[[], {}, {}, {}]`, `[null, {}, {}]`, `[[], null, {}]`, `[{}, {}, {}]`, `[[], {}, {}] 1`, `[[], {}, {]`, "[[\"\xff\"], {}, {}]", `{}`, `null`, ``,
	} {
		if _, _, ok := codec.Nested(codec.JSON{}, []byte(other), nil, names, values); ok {
			t.Errorf("took %s for a call", other)
		}
	}
	if _, _, ok := codec.Nested(codec.JSON{MaxDepth: 2}, []byte(`[[[1]], {}, {}]`), nil, names, values); ok {
		t.Error("nested deeper than may be")
	}
	if _, _, ok := codec.Nested(codec.Msgpack{}, encoded(t, codec.Msgpack{}, []any{[]int{}, map[string]int{}, nil}), nil, names, values); ok {
		t.Error("MessagePack is taken apart in one go: say so")
	}
}

// same checks that what was taken apart in one go is what its parts are.
func same(t *testing.T, c codec.Codec, data []byte) {
	t.Helper()
	names, values, want := []string{"a", "b"}, make([]codec.Raw, 2), make([]codec.Raw, 2)
	list, object, ok := codec.Nested(c, data, make([]codec.Raw, 1), names, values)
	if !ok {
		return
	}
	parts, err := codec.Elements(c, data, nil)
	if err != nil || len(parts) != 3 || codec.Members(c, parts[2], names, want) != nil || !cmp.Equal(want, values) {
		t.Fatalf("members in %q = %q, want %q, %v", data, values, want, err)
	}
	elements, err := codec.Elements(c, parts[0], nil)
	var members map[string]codec.Raw
	if err != nil || c.Unmarshal(parts[1], &members) != nil || !cmp.Equal(elements, list) || !cmp.Equal(members, object) {
		t.Fatalf("parts of %q = %q, %q, want %q, %q", data, list, object, elements, members)
	}
}

// FuzzSplit checks that what is split without memory is what Unmarshal splits.
func FuzzSplit(f *testing.F) {
	for _, text := range []string{`[[1], {"a": [{}]}, null]`, `{"a": 1, "b": {"a": 2}, "\u0061": 3}`, `null`, ` [] `, `[[1], {"k": 1}, {"a": [], "b": null}]`, "\x93\x01\xa1a\xc0", "\x82\xa1a\x01\x05\xc0"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, c := range map[string]codec.Codec{"json": codec.JSON{}, "msgpack": codec.Msgpack{}} {
			same(t, c, data)
			var list []codec.Raw
			want := c.Unmarshal(data, &list)
			got, err := codec.Elements(c, data, make([]codec.Raw, 1))
			if (want == nil) != (err == nil) || want != nil && want.Error() != err.Error() || want == nil && !cmp.Equal(list, got) {
				t.Fatalf("%s: elements of %q = %q, %v, want %q, %v", name, data, got, err, list, want)
			}
			var object map[string]codec.Raw
			want = c.Unmarshal(data, &object)
			names, values := []string{"a", "b"}, make([]codec.Raw, 2)
			err = codec.Members(c, data, names, values)
			if (want == nil) != (err == nil) || want != nil && want.Error() != err.Error() {
				t.Fatalf("%s: members of %q: %v, want %v", name, data, err, want)
			}
			for i, key := range names {
				if want == nil && !bytes.Equal(object[key], values[i]) {
					t.Fatalf("%s: member %s of %q = %q, want %q", name, key, data, values[i], object[key])
				}
			}
		}
	})
}

// alone checks that a value is read into a variable as it is into a field.
func alone[T comparable](t *testing.T, text string) {
	t.Helper()
	var plain T
	var field struct{ V T }
	err := codec.JSON{}.Unmarshal([]byte(text), &plain)
	inside := codec.JSON{}.Unmarshal([]byte(`{"V": `+text+`}`), &field)
	if plain != field.V || (err == nil) != (inside == nil) {
		t.Errorf("%s as %T = %v, %v; in a struct %v, %v", text, plain, plain, err, field.V, inside)
	}
}

func TestPlainValuesAreReadAsFieldsAre(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`1`, ` -12 `, `9223372036854775807`, `9223372036854775808`, `1.0`, `1e3`, `"1"`, `"a\u00e9\n"`, `"open`, `""`, `null`, `true`, `[1]`, `{}`,
		`01`, `NaN`, ``, `{"__type__": "decimal", "__value__": "1.10"}`, `{"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}}`,
	} {
		var fresh, held any = nil, "held"
		err := codec.JSON{}.Unmarshal([]byte(text), &fresh)
		again := codec.JSON{}.Unmarshal([]byte(text), &held)
		if (err == nil) != (again == nil) || err == nil && fmt.Sprint(fresh) != fmt.Sprint(held) {
			t.Errorf("%s = %v, %v, and %v, %v in place of another value", text, fresh, err, held, again)
		}
		alone[int](t, text)
		alone[int64](t, text)
		alone[string](t, text)
	}
}
