package deadletter

import (
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// Quarantine returns the name of the queue from which the suspects of a work queue are run one at a time.
func Quarantine(of string) string { return of + ".quarantine" }

// Stamp notes on a message how often it was handed out and never settled, for brokers that do not count. It remembers where the
// message came from, because it travels on as a copy.
type Stamp struct {
	Deaths int
	Origin Origin
}

// ReadStamp returns the stamp of a message, false when it has none.
func ReadStamp(headers broker.Table) (Stamp, bool) {
	deaths := number(headers[headerDeliveries], 0)
	if deaths < 1 || text(headers, headerReason) != "" { // a dead letter that somebody moved back by hand starts anew
		return Stamp{}, false
	}
	return Stamp{Deaths: deaths, Origin: readOrigin(headers)}, true
}

// Write returns the delivered message with the stamp: the same call, with what is left of its time to live.
func (s Stamp) Write(d *broker.Delivery, now time.Time) broker.Message {
	msg := wire.Repark(d, now)
	if msg.Headers == nil {
		msg.Headers = broker.Table{}
	}
	for name := range msg.Headers {
		if strings.HasPrefix(name, wire.OwnPrefix) {
			delete(msg.Headers, name)
		}
	}
	msg.Headers[headerDeliveries] = int32(s.Deaths) //nolint:gosec // bounded by the limit
	s.Origin.stamp(msg.Headers)
	return msg
}
