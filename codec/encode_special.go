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
		return true, e.big(&x)
	case *Raw:
		return true, e.encoded(*x)
	case *time.Time:
		return true, e.time(*x)
	case *json.Number:
		return true, e.jsonNumber(*x)
	case json.Marshaler:
		return true, e.marshaler(v.Type(), x)
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			return true, &formatError{text: v.Type().String() + ": ", err: err}
		}
		e.buf = e.text(e.buf, string(text))
		return true, nil
	}
	return false, nil
}

func (e *encoder) marshaler(t reflect.Type, m json.Marshaler) error {
	text, err := m.MarshalJSON()
	if err == nil {
		err = e.fromJSON(append(Raw{}, text...))
	}
	if err != nil {
		return &formatError{text: t.String() + ": ", err: err}
	}
	return nil
}

// fromJSON writes what is JSON in the encoder's format.
func (e *encoder) fromJSON(text Raw) error {
	if _, ok := e.format.(jsonFormat); ok {
		return e.encoded(text)
	}
	var v any
	if err := (JSON{MaxDepth: e.maxDepth}).Unmarshal(text, &v); err != nil {
		return err
	}
	return e.any(v)
}
