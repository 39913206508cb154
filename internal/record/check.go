package record

import (
	"fmt"
	"math"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

const (
	// MaxShort is how many bytes a name or key may have (AMQP 0-9-1, shortstr).
	MaxShort = 255

	maxDepth   = 64           // of nested tables and lists
	lastSecond = 253402300799 // of the year 9999, Python's last
)

// Check refuses what RabbitMQ would refuse, but for its limits of size: a program that works with another broker, or puts its messages
// down for later, works with that one, too. The error wraps broker.ErrInvalid.
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
		if len(s.value) > MaxShort {
			return fmt.Errorf("%s of %d bytes, at most %d fit: %w", s.name, len(s.value), MaxShort, broker.ErrInvalid)
		}
	}
	if msg.Expiration < 0 {
		return fmt.Errorf("expiration of %v: %w", msg.Expiration, broker.ErrInvalid)
	}
	return CheckTable(msg.Headers)
}

// CheckTable refuses a table that holds what none may hold.
func CheckTable(t broker.Table) error { return checkTable(t, 0) }

func checkTable(t broker.Table, depth int) error {
	for key, value := range t {
		if len(key) > MaxShort {
			return fmt.Errorf("header name of %d bytes, at most %d fit: %w", len(key), MaxShort, broker.ErrInvalid)
		}
		if err := checkDeep(value, depth+1); err != nil {
			return fmt.Errorf("header %s: %w", key, err)
		}
	}
	return nil
}

// CheckValue refuses what no table may hold.
func CheckValue(v any) error { return checkDeep(v, 0) }

func checkDeep(v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d: %w", maxDepth, broker.ErrInvalid)
	}
	switch v := v.(type) {
	case nil, bool, string, []byte, int32:
		return nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%v is not a finite number, which ends RabbitMQ's connection; send it as a string: %w", v, broker.ErrInvalid)
		}
		return nil
	case time.Time:
		if v.Unix() < 0 || v.Unix() > lastSecond {
			return fmt.Errorf("%s is not between the years 1970 and 9999, the ones that Python's client can read: %w", v, broker.ErrInvalid)
		}
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
