package amqp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// deliverTo is the payload of a basic.deliver to the consumer.
func deliverTo(consumer string, tag uint64) []byte {
	out := binary.BigEndian.AppendUint32(nil, methodDeliver)
	out = append(out, entry(consumer)...)
	out = append(binary.BigEndian.AppendUint64(out, tag), 1)
	out = append(out, entry("exchange")...)
	return append(out, entry("key")...)
}

// sized is the payload of a content header with another body size.
func sized(header []byte, size int) []byte {
	out := bytes.Clone(header)
	binary.BigEndian.PutUint64(out[4:], uint64(size))
	return out
}

// onChannel is the frame on another channel.
func onChannel(channel uint16, frame []byte) []byte {
	out := bytes.Clone(frame)
	binary.BigEndian.PutUint16(out[1:], channel)
	return out
}

// taking is a frameConn over r that takes out what is delivered to the consumers "one" and "two".
func taking(r io.Reader) (*frameConn, *inbox) {
	c, in := newFrameConn(streamConn{Reader: r}), newInbox()
	c.intake.open(newLine(in, "one"))
	c.intake.open(newLine(in, "two"))
	return c, in
}

func TestDeliveriesToOurConsumersAreTakenOut(t *testing.T) {
	t.Parallel()
	small, big := []byte("small"), bytes.Repeat([]byte("large"), 24<<10)
	library := bytes.Join([][]byte{
		frame(typeMethod, big[:3000]), frame(typeMethod, deliverTo("theirs", 7)), frame(typeHeader, sized(header(nil), 4)), frame(typeBody, big[:4]),
	}, nil)
	in := bytes.Join([][]byte{
		onChannel(1, frame(typeMethod, deliverTo("one", 1))), onChannel(2, frame(typeMethod, deliverTo("two", 1))),
		onChannel(2, frame(typeHeader, sized(header(entry("k", long('L')...)), len(big)))),
		onChannel(1, frame(typeHeader, sized(header(nil), len(small)))),
		onChannel(2, frame(typeBody, big[:100_000])),
		library,
		onChannel(1, frame(typeBody, small)), onChannel(2, frame(typeBody, big[100_000:])),
		onChannel(1, frame(typeMethod, deliverTo("one", 2))), onChannel(1, frame(typeHeader, sized(header(nil), 0))),
	}, nil)
	for name, r := range map[string]io.Reader{
		"in one piece": bytes.NewReader(in), "in pieces": &chunks{data: bytes.Clone(in), size: 1009}, "byte by byte": &chunks{data: bytes.Clone(in), size: 1},
	} {
		c, inbox := taking(r)
		out, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		if rest := withoutHeartbeats(t, out); !bytes.Equal(rest, library) {
			t.Errorf("%s: %d bytes are left to the client library, want the %d that are not ours", name, len(rest), len(library))
		}
		var got []string
		for a := inbox.next(); a != nil; a = inbox.next() {
			got = append(got, a.line.tag+" "+string(rune('0'+a.tag))+" "+string(a.body[:min(len(a.body), 5)]))
			if a.exchange() != "exchange" || a.routingKey() != "key" || !a.redelivered {
				t.Errorf("%s: exchange %q, routing key %q, redelivered %v", name, a.exchange(), a.routingKey(), a.redelivered)
			}
			if a.line.tag == "two" && !bytes.Equal(a.body, big) {
				t.Errorf("%s: the large body has %d bytes, want %d", name, len(a.body), len(big))
			}
		}
		if want := []string{"one 1 small", "two 1 large", "one 2 "}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: taken out: %q, want %q", name, got, want)
		}
	}
}

// withoutHeartbeats checks that what the library reads is made of whole frames, and removes the heartbeats.
func withoutHeartbeats(t *testing.T, in []byte) []byte {
	t.Helper()
	var out []byte
	for len(in) > 0 {
		whole := frameHead + int(binary.BigEndian.Uint32(in[3:])) + 1
		if in[0] != typeHeartbeat {
			out = append(out, in[:whole]...)
		}
		in = in[whole:]
	}
	return out
}

func TestTheLibraryGetsASignOfLifeForWhatIsTakenOut(t *testing.T) {
	t.Parallel()
	one := bytes.Join([][]byte{frame(typeMethod, deliverTo("one", 1)), frame(typeHeader, sized(header(nil), 0))}, nil)
	c, _ := taking(bytes.NewReader(one))
	if out, err := io.ReadAll(c); err != nil || !bytes.Equal(out, heartbeat()) {
		t.Errorf("the library reads %q, %v, want a heartbeat", out, err)
	}
}

