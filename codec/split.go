package codec

import (
	"bytes"
	"slices"
	"strconv"
)

// Elements is c.Unmarshal into a []Raw that begins with room: what fits there costs no memory. It returns nil for null.
func Elements(c Codec, data []byte, room []Raw) (parts []Raw, err error) {
	switch c := c.(type) {
	case JSON:
		s := c.scanner(data)
		if err = s.valid(); err == nil {
			parts, err = s.elements(room[:0])
		}
		if err == nil {
			err = s.end()
		}
	case Msgpack:
		s := c.scanner(data)
		if parts, err = s.elements(room[:0]); err == nil {
			err = s.end()
		}
		err = inMsgpack(err)
	default:
		var list []Raw
		err = c.Unmarshal(data, &list)
		parts = list
	}
	return parts, err
}

// Members reads those members of an object that have one of the names into the values at the same places; the others are checked and no
// more. What is missing is nil, as all are for null. Of duplicate names the last one counts.
func Members(c Codec, data []byte, names []string, values []Raw) (err error) {
	clear(values)
	switch c := c.(type) {
	case JSON:
		s := c.scanner(data)
		if err = s.valid(); err == nil {
			err = s.pick(names, values)
		}
		if err == nil {
			err = s.end()
		}
	case Msgpack:
		s := c.scanner(data)
		if err = s.pick(names, values); err == nil {
			err = s.end()
		}
		err = inMsgpack(err)
	default:
		var all map[string]Raw
		err = c.Unmarshal(data, &all)
		for i, name := range names {
			values[i] = all[name]
		}
	}
	return err
}

// Nested is Elements of a list whose three elements are a list, an object and an object, with all of them taken apart in one go: Elements
// of the first, with room, the members of the second, and Members of the third. It reports false for what is anything else, or is not
// valid, or is in a codec that does not do that: to be taken apart one by one, which shows what it is.
func Nested(c Codec, data []byte, room []Raw, names []string, values []Raw) (list []Raw, object map[string]Raw, ok bool) {
	j, ok := c.(JSON)
	if !ok {
		return nil, nil, false
	}
	s := j.scanner(data)
	if s.valid() != nil {
		return nil, nil, false
	}
	clear(values)
	n := 0
	err := s.list(func() (err error) {
		switch n++; n {
		case 1:
			list, err = s.elements(room[:0])
		case 2:
			object, err = s.all()
		case 3:
			err = s.pick(names, values)
		}
		return err
	}, "a list")
	return list, object, err == nil && n == 3 && list != nil && object != nil && s.end() == nil
}

// IsNull reports whether raw is nothing, or null as c encodes it.
func IsNull(c Codec, raw Raw) bool {
	if raw == nil {
		return true
	}
	switch c.(type) {
	case JSON:
		return string(raw) == "null"
	case Msgpack:
		return string(raw) == "\xc0"
	}
	null, err := c.Marshal(nil)
	return err == nil && bytes.Equal(raw, null)
}

// split is Unmarshal into what holds Raw: messages are split, not decoded. This and what follows has the same lines for packScanner: shared
// through an interface or a type parameter, they and the scanner go to the heap, and reading a message takes a fifth longer
// (BenchmarkDecode).
func (s *scanner) split(dst any) (done bool, err error) {
	switch dst := dst.(type) {
	case *Raw:
		*dst, err = s.skip()
	case *[]Raw:
		*dst, err = s.elements(nil)
	case *map[string]Raw:
		*dst, err = s.all()
	default:
		return s.plain(dst)
	}
	return true, err
}

// plain does the same for the types that most arguments have, when the value at the cursor is as plain. All others, and what does not fit,
// are the decoder's; the cursor is where it was then.
func (s *scanner) plain(dst any) (done bool, err error) {
	start := s.mark()
	switch dst := dst.(type) {
	case *string:
		if done = dst != nil && s.peek() == '"'; done {
			*dst, err = s.text()
		}
	case *any:
		if dst != nil && *dst == nil { // one that holds a pointer may be meant to be decoded into that
			*dst, done, err = s.plainAny()
		}
	case *int:
		n, ok := s.integer(strconv.IntSize)
		if done = ok && dst != nil; done {
			*dst = int(n)
		}
	case *int64:
		n, ok := s.integer(64)
		if done = ok && dst != nil; done {
			*dst = n
		}
	}
	if !done {
		s.reset(start)
	}
	return done, err
}

// plainAny takes text, or null.
func (s *scanner) plainAny() (value any, done bool, err error) {
	switch s.peek() {
	case '"':
		value, err = s.text()
		return value, true, err
	case 'n':
		return nil, s.literal("null"), nil
	}
	return nil, false, nil
}

func (s *scanner) integer(bits int) (n int64, ok bool) {
	kind, token, err := s.scalar()
	if err != nil || kind != intToken {
		return 0, false
	}
	n, err = strconv.ParseInt(string(token), 10, bits)
	return n, err == nil
}

// elements appends those of the list at the cursor; it returns nil for null.
func (s *scanner) elements(list []Raw) ([]Raw, error) {
	if s.null() {
		return nil, nil
	}
	if list == nil {
		list = []Raw{}
	}
	err := s.list(func() error {
		part, err := s.skip()
		list = append(list, part)
		return err
	}, "a list")
	return list, err
}

// all returns the members of the object at the cursor, nil for null.
func (s *scanner) all() (map[string]Raw, error) {
	if s.null() {
		return nil, nil
	}
	members := map[string]Raw{}
	err := s.object(func(key string) error {
		part, err := s.skip()
		members[key] = part
		return err
	})
	return members, err
}

// pick reads the members of the object at the cursor that have a name.
func (s *scanner) pick(names []string, values []Raw) error {
	if s.null() {
		return nil
	}
	return s.each(func(key []byte) error {
		part, err := s.skip()
		if i := slices.IndexFunc(names, func(name string) bool { return name == string(key) }); i >= 0 {
			values[i] = part
		}
		return err
	})
}

// split has the same lines as that of scanner, see there.
func (s *packScanner) split(dst any) (done bool, err error) {
	switch dst := dst.(type) {
	case *Raw:
		*dst, err = s.skip()
	case *[]Raw:
		*dst, err = s.elements(nil)
	case *map[string]Raw:
		*dst, err = s.all()
	default:
		return false, nil
	}
	return true, err
}

func (s *packScanner) elements(list []Raw) ([]Raw, error) {
	if s.null() {
		return nil, nil
	}
	if list == nil {
		list = []Raw{}
	}
	err := s.list(func() error {
		part, err := s.skip()
		list = append(list, part)
		return err
	}, "a list")
	return list, err
}

func (s *packScanner) all() (map[string]Raw, error) {
	if s.null() {
		return nil, nil
	}
	members := map[string]Raw{}
	err := s.object(func(key string) error {
		part, err := s.skip()
		members[key] = part
		return err
	})
	return members, err
}

func (s *packScanner) pick(names []string, values []Raw) error {
	if s.null() {
		return nil
	}
	return s.object(func(key string) error {
		part, err := s.skip()
		if i := slices.Index(names, key); i >= 0 {
			values[i] = part
		}
		return err
	})
}
