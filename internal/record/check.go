package record

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// The bounds of what a message may hold; AMQP's, and those within which every client of RabbitMQ reads it.
const (
	MaxShort   = 255  // bytes of a name or key (AMQP 0-9-1, shortstr)
	MaxDepth   = 32   // of nested tables and lists
	MaxEntries = 8192 // of each of them

	lastSecond = 253402300799 // of the year 9999, Python's last
)

// Text is a short string of a message, under its name.
type Text struct{ Name, Value string }

// Texts are the short strings of a message and its address.
func Texts(to broker.Address, msg broker.Message) [9]Text {
	return [...]Text{
		{"exchange", to.Exchange},
		{"routing key", to.RoutingKey},
		{"content type", msg.ContentType},
		{"content encoding", msg.ContentEncoding},
		{"correlation id", msg.CorrelationID},
		{"reply to", msg.ReplyTo},
		{"message id", msg.MessageID},
		{"type", msg.Type},
		{"app id", msg.AppID},
	}
}

// Check refuses what RabbitMQ would refuse, but for its limits of size: a program that works with another broker, or puts its messages
// down for later, works with that one, too. The error wraps broker.ErrInvalid.
func Check(to broker.Address, msg broker.Message) error {
	for _, s := range Texts(to, msg) {
		if len(s.Value) > MaxShort {
			return invalid(s.Name, TooLong(s.Value))
		}
	}
	if msg.Expiration < 0 {
		return invalid("expiration", fmt.Sprintf("it is negative: %v", msg.Expiration))
	}
	if !msg.Timestamp.IsZero() { // a zero one is left out
		if flaw := Flaw(msg.Timestamp); flaw != "" {
			return invalid("timestamp", flaw)
		}
	}
	return CheckTable(msg.Headers)
}

func invalid(what, flaw string) error { return fmt.Errorf("%s: %w: %s", what, broker.ErrInvalid, flaw) }

// TooLong says what is wrong with a name or key of more than MaxShort bytes, which it does not quote.
func TooLong(text string) string {
	return fmt.Sprintf("it has %d bytes, AMQP carries at most %d", len(text), MaxShort)
}

// TooMuch says what is wrong with a table or list beyond MaxDepth or MaxEntries.
func TooMuch() string {
	return fmt.Sprintf("tables and arrays may nest %d deep and have %d entries", MaxDepth, MaxEntries)
}

// CheckTable refuses a table that holds what none may hold.
func CheckTable(t broker.Table) error { return checkTable(t, 0).in("header") }

// CheckValue refuses what no table may hold.
func CheckValue(v any) error { return checkValue(v, 0).in("value") }

// Misfit is what no table may hold: where it is, and what is wrong with it. The place is put together on the way out, since it is asked for
// only then.
type Misfit struct{ Path, Why string }

// Within says that it is in the value of that name; nil stays nil.
func (m *Misfit) Within(name string) *Misfit {
	if m != nil {
		m.Path = " " + strconv.Quote(name) + m.Path
	}
	return m
}

func (m *Misfit) in(what string) error {
	if m == nil {
		return nil
	}
	return invalid(what+m.Path, m.Why)
}

func checkTable(t broker.Table, depth int) *Misfit {
	if depth > MaxDepth || len(t) > MaxEntries {
		return &Misfit{Why: TooMuch()}
	}
	for name, value := range t {
		if len(name) > MaxShort {
			return &Misfit{" name", TooLong(name)}
		}
		if flaw := checkValue(value, depth); flaw != nil {
			return flaw.Within(name)
		}
	}
	return nil
}

func checkValue(v any, depth int) *Misfit {
	switch v := v.(type) {
	case broker.Table:
		return checkTable(v, depth+1)
	case []any:
		if depth++; depth > MaxDepth || len(v) > MaxEntries {
			return &Misfit{Why: TooMuch()}
		}
		for _, item := range v {
			if flaw := checkValue(item, depth); flaw != nil {
				return flaw
			}
		}
		return nil
	}
	if flaw := Flaw(v); flaw != "" {
		return &Misfit{Why: flaw}
	}
	return nil
}

// Flaw says what is wrong with a value that is neither a table nor a list; "" when nothing is. Only the types of broker.Table pass: py-amqp
// reads a negative int64 as unsigned and takes the short integers for something else.
func Flaw(v any) string {
	switch v := v.(type) {
	case nil, bool, string, []byte, int32:
		return ""
	case int64:
		if v < 0 {
			return "it is a negative int64, which Python's client misreads; send an int32 or a string"
		}
		return ""
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "it is not a finite number, which ends RabbitMQ's connection; send it as a string"
		}
		return ""
	case time.Time:
		if v.Unix() < 0 || v.Unix() > lastSecond {
			return "it is not between the years 1970 and 9999, the ones that Python's client can read" // its worker would end
		}
		return ""
	}
	return fmt.Sprintf("it has the type %T; use nil, bool, string, []byte, int32, int64, float64, time.Time, []any or Table", v)
}