func TestBrokenDeliveriesAreTheLibrarysToRefuse(t *testing.T) {
	t.Parallel()
	deliver, head := deliverTo("one", 1), sized(header(nil), 4)
	badEnd := frame(typeMethod, deliver)
	badEnd[len(badEnd)-1] = 0
	for name, in := range map[string][]byte{
		"method cut short":         frame(typeMethod, deliver[:len(deliver)-1]),
		"method too long":          frame(typeMethod, append(bytes.Clone(deliver), 0)),
		"method without a tag":     frame(typeMethod, deliver[:4]),
		"method ends elsewhere":    badEnd,
		"header without a method":  frame(typeHeader, head),
		"body without a header":    frame(typeBody, []byte("body")),
		"delivery to someone else": bytes.Join([][]byte{frame(typeMethod, deliverTo("other", 1)), frame(typeHeader, head), frame(typeBody, []byte("body"))}, nil),
	} {
		c, inbox := taking(bytes.NewReader(bytes.Clone(in)))
		if out, err := io.ReadAll(c); err != nil || !bytes.Equal(out, in) {
			t.Errorf("%s: the library reads %q, %v, want %q", name, out, err, in)
		}
		if a := inbox.next(); a != nil {
			t.Errorf("%s: a delivery was taken out: %+v", name, a)
		}
	}
	interrupted := bytes.Join([][]byte{
		frame(typeMethod, deliver), frame(typeMethod, []byte{0, 60, 0, 30}), frame(typeHeader, head), frame(typeBody, []byte("body")),
		frame(typeMethod, deliver), frame(typeHeader, head), frame(typeHeader, head), frame(typeBody, []byte("body")),
		frame(typeMethod, deliver), frame(typeBody, []byte("body")), frame(typeHeader, head),
	}, nil)
	c, inbox := taking(bytes.NewReader(interrupted))
	if _, err := io.ReadAll(c); err != nil || inbox.next() != nil {
		t.Errorf("interrupted deliveries were put together: %v", err)
	}
	body := frame(typeBody, []byte("body"))
	body[len(body)-1] = 0
	c, _ = taking(bytes.NewReader(append(append(frame(typeMethod, deliver), frame(typeHeader, head)...), body...)))
	if _, err := io.ReadAll(c); err != errOutOfStep { //nolint:errorlint // it is not wrapped
		t.Errorf("a body frame that ends elsewhere gives %v, want %v", err, errOutOfStep)
	}
}

// library is a connection of the client library over which a test sends frames as a broker does.
type library struct {
	frames     *frameConn
	server     net.Conn
	deliveries <-chan amqp091.Delivery
}

