package wire

import (
	"fmt"
	"math"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// integer returns a header value of any integer type; a float without a fraction is one, because brokers that keep headers as JSON
// return those.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint:
		return int64(v), v <= math.MaxInt64 //nolint:gosec // checked
	case uint64:
		return int64(v), v <= math.MaxInt64 //nolint:gosec // checked
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	}
	n, ok := integer(v)
	return float64(n), ok
}

// portable returns a header value in a type that py-amqp reads as what it is, see broker.Table.
func portable(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, []byte, int32, float64, time.Time:
		return v, nil
	case float32:
		return float64(v), nil
	case []string:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = s
		}
		return list, nil
	case []any:
		list := make([]any, len(v))
		for i, x := range v {
			p, err := portable(x)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			list[i] = p
		}
		return list, nil
	case map[string]any:
		return portableTable(v)
	}
	n, ok := integer(v)
	switch {
	case !ok:
		return nil, fmt.Errorf("a header cannot hold a %T", v)
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return int32(n), nil
	case n < 0: // Python would read a negative long as 2^64-n
		return float64(n), nil
	}
	return n, nil
}

func portableTable(table map[string]any) (broker.Table, error) {
	out := make(broker.Table, len(table))
	for k, v := range table {
		p, err := portable(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		out[k] = p
	}
	return out, nil
}
