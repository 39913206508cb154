package local

import (
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

const (
	maxShort = 255 // bytes of a name or key (AMQP 0-9-1, shortstr)
	maxDepth = 64  // of nested tables and lists
)

// Check refuses what RabbitMQ would refuse, so that a program that works here works there. The error wraps broker.ErrInvalid.
func Check(to broker.Address, msg broker.Message) error {
	for _, s := range []struct{ name, value string }{
		{"exchange", to.Exchange},
		{"routing key", to.RoutingKey},
		{"content type", msg.ContentType},
		{"content encoding", msg.ContentEncoding},
		{"correlation id", msg.CorrelationID},
		{"reply to", msg.ReplyTo},
		{"message id", msg.MessageID},
		{"type", msg.Type},
		{"app id", msg.AppID},
	} {
		if len(s.value) > maxShort {
			return fmt.Errorf("%s of %d bytes, at most %d fit: %w", s.name, len(s.value), maxShort, broker.ErrInvalid)
		}
	}
	if msg.Expiration < 0 {
		return fmt.Errorf("expiration of %v: %w", msg.Expiration, broker.ErrInvalid)
	}
	return checkTable(msg.Headers, 0)
}

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

func checkTable(t broker.Table, depth int) error {
	for key, value := range t {
		if len(key) > maxShort {
			return fmt.Errorf("header name of %d bytes, at most %d fit: %w", len(key), maxShort, broker.ErrInvalid)
		}
		if err := checkDeep(value, depth+1); err != nil {
			return fmt.Errorf("header %s: %w", key, err)
		}
	}
	return nil
}

func checkValue(v any) error { return checkDeep(v, 0) }

func checkDeep(v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d: %w", maxDepth, broker.ErrInvalid)
	}
	switch v := v.(type) {
	case nil, bool, string, []byte, int32, float64, time.Time:
		return nil
	case int64:
		if v < 0 {
			return fmt.Errorf("%d is a negative int64, which py-amqp misreads; send an int32: %w", v, broker.ErrInvalid)
		}
		return nil
	case broker.Table:
		return checkTable(v, depth)
	case []any:
		for _, item := range v {
			if err := checkDeep(item, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("type %T: %w", v, broker.ErrInvalid)
}
