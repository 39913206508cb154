package amqp

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
)

const (
	maxExpiration = 315_360_000_000 * time.Millisecond      // ten years, RabbitMQ's longest timer
	maxHeader     = frameMax - frameHead - headerFixed - 32 // bytes of names and headers: a content header is one frame, and has some fixed properties
)

// publishing is a message ready for the wire. It shares the body and nothing else with the caller's message.
type publishing struct {
	to         broker.Address
	msg        broker.Message // without its headers
	expiration string         // as it is written
	content    []byte         // payload of the content header, with the headers
}

// encode checks everything that the wire cannot carry, because the broker or the client library would close the connection for it. It
// never changes msg. Errors do not quote over-long values.
func encode(to broker.Address, msg broker.Message, maxBody int) (*publishing, error) {
	size := 0
	for _, f := range record.Texts(to, msg) {
		if err := checkShort(f.Name, f.Value); err != nil {
			return nil, err
		}
		size += 1 + len(f.Value)
	}
	if !msg.Timestamp.IsZero() { // a zero one is left out
		if flaw := record.Flaw(msg.Timestamp); flaw != "" {
			return nil, invalid("timestamp", flaw)
		}
	}
	if len(msg.Body) > maxBody {
		return nil, invalid("body", fmt.Sprintf("it has %d bytes, more than MaxBody, %d", len(msg.Body), maxBody))
	}
	out := &publishing{to: to, msg: msg}
	var err error
	if out.expiration, err = formatExpiration(msg.Expiration); err != nil {
		return nil, err
	}
	payload, headers, flaw := encodeContent(msg, out.expiration)
	if flaw != nil {
		return nil, invalid("header"+flaw.Path, flaw.Why)
	}
	if size += headers; size > maxHeader {
		why := fmt.Sprintf("they take %d bytes with the other properties, more than the %d of one frame", size, maxHeader)
		return nil, invalid("headers", why)
	}
	out.content, out.msg.Headers = payload, nil
	return out, nil
}

// deadLetterHeaders are written by the broker. A message that is published again must not carry them: RabbitMQ < 4 takes a second
// pass through the same queues for a cycle and drops the message without a word.
func deadLetterHeaders() [9]string {
	return [...]string{
		"x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason",
		"x-last-death-exchange", "x-last-death-queue", "x-last-death-reason", headerDeliveryCount, "x-acquired-count",
	}
}

func isDeadLetterHeader(name string) bool {
	if !strings.HasPrefix(name, "x-") {
		return false
	}
	for _, n := range deadLetterHeaders() {
		if n == name {
			return true
		}
	}
	return false
}

func invalid(field, why string) error {
	return fmt.Errorf("amqp: %s: %w: %s", field, broker.ErrInvalid, why)
}

func checkShort(field, value string) error {
	if len(value) > record.MaxShort {
		return invalid(field, record.TooLong(value))
	}
	return nil
}

// formatExpiration is the property expiration: milliseconds, rounded up, "" for none.
func formatExpiration(d time.Duration) (string, error) {
	switch {
	case d == 0:
		return "", nil
	case d < 0:
		return "", invalid("expiration", fmt.Sprintf("it is negative: %v", d))
	case d > maxExpiration:
		return "", invalid("expiration", fmt.Sprintf("it is %v, RabbitMQ takes at most %v", d, maxExpiration))
	}
	return strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10), nil
}

// encodeTable copies a table into the types that every peer reads alike.
func encodeTable(table broker.Table, what string, depth int) (amqp091.Table, error) {
	if table == nil {
		return nil, nil
	}
	if depth > maxDepth || len(table) > maxEntries {
		return nil, invalid(what, record.TooMuch())
	}
	out := make(amqp091.Table, len(table))
	for name, value := range table {
		if err := checkShort(what+" name", name); err != nil {
			return nil, err
		}
		field, err := encodeValue(value, what+" "+strconv.Quote(name), depth)
		if err != nil {
			return nil, err
		}
		out[name] = field
	}
	return out, nil
}

// encodeValue returns the value as it is written.
func encodeValue(value any, what string, depth int) (any, error) {
	switch v := value.(type) {
	case []any:
		return encodeArray(v, what, depth+1)
	case broker.Table:
		table, err := encodeTable(v, what, depth+1)
		if table == nil {
			table = amqp091.Table{}
		}
		return table, err
	}
	if flaw := record.Flaw(value); flaw != "" {
		return nil, invalid(what, flaw)
	}
	if at, ok := value.(time.Time); ok {
		return time.Unix(at.Unix(), 0).UTC(), nil // as it will be read
	}
	return value, nil
}

func encodeArray(values []any, what string, depth int) (any, error) {
	if depth > maxDepth || len(values) > maxEntries {
		return nil, invalid(what, record.TooMuch())
	}
	out := make([]any, len(values))
	for i, value := range values {
		field, err := encodeValue(value, what, depth)
		if err != nil {
			return nil, err
		}
		out[i] = field
	}
	return out, nil
}

// decimalText keeps every digit of a decimal, which kombu sends.
func decimalText(d amqp091.Decimal) string {
	digits, sign := strconv.FormatInt(int64(d.Value), 10), ""
	if d.Value < 0 {
		digits, sign = digits[1:], "-"
	}
	scale := int(d.Scale)
	if scale == 0 {
		return sign + digits
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}
