package codec

import "reflect"

// valueAny decodes into an interface: into the pointer that it holds, else, when any value fits, into what the document says.
func (d *decoder) valueAny(v reflect.Value) error {
	if e := v.Elem(); e.Kind() == reflect.Pointer && !e.IsNil() && d.peek() != 'n' {
		return d.value(e)
	}
	if v.NumMethod() > 0 {
		if d.null() {
			v.SetZero()
			return nil
		}
		return d.mismatch(v.Type().String())
	}
	x, err := d.any()
	if err != nil {
		return err
	}
	if x == nil {
		v.SetZero()
	} else {
		v.Set(reflect.ValueOf(x))
	}
	return nil
}

// any decodes the next value by what it is.
func (d *decoder) any() (any, error) {
	switch d.peek() {
	case '{':
		if t, ok, err := d.tagged(); ok || err != nil {
			if err != nil {
				return nil, err
			}
			return t.any()
		}
		m := map[string]any{}
		err := d.object(func(key string) (err error) {
			m[key], err = d.any()
			return err
		})
		return m, err
	case '[':
		list := []any{}
		err := d.list(func() error {
			x, err := d.any()
			list = append(list, x)
			return err
		}, "a list")
		return list, err
	case '"':
		return d.text()
	}
	kind, token, err := d.scalar()
	if err != nil {
		return nil, err
	}
	switch kind {
	case nullToken:
		return nil, nil
	case boolToken:
		return token[0] == 't', nil
	}
	return anyNumber(token, kind)
}
