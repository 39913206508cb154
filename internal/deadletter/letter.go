package deadletter

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/mask"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// Queue returns the name of the queue that keeps the dead letters of a work queue.
func Queue(of string) string { return of + ".dead" }

// Reason says why a message is a dead letter. Brokers that put one there themselves have words of their own, such as "expired".
type Reason string

// The reasons of workers.
const (
	Rejected      Reason = "rejected"       // the task said so
	Failed        Reason = "failed"         // the task failed, and its failures go here
	Malformed     Reason = "malformed"      // no task message
	Refused       Reason = "refused"        // a content type or a workflow that this worker does not take
	Unregistered  Reason = "unregistered"   // a task that this worker does not have
	DeliveryLimit Reason = "delivery-limit" // its workers died
)

// Origin is how a message came to the queue that it was taken from.
type Origin struct {
	Queue                string
	Exchange, RoutingKey string // it was published with
}

// OriginOf returns the origin of a delivery.
func OriginOf(d *broker.Delivery) Origin {
	return Origin{Queue: d.Queue, Exchange: d.Exchange, RoutingKey: d.RoutingKey}
}

// Letter is what the headers of a dead letter tell.
type Letter struct {
	Reason Reason
	Error  string // in words, without secrets; at most 1 KiB
	Origin Origin
	Worker string // the node name
	At     time.Time
	// Deliveries is how many times the message was handed out to be run, as far as known; -1 when nobody counted.
	Deliveries int
}

const (
	headerReason     = wire.OwnPrefix + "reason"
	headerError      = wire.OwnPrefix + "error"
	headerQueue      = wire.OwnPrefix + "queue"
	headerExchange   = wire.OwnPrefix + "exchange"
	headerRoutingKey = wire.OwnPrefix + "routing-key"
	headerWorker     = wire.OwnPrefix + "worker"
	headerAt         = wire.OwnPrefix + "at"
	headerDeliveries = wire.OwnPrefix + "deliveries"
)

const maxError = 1 << 10 // bytes

// Write returns the delivered message as a dead letter: with its own headers and the letter's, and without an expiration.
func (l Letter) Write(d *broker.Delivery) broker.Message {
	msg := Revive(d)
	if msg.Headers == nil {
		msg.Headers = broker.Table{}
	}
	l.stamp(msg.Headers)
	return msg
}

// WriteBare is Write for a message whose headers cannot be sent again: it keeps those that say which call it is.
func (l Letter) WriteBare(d *broker.Delivery) broker.Message {
	msg := d.Message
	msg.Expiration = 0
	req := wire.Identify(d)
	msg.Headers = broker.Table{}
	for name, text := range map[string]string{"id": req.ID, "task": req.Name} {
		if text != "" {
			msg.Headers[name] = cut(text)
		}
	}
	l.stamp(msg.Headers)
	return msg
}

func (l Letter) stamp(headers broker.Table) {
	headers[headerReason] = string(l.Reason)
	headers[headerError] = cut(mask.Text(l.Error))
	l.Origin.stamp(headers)
	headers[headerWorker] = l.Worker
	headers[headerAt] = l.At.UTC().Format(time.RFC3339)
	headers[headerDeliveries] = int32(l.Deliveries) //nolint:gosec // a small number
}

func (o Origin) stamp(headers broker.Table) {
	headers[headerQueue] = o.Queue
	headers[headerExchange] = o.Exchange
	headers[headerRoutingKey] = o.RoutingKey
}

func readOrigin(headers broker.Table) Origin {
	return Origin{Queue: text(headers, headerQueue), Exchange: text(headers, headerExchange), RoutingKey: text(headers, headerRoutingKey)}
}

// Read returns what is known of a dead letter, whether a worker or the broker put it there.
func Read(d *broker.Delivery) Letter {
	if text(d.Headers, headerReason) == "" {
		return readDeath(d)
	}
	l := Letter{
		Reason: Reason(text(d.Headers, headerReason)),
		Error:  text(d.Headers, headerError), Origin: readOrigin(d.Headers), Worker: text(d.Headers, headerWorker),
		Deliveries: number(d.Headers[headerDeliveries], -1),
	}
	l.At, _ = time.Parse(time.RFC3339, text(d.Headers, headerAt)) // zero when it is none
	return l
}

// readDeath reads what RabbitMQ notes on a message that it moves to a dead-letter exchange; the newest entry comes first.
func readDeath(d *broker.Delivery) Letter {
	l := Letter{Reason: "unknown", Deliveries: -1}
	deaths, _ := d.Headers["x-death"].([]any)
	if len(deaths) == 0 {
		return l
	}
	death, _ := deaths[0].(broker.Table)
	if reason := text(death, "reason"); reason != "" {
		l.Reason = Reason(reason)
	}
	l.Origin = Origin{Queue: text(death, "queue"), Exchange: text(death, "exchange")}
	if keys, _ := death["routing-keys"].([]any); len(keys) > 0 {
		l.Origin.RoutingKey, _ = keys[0].(string)
	}
	if at, ok := death["time"].(time.Time); ok {
		l.At = at.UTC()
	}
	return l
}

// Revive returns the message as it was before it went wrong, to be sent again: without the headers of a dead letter, of a stamp and
// of the broker, and without an expiration.
func Revive(d *broker.Delivery) broker.Message {
	msg := d.Message
	msg.Headers = wire.Living(d.Headers)
	for name := range msg.Headers {
		if strings.HasPrefix(name, wire.OwnPrefix) {
			delete(msg.Headers, name)
		}
	}
	msg.Expiration = 0
	return msg
}

func text(headers broker.Table, name string) string {
	s, _ := headers[name].(string)
	return s
}

// number reads a header of the types that brokers give back for an int32.
func number(v any, missing int) int {
	switch v := v.(type) {
	case int32:
		return int(v)
	case int64:
		return int(v)
	case float64:
		return int(v)
	}
	return missing
}

// cut bounds a text and makes it valid UTF-8.
func cut(text string) string {
	if len(text) > maxError {
		end := maxError - len("…")
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
