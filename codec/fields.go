package codec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// field is a struct field as a member of a JSON object.
type field struct {
	name                        string
	index                       []int // through embedded structs
	tagged                      bool  // the name is from a tag
	omitEmpty, omitZero, quoted bool
}

// fields are a struct's members in the order of the struct.
type fields []field

// structs are the members of the types of one document, made once, or of all documents of a codec that remembers them.
type structs struct {
	here   map[reflect.Type]fields
	always *Types // nil: there is no state between two documents
}

// Types remembers what there is to know of Go types, for codecs that read and write many documents of a few types. The zero value is
// ready to use. It is safe for concurrent use.
type Types struct{ known sync.Map }

// Remembering returns c with Types, unless it has some or comes from another package.
func Remembering(c Codec) Codec {
	switch c := c.(type) {
	case JSON:
		if c.Types == nil {
			c.Types = &Types{}
		}
		return c
	case Msgpack:
		if c.Types == nil {
			c.Types = &Types{}
		}
		return c
	}
	return c
}

func (s *structs) fieldsOf(t reflect.Type) fields {
	if s.always != nil {
		return s.always.fieldsOf(t)
	}
	if known, ok := s.here[t]; ok {
		return known
	}
	if s.here == nil {
		s.here = map[reflect.Type]fields{}
	}
	known := fieldsOf(t)
	s.here[t] = known
	return known
}

func (m *Types) fieldsOf(t reflect.Type) fields {
	if known, ok := m.known.Load(t); ok {
		return known.(fields)
	}
	known := fieldsOf(t)
	m.known.Store(t, known)
	return known
}

// fieldsOf returns the members by the rules of encoding/json: embedded structs give theirs; of two with one name the less deep
// counts, then the one with a tag, else none.
func fieldsOf(t reflect.Type) fields {
	all := collect(t, nil, nil)
	return slices.DeleteFunc(slices.Clone(all), func(f field) bool {
		return slices.ContainsFunc(all, func(other field) bool { return other.name == f.name && !f.beats(&other) })
	})
}

// beats reports whether f counts against another field of its name; a field beats itself.
func (f *field) beats(other *field) bool {
	switch {
	case slices.Equal(f.index, other.index):
		return true
	case len(f.index) != len(other.index):
		return len(f.index) < len(other.index)
	}
	return f.tagged && !other.tagged
}

func collect(t reflect.Type, index []int, outer []reflect.Type) fields {
	if slices.Contains(outer, t) {
		return nil
	}
	outer = append(slices.Clone(outer), t)
	list := make(fields, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		at := append(slices.Clone(index), i)
		name, options, _ := strings.Cut(tag, ",")
		if inner, ok := embedded(f); ok && name == "" {
			list = append(list, collect(inner, at, outer)...)
			continue
		}
		if !f.IsExported() {
			continue
		}
		list = append(list, newField(f, name, options, at))
	}
	return list
}

func embedded(f reflect.StructField) (reflect.Type, bool) {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, f.Anonymous && t.Kind() == reflect.Struct
}

func newField(f reflect.StructField, name, options string, index []int) field {
	m := field{name: name, index: index, tagged: name != ""}
	if name == "" {
		m.name = f.Name
	}
	if options == "" {
		return m
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			m.omitEmpty = true
		case "omitzero":
			m.omitZero = true
		case "string":
			m.quoted = scalarType(f.Type)
		}
	}
	return m
}

func scalarType(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	k := t.Kind()
	return k >= reflect.Bool && k <= reflect.Float64 || k == reflect.String
}

// find returns the position of the member, by its exact name or else in any case; -1 when there is none.
func (fs fields) find(key []byte) int {
	for i := range fs {
		if fs[i].name == string(key) {
			return i
		}
	}
	name := string(key)
	return slices.IndexFunc(fs, func(f field) bool { return strings.EqualFold(f.name, name) })
}

// in returns the field of v, making the embedded structs on the way.
func (f *field) in(v reflect.Value) (reflect.Value, error) {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return v, &formatError{text: fmt.Sprintf("cannot set the embedded pointer to the unexported struct %s", v.Type().Elem())}
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, nil
}

// of returns the field of v; not ok when an embedded pointer on the way is nil.
func (f *field) of(v reflect.Value) (_ reflect.Value, ok bool) {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}
