package codec

import (
	"encoding"
	"encoding/json"
	"math/big"
	"reflect"
	"time"
)

// special decodes into the types that have a way of their own.
func (d *decoder) special(v reflect.Value) (done bool, err error) {
	switch dst := v.Addr().Interface().(type) {
	case *Raw:
		*dst, err = d.skip()
	case *time.Time:
		err = d.timeValue(dst)
	case *big.Int:
		err = d.bigValue(dst)
	case *json.Number:
		err = d.numberValue(dst)
	case json.Unmarshaler:
		err = d.unmarshaler(v, dst)
	case encoding.TextUnmarshaler:
		err = d.textUnmarshaler(v, dst)
	default:
		return false, nil
	}
	return true, err
}

func (d *decoder) timeValue(dst *time.Time) error {
	if d.null() {
		return nil
	}
	text, err := d.textFor(reflect.TypeFor[time.Time](), "datetime", "date")
	if err != nil {
		return err
	}
	t, err := ParseTime(text)
	if err != nil {
		return &formatError{err: err}
	}
	*dst = t
	return nil
}

func (d *decoder) bigValue(dst *big.Int) error {
	switch d.peek() {
	case '{', '[', '"':
		return d.mismatch(reflect.TypeFor[big.Int]().String())
	}
	kind, token, err := d.scalar()
	switch {
	case err != nil || kind == nullToken:
		return err
	case kind != intToken:
		return mismatch(describe(token), reflect.TypeFor[big.Int]())
	}
	n, err := bigInt(token)
	if err == nil {
		dst.Set(n)
	}
	return err
}

func (d *decoder) numberValue(dst *json.Number) error {
	var text string
	if c := d.peek(); c == '"' || c == '{' {
		var err error
		if text, err = d.textFor(reflect.TypeFor[json.Number](), "decimal"); err != nil {
			return err
		}
	} else {
		if c == '[' {
			return d.mismatch(reflect.TypeFor[json.Number]().String())
		}
		kind, token, err := d.scalar()
		switch {
		case err != nil || kind == nullToken:
			return err
		case kind != intToken && kind != floatToken:
			return mismatch(describe(token), reflect.TypeFor[json.Number]())
		}
		text = string(token)
	}
	n, err := numberText(text)
	if err == nil {
		*dst = n
	}
	return err
}

func (d *decoder) unmarshaler(v reflect.Value, dst json.Unmarshaler) error {
	text, ok, err := d.known()
	var token Raw
	switch {
	case err != nil:
		return err
	case ok:
		token = appendString(nil, text)
	default:
		if token, err = d.asJSON(); err != nil {
			return err
		}
	}
	if err := dst.UnmarshalJSON(token); err != nil {
		return &formatError{text: v.Type().String() + ": ", err: err}
	}
	return nil
}

func (d *decoder) textUnmarshaler(v reflect.Value, dst encoding.TextUnmarshaler) error {
	if d.null() {
		if v.Kind() == reflect.Interface || v.Kind() == reflect.Map || v.Kind() == reflect.Slice {
			v.SetZero()
		}
		return nil
	}
	text, err := d.textFor(v.Type(), "datetime", "date", "time", "decimal", "uuid", "bytes")
	if err != nil {
		return err
	}
	if err := dst.UnmarshalText([]byte(text)); err != nil {
		return &formatError{text: v.Type().String() + ": ", err: err}
	}
	return nil
}