// connectLibrary opens a connection with a consumer "theirs", whose deliveries the client library decodes.
func connectLibrary(t testing.TB) *library {
	t.Helper()
	client, server := net.Pipe()
	go answer(server)
	l := &library{frames: newFrameConn(client), server: server}
	conn, err := amqp091.Open(l.frames, amqp091.Config{SASL: []amqp091.Authentication{&amqp091.PlainAuth{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Close()
		_ = conn.Close()
	})
	ch, err := conn.Channel()
	if err == nil {
		l.deliveries, err = ch.Consume("queue", "theirs", true, false, false, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// answer plays the broker until the connection is closed.
func answer(conn net.Conn) {
	greeting := make([]byte, 8)
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return
	}
	method := func(channel uint16, class, id byte, args ...byte) {
		_, _ = conn.Write(onChannel(channel, frame(typeMethod, append([]byte{0, class, 0, id}, args...))))
	}
	method(0, 10, 10, append([]byte{0, 9, 0, 0, 0, 0}, "\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US"...)...)
	for {
		head := make([]byte, frameHead)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(conn, payload); err != nil {
			return
		}
		switch {
		case head[0] != typeMethod:
		case payload[1] == 10 && payload[3] == 11:
			method(0, 10, 30, 0, 0, 0, 2, 0, 0, 0, 0)
		case payload[1] == 10 && payload[3] == 40:
			method(0, 10, 41, 0)
		case payload[1] == 20:
			method(1, 20, 11, 0, 0, 0, 0)
		case payload[1] == 60:
			method(1, 60, 21, entry("theirs")...)
		}
	}
}

// read sends a message with the payload of a content header to the library's consumer and returns what it makes of it.
func (l *library) read(t testing.TB, header []byte) broker.Message {
	t.Helper()
	frames := bytes.Join([][]byte{frame(typeMethod, deliverTo("theirs", 1)), frame(typeHeader, header)}, nil)
	if _, err := l.server.Write(onEach(1, frames)); err != nil {
		t.Fatal(err)
	}
	select {
	case d, ok := <-l.deliveries:
		if !ok {
			t.Fatal("the library closed the connection")
		}
		return libraryMessage(&d)
	case <-time.After(10 * time.Second):
		t.Fatal("the library delivers nothing")
	}
	return broker.Message{}
}

// libraryMessage is the message in the terms of package broker, as the client library has read it.
func libraryMessage(d *amqp091.Delivery) broker.Message {
	msg := broker.Message{
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		Headers:         decodeTable(d.Headers),
		Transient:       d.DeliveryMode != amqp091.Persistent,
		Priority:        d.Priority,
		CorrelationID:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		MessageID:       d.MessageId,
		Timestamp:       d.Timestamp,
		Type:            d.Type,
		AppID:           d.AppId,
		Body:            d.Body,
	}
	delete(msg.Headers, headerDue)
	if !msg.Timestamp.IsZero() {
		msg.Timestamp = msg.Timestamp.UTC()
	}
	if ms, err := strconv.ParseInt(d.Expiration, 10, 64); err == nil && ms <= int64(maxExpiration/time.Millisecond) {
		msg.Expiration = time.Duration(ms) * time.Millisecond
	}
	return msg
}

// onEach puts all frames on the channel.
func onEach(channel uint16, frames []byte) []byte {
	for at := 0; at < len(frames); at += frameHead + int(binary.BigEndian.Uint32(frames[at+3:])) + 1 {
		binary.BigEndian.PutUint16(frames[at+1:], channel)
	}
	return frames
}

// ours is what we make of the payload ourselves.
func ours(t testing.TB, payload []byte) broker.Message {
	t.Helper()
	in := append(frame(typeMethod, deliverTo("one", 1)), frame(typeHeader, payload)...)
	c, inbox := taking(bytes.NewReader(in))
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	a := inbox.next()
	if a == nil {
		t.Fatal("it was not taken out")
	}
	return a.message()
}

// everything is a table with every type of value, and one of them twice.
func everything() []byte {
	return bytes.Join([][]byte{
		entry("t", 't', 1), entry("f", 't', 0), entry("b", 'b', 0xfe), entry("B", 'B', 0xfe), entry("s", 's', 0xff, 1), entry("u", 'u', 0xff, 1),
		entry("I", 'I', 0xff, 0, 0, 1), entry("i", 'i', 0xff, 0, 0, 1), entry("f4", 'f', 0x40, 0x49, 0x0f, 0xdb),
		entry("d", append([]byte{'d'}, binary.BigEndian.AppendUint64(nil, math.Float64bits(math.Pi))...)...),
		entry("D", 'D', 2, 0xff, 0xff, 0xff, 0x85), entry("l", long('l')...), entry("L", long('L')...), entry("T", long('T')...),
		entry("S", block('S', []byte("text"))...), entry("S0", block('S', nil)...), entry("x", block('x', []byte("bytes"))...),
		entry("x0", block('x', nil)...), entry("V", 'V'), entry("A0", block('A', nil)...), entry("F0", block('F', nil)...),
		entry("F", block('F', entry("A", block('A', append(long('L'), 'V', 't', 1))...))...), entry("t", 'V'), entry("", 'V'),
		entry("x-delivery-count", long('l')...), entry(headerDue, long('l')...),
	}, nil)
}

// allProperties is the payload of a content header with all properties.
func allProperties(entries []byte) []byte {
	out := []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfc}
	text := func(s string) { out = append(append(out, byte(len(s))), s...) }
	text("application/json")
	text("utf-8")
	out = append(binary.BigEndian.AppendUint32(out, uint32(len(entries))), entries...)
	out = append(out, 2, 9)
	text("correlation")
	text("reply")
	text("60000")
	text("message")
	out = binary.BigEndian.AppendUint64(out, 1_600_000_000)
	text("type")
	text("user")
	text("app")
	text("cluster")
	return out
}

func FuzzWeReadWhatTheLibraryReads(f *testing.F) {
	for _, payload := range [][]byte{
		allProperties(everything()),
		header(everything()),
		header(nil),
		header(entry("k", nested(maxDepth)...)),
		header(entry("k", nested(maxDepth+1)...)),
		header(entry("k", '?')),
		header(bytes.Repeat(entry("k", 'V'), maxEntries+1)),
		header(entry("k", 'l', 1, 2)),
		header([]byte{200, 'k'}),
		allProperties(nil)[:30],
		allProperties(everything())[:400],
		header(nil)[:9],
		{},
		bytes.Replace(header(nil), []byte{0xb0, 0}, []byte{0xb0, flagContinued}, 1),
	} {
		f.Add(payload)
	}
	l := connectLibrary(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) > frameMax-frameHead-1 {
			return
		}
		payload = bytes.Clone(payload)
		if len(payload) >= headerFixed {
			binary.BigEndian.PutUint64(payload[4:], 0)
		}
		want := l.read(t, payload)
		got := ours(t, payload)
		if !same(got, want) {
			t.Errorf("we read    %#v\nthe library %#v", got, want)
		}
	})
}

// same compares messages; a NaN equals itself.
func same(a, b broker.Message) bool {
	return reflect.DeepEqual(a, b) || strings.Contains(fmt.Sprint(a), "NaN") && fmt.Sprint(a) == fmt.Sprint(b)
}
