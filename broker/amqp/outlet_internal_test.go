package amqp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

// writes keeps what is written, write by write.
type writes struct {
	list  [][]byte
	tried int
	err   error
}

func (w *writes) Write(p []byte) (int, error) {
	w.tried++
	if w.err != nil {
		return 0, w.err
	}
	w.list = append(w.list, bytes.Clone(p))
	return len(p), nil
}

func (w *writes) all() []byte { return bytes.Join(w.list, nil) }

// publishEmpty writes the frames of an empty message in pieces of the size, as the client library may.
func publishEmpty(t *testing.T, o *outlet, content load, size int) {
	t.Helper()
	_, err := o.publish(content, func() (confirm, error) {
		for piece := range slices.Chunk(slices.Concat(frame(typeMethod, []byte("publish")), frame(typeHeader, make([]byte, headerFixed))), size) {
			if _, err := o.Write(piece); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestContentsTakeTheirPlaceHoweverFramesAreCut(t *testing.T) {
	t.Parallel()
	before := slices.Concat([]byte("AMQP\x00\x00\x09\x01"), frame(typeMethod, []byte("open")), frame(typeHeartbeat, nil))
	content := load{header: []byte("header"), body: []byte("a body of three frames"), frameMax: 8 + frameHead + 1}
	after := frame(typeMethod, []byte("close"))
	want := slices.Concat(before, frame(typeMethod, []byte("publish")), frame(typeHeader, content.header),
		frame(typeBody, content.body[:8]), frame(typeBody, content.body[8:16]), frame(typeBody, content.body[16:]), after)
	for size := 1; size < 60; size++ {
		var w writes
		o := outlet{w: &w}
		for piece := range slices.Chunk(before, size) {
			if _, err := o.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		publishEmpty(t, &o, content, size)
		if _, err := o.Write(after); err != nil {
			t.Fatal(err)
		}
		if got := w.all(); !bytes.Equal(got, want) {
			t.Fatalf("in pieces of %d: % x, want % x", size, got, want)
		}
	}
}

func TestWhatIsNoAMQPPassesThrough(t *testing.T) {
	t.Parallel()
	var w writes
	o := outlet{w: &w}
	strange := []byte("GET / HTTP/1.1\r\n\r\n")
	if _, err := o.Write(strange); err != nil || !bytes.Equal(w.all(), strange) {
		t.Errorf("it became %q, %v", w.all(), err)
	}
}

func TestMessagesAreGatheredUntilSomethingElseIsWritten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		messages, body int
		then           func(*outlet) error
		want           int
	}{
		"flush":     {10, 100, (*outlet).flush, 1},
		"heartbeat": {10, 100, func(o *outlet) error { _, err := o.Write(frame(typeHeartbeat, nil)); return err }, 1},
		"a chunk":   {40, 1000, (*outlet).flush, 3},
		"large":     {2, 300 << 10, (*outlet).flush, 6},
	} {
		var w writes
		o := outlet{w: &w}
		for range c.messages {
			publishEmpty(t, &o, load{header: make([]byte, headerFixed), body: make([]byte, c.body), frameMax: frameMax}, 4096)
		}
		if name != "a chunk" && name != "large" && len(w.list) > 0 {
			t.Errorf("%s: written before: %q", name, w.list)
		}
		if err := c.then(&o); err != nil || len(w.list) != c.want {
			t.Errorf("%s: %d writes, %v, want %d", name, len(w.list), err, c.want)
		}
		if o.flush() != nil || len(w.list) != c.want {
			t.Errorf("%s: something was left", name)
		}
	}
}

func TestAFailedWriteEndsTheOutlet(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	w := writes{err: broken}
	c := newFrameConn(nil)
	c.outlet.w = &w
	publishEmpty(t, &c.outlet, load{header: make([]byte, headerFixed), frameMax: frameMax}, 4096)
	if err := c.flush(); !errors.Is(err, broken) {
		t.Fatalf("flush = %v, want %v", err, broken)
	}
	if err := <-c.broken; !errors.Is(err, broken) {
		t.Errorf("reported %v, want %v", err, broken)
	}
	w.err = nil
	if _, err := c.Write(frame(typeHeartbeat, nil)); !errors.Is(err, broken) || len(w.list) > 0 {
		t.Errorf("write after = %v, %q: a part of the stream is missing before it", err, w.list)
	}
}

func TestNoMoreOfALargeBodyIsWrittenAfterAFailure(t *testing.T) {
	t.Parallel()
	w := writes{err: errors.New("broken pipe")}
	o := outlet{w: &w}
	_, err := o.publish(load{header: make([]byte, headerFixed), body: make([]byte, 500<<10), frameMax: frameMax}, func() (confirm, error) {
		_, err := o.Write(frame(typeHeader, make([]byte, headerFixed)))
		return nil, err
	})
	if !errors.Is(err, w.err) || w.tried != 1 {
		t.Errorf("publish = %v after %d writes, want %v after one", err, w.tried, w.err)
	}
}

func TestContentHeadersAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	payload := func(flags uint16, values string) string {
		head := []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}
		return string(binary.BigEndian.AppendUint16(head, flags)) + values
	}
	body := []byte("body")
	for name, c := range map[string]struct {
		msg  broker.Message
		want string
	}{
		"nothing": {broker.Message{}, payload(0x1800, "\x02\x00")}, // Celery's priority of 0, which kombu always sends
		"all": {broker.Message{
			Headers: broker.Table{"n": int32(7)}, ContentType: "type", ContentEncoding: "enc", Transient: true, Priority: 9,
			CorrelationID: "corr", ReplyTo: "reply", Expiration: 1500 * time.Millisecond, MessageID: "id", Timestamp: time.Unix(258, 0),
			Type: "kind", AppID: "app",
		}, payload(0xFFE8, "\x04type\x03enc\x00\x00\x00\x07\x01nI\x00\x00\x00\x07\x01\x09\x04corr\x05reply\x041500\x02id"+
			"\x00\x00\x00\x00\x00\x00\x01\x02\x04kind\x03app")},
		"headers of the broker's": {broker.Message{Headers: broker.Table{"x-death": []any{}}}, payload(0x1800, "\x02\x00")},
	} {
		c.msg.Body = body
		p, err := encode(broker.Address{RoutingKey: "q"}, c.msg, 4)
		if err != nil {
			t.Fatal(err)
		}
		if string(p.content) != c.want {
			t.Errorf("%s: %q\nwant %q", name, p.content, c.want)
		}
	}
}

func TestWhatIsWrittenTogetherIsOneWrite(t *testing.T) {
	t.Parallel()
	var w writes
	o := outlet{w: &w}
	err := o.together(func() error {
		for _, text := range []string{"one", "two", "three"} {
			if _, err := o.Write(frame(typeMethod, []byte(text))); err != nil {
				return err
			}
		}
		return errOutOfStep
	})
	if !errors.Is(err, errOutOfStep) || len(w.list) != 0 {
		t.Errorf("together = %v with %d writes before the flush, want the writer's error and none", err, len(w.list))
	}
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Write(frame(typeHeartbeat, nil)); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(frame(typeMethod, []byte("one")), frame(typeMethod, []byte("two")), frame(typeMethod, []byte("three")))
	if len(w.list) != 2 || !bytes.Equal(w.list[0], want) || !bytes.Equal(w.list[1], frame(typeHeartbeat, nil)) {
		t.Errorf("%d writes: %q, want the three frames as one, and what follows at once", len(w.list), w.list)
	}
}
