package brokertest

import (
	"bytes"
	"reflect"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

func messageClaims() []claim {
	return []claim{
		{"PropertiesArriveAsSent", arriveProperties},
		{"ZeroMessageArrivesZero", arriveZero},
		{"HeadersArriveWithTheirTypes", arriveHeaders},
		{"BodyOfAMegabyteArrivesAsSent", arriveLarge},
	}
}

// arrive sends the message and returns what arrives.
func (f *fixture) arrive(msg broker.Message) broker.Message {
	f.Helper()
	queue := f.queue(broker.Queue{})
	f.publishTo(broker.Address{RoutingKey: queue}, msg)
	d := f.next(f.consume(f.open(), 1, queue))
	f.settle(d, broker.Ack)
	return d.Message
}

func arriveProperties(f *fixture) {
	sent := broker.Message{
		ContentType: "application/json", ContentEncoding: "utf-8", Priority: 3, CorrelationID: "correlation", ReplyTo: "reply",
		Expiration: time.Hour, MessageID: "id", Timestamp: time.Unix(1700000000, 0), Type: "type", AppID: "app",
		Headers: broker.Table{"lang": "py"}, Body: []byte("\x00\xff body 访问"),
	}
	got := f.arrive(sent)
	f.sameMessage(got, sent)
	sent.Transient = true
	f.sameMessage(f.arrive(sent), sent)
}

func arriveZero(f *fixture) { f.sameMessage(f.arrive(broker.Message{}), broker.Message{}) }

func (f *fixture) sameMessage(got, want broker.Message) {
	f.Helper()
	if !got.Timestamp.Equal(want.Timestamp) {
		f.Errorf("timestamp = %v, want %v", got.Timestamp, want.Timestamp)
	}
	if !bytes.Equal(got.Body, want.Body) {
		f.Errorf("body = %q, want %q", got.Body, want.Body)
	}
	f.sameTable(got.Headers, want.Headers)
	got.Timestamp, got.Body, got.Headers = want.Timestamp, want.Body, want.Headers
	if !reflect.DeepEqual(got, want) {
		f.Errorf("message = %+v\nwant %+v", got, want)
	}
}

func arriveHeaders(f *fixture) {
	sent := broker.Table{
		"nil": nil, "true": true, "false": false, "text": "访问记录 ✓", "empty": "", "bytes": []byte{0, 1, 255},
		"int32": int32(-7), "int64": int64(1) << 62, "float": 1.5, "time": time.Unix(1700000001, 0),
		"list":  []any{int32(1), "two", nil, []any{"nested"}, broker.Table{"in": "list"}},
		"table": broker.Table{"deep": broker.Table{"deeper": []any{int64(3), false}}},
		"none":  []any{},
		"blank": broker.Table{},
	}
	f.sameTable(f.arrive(broker.Message{Headers: sent}).Headers, sent)
}

func (f *fixture) sameTable(got, want broker.Table) {
	f.Helper()
	if !same(got, want) {
		f.Errorf("headers = %#v\nwant %#v", got, want)
	}
}

// same compares header values: types count, but the time zone of an instant does not, nor nil against empty.
func same(got, want any) bool {
	switch w := want.(type) {
	case broker.Table:
		g, ok := got.(broker.Table)
		if !ok || len(g) != len(w) {
			return false
		}
		for key, value := range w {
			if other, ok := g[key]; !ok || !same(other, value) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !same(g[i], w[i]) {
				return false
			}
		}
		return true
	case time.Time:
		g, ok := got.(time.Time)
		return ok && g.Equal(w)
	}
	return reflect.DeepEqual(got, want)
}

func arriveLarge(f *fixture) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if got := f.arrive(broker.Message{Body: body}).Body; !bytes.Equal(got, body) {
		f.Errorf("%d bytes arrived, %d were sent, or others", len(got), len(body))
	}
}
