package local

import (
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// Arrived returns the message as it comes out of a broker: times have whole seconds, durations whole milliseconds, and nothing is
// shared with what the publisher holds.
func Arrived(msg broker.Message) broker.Message {
	if !msg.Timestamp.IsZero() {
		msg.Timestamp = msg.Timestamp.Truncate(time.Second)
	}
	msg.Expiration = WholeMilliseconds(msg.Expiration)
	msg.Body = append([]byte(nil), msg.Body...)
	msg.Headers = CloneTable(msg.Headers)
	return msg
}

// WholeMilliseconds rounds up.
func WholeMilliseconds(d time.Duration) time.Duration {
	if rest := d % time.Millisecond; rest > 0 {
		return d + time.Millisecond - rest
	}
	return d
}

// CloneTable returns a deep copy.
func CloneTable(t broker.Table) broker.Table {
	if t == nil {
		return nil
	}
	clone := make(broker.Table, len(t))
	for key, value := range t {
		clone[key] = cloneValue(value)
	}
	return clone
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case []byte:
		return append([]byte{}, v...)
	case time.Time:
		return v.Truncate(time.Second)
	case broker.Table:
		return CloneTable(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = cloneValue(v[i])
		}
		return list
	}
	return v
}
