package amqp

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// collectReturns gives the messages that came back to their jobs. The client library delivers a return before its confirm. The
// caller holds mu.
func (l *lane) collectReturns() {
	for {
		select {
		case r, ok := <-l.returns:
			if !ok {
				return // the channel is gone
			}
			if j := l.match(r); j != nil {
				j.returned = "the broker returned it: " + r.ReplyText
			}
		default:
			return
		}
	}
}

// match finds the job of a returned message by everything that the message consists of: those in flight that look alike are the
// same message, and it does not matter which of them came back. Headers count only to choose between several: the broker may write a
// value in another way. The caller holds mu.
func (l *lane) match(r amqp091.Return) *job {
	var found *job
	foundHeaders := false
	for _, j := range l.flight {
		if j.returned != "" || !j.looksLike(r) {
			continue
		}
		headers := j.sameHeaders(r.Headers)
		if found == nil || headers && !foundHeaders || headers == foundHeaders && j.tag < found.tag {
			found, foundHeaders = j, headers
		}
	}
	return found
}

func (j *job) looksLike(r amqp091.Return) bool {
	m := &j.msg
	return j.to.Exchange == r.Exchange && j.to.RoutingKey == r.RoutingKey &&
		m.MessageID == r.MessageId && m.CorrelationID == r.CorrelationId && m.ReplyTo == r.ReplyTo &&
		m.Type == r.Type && m.AppID == r.AppId && m.ContentType == r.ContentType && m.ContentEncoding == r.ContentEncoding &&
		m.Priority == r.Priority && m.Transient == (r.DeliveryMode != amqp091.Persistent) && j.expiration == r.Expiration &&
		bytes.Equal(m.Body, r.Body)
}

// sameHeaders reports whether the headers of a message came back.
func (j *job) sameHeaders(returned amqp091.Table) bool {
	start, end, err := locateTable(j.content, binary.BigEndian.Uint16(j.content[flagsAt:]))
	if err != nil || start == end {
		return len(returned) == 0
	}
	sent, err := readTable(string(j.content[start+lengthSize:end]), 0)
	return err == nil && reflect.DeepEqual(sent, decodeTable(returned))
}

// decodeTable turns the client library's table type into the contract's, as readTable reads tables.
func decodeTable(table amqp091.Table) broker.Table {
	if table == nil {
		return nil
	}
	out := make(broker.Table, len(table))
	for name, value := range table {
		out[name] = decodeValue(value)
	}
	return out
}

func decodeValue(value any) any {
	switch v := value.(type) {
	case amqp091.Table:
		return decodeTable(v)
	case amqp091.Decimal:
		return decimalText(v)
	case time.Time:
		return v.UTC()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = decodeValue(v[i])
		}
		return out
	}
	return value
}
