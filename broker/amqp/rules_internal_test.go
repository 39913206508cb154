package amqp

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/record"
)

// What is put down for later, in an outbox say, is checked by record.Check; it would wait for ever if it could not be sent then.
func TestWhatMayBePutDownCanBeSentAndNothingElse(t *testing.T) {
	t.Parallel()
	nested := func(depth int) broker.Table {
		table := broker.Table{}
		for range depth {
			table = broker.Table{"t": []any{table}}
		}
		return table
	}
	many := broker.Table{}
	for i := range record.MaxEntries {
		many[string(rune(i+0x100))] = nil
	}
	long := strings.Repeat("x", record.MaxShort+1)
	for name, c := range map[string]struct {
		msg  broker.Message
		fits bool
	}{
		"plain":              {broker.Message{Headers: broker.Table{"a": int32(-1), "b": []byte{0}, "c": time.Unix(1, 0)}, Timestamp: time.Unix(0, 0)}, true},
		"as deep as may be":  {broker.Message{Headers: nested(record.MaxDepth / 2)}, true},
		"too deep":           {broker.Message{Headers: nested(record.MaxDepth/2 + 1)}, false},
		"as many as may be":  {broker.Message{Headers: broker.Table{"l": make([]any, record.MaxEntries)}}, true},
		"too many":           {broker.Message{Headers: broker.Table{"l": make([]any, record.MaxEntries+1)}}, false},
		"many names":         {broker.Message{Headers: many}, true},
		"long type":          {broker.Message{Type: long}, false},
		"long header":        {broker.Message{Headers: broker.Table{long: nil}}, false},
		"time before 1970":   {broker.Message{Timestamp: time.Unix(-1, 0)}, false},
		"header before 1970": {broker.Message{Headers: broker.Table{"t": time.Unix(-1, 0)}}, false},
		"negative int64":     {broker.Message{Headers: broker.Table{"n": int64(-1)}}, false},
		"infinity":           {broker.Message{Headers: broker.Table{"f": []any{math.Inf(1)}}}, false},
		"foreign type":       {broker.Message{Headers: broker.Table{"i": 1}}, false},
		"negative duration":  {broker.Message{Expiration: -1}, false},
	} {
		_, sent := encode(broker.Address{RoutingKey: "q"}, c.msg, 1)
		for what, err := range map[string]error{"put down": record.Check(broker.Address{RoutingKey: "q"}, c.msg), "sent": sent} {
			if fits := err == nil; fits != c.fits || !fits && !errors.Is(err, broker.ErrInvalid) {
				t.Errorf("%s, %s: %v, want it to fit: %v", name, what, err, c.fits)
			}
		}
	}
}
