package codec

import (
	"encoding"
	"encoding/json"
	"math/big"
	"reflect"
	"time"
)

// special writes the types that have a form of their own.
func (e *encoder) special(v reflect.Value) (done bool, err error) {
	if !v.CanInterface() {
		return false, nil
	}
	if (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil() {
		return true, e.any(nil)
	}
	x := v.Interface()
	if v.CanAddr() && v.Kind() != reflect.Pointer && v.Kind() != reflect.Interface {
		switch x.(type) {
		case json.Marshaler, encoding.TextMarshaler:
		default:
			x = v.Addr().Interface() // its methods may have pointer receivers
		}
	}
	switch x := x.(type) {
	case Raw, time.Time, *big.Int, json.Number:
		return true, e.any(x)
	case big.Int:
		return true, e.bigInt(&x)
	case *Raw:
		return true, e.raw(*x)
	case *time.Time:
		return true, e.time(*x)
	case *json.Number:
		return true, e.number(*x)
	case json.Marshaler:
		return true, e.marshaler(v.Type(), x)
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			return true, &jsonError{text: v.Type().String() + ": ", err: err}
		}
		e.buf = appendString(e.buf, string(text))
		return true, nil
	}
	return false, nil
}

func (e *encoder) marshaler(t reflect.Type, m json.Marshaler) error {
	text, err := m.MarshalJSON()
	if err == nil {
		err = e.raw(append(Raw{}, text...))
	}
	if err != nil {
		return &jsonError{text: t.String() + ": ", err: err}
	}
	return nil
}
