package taskq

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// wireTable returns the arguments in the types that every peer reads (broker.Table). Whole numbers are as wide as Python writes them,
// so that both declare the same.
func wireTable(t broker.Table) (broker.Table, error) {
	if len(t) == 0 {
		return nil, nil
	}
	wire := make(broker.Table, len(t))
	for name, value := range t {
		var err error
		if wire[name], err = wireValue(value); err != nil {
			return nil, fmt.Errorf("argument %s: %w", name, err)
		}
	}
	return wire, nil
}

func wireValue(value any) (any, error) {
	switch v := value.(type) {
	case nil, bool, string, []byte, time.Time, float64:
		return v, nil
	case time.Duration:
		return nil, invalid("RabbitMQ takes milliseconds as a whole number, not a duration")
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return wireInt(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() <= math.MaxInt64 {
			return wireInt(int64(v.Uint())), nil //nolint:gosec // it fits
		}
	case reflect.Float32:
		return v.Float(), nil
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			var err error
			if list[i], err = wireValue(v.Index(i).Interface()); err != nil {
				return nil, err
			}
		}
		return list, nil
	case reflect.Map:
		if table, ok := value.(broker.Table); ok {
			return wireTable(table)
		}
	}
	return nil, invalid("a %T cannot be sent", value)
}

// wireInt is a whole number as Python writes it.
func wireInt(n int64) any {
	if n >= math.MinInt32 && n <= math.MaxInt32 {
		return int32(n)
	}
	return n
}
