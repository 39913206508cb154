package amqp

import (
	"bytes"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

func TestShortDelaysRoundUpAndLongOnesDown(t *testing.T) {
	t.Parallel()
	for delay, want := range map[time.Duration]time.Duration{
		1:                                     100 * time.Millisecond,
		100 * time.Millisecond:                100 * time.Millisecond,
		101 * time.Millisecond:                200 * time.Millisecond,
		4999 * time.Millisecond:               5 * time.Second,
		5 * time.Second:                       5 * time.Second,
		5001 * time.Millisecond:               5 * time.Second,
		7900 * time.Millisecond:               7 * time.Second,
		20*time.Second + 999*time.Millisecond: 20 * time.Second,
		21 * time.Second:                      20 * time.Second,
		22 * time.Second:                      22 * time.Second,
	} {
		if got := parkBucket(delay); got != want {
			t.Errorf("a delay of %v waits in the queue of %v, want %v", delay, got, want)
		}
	}
	buckets := map[time.Duration]bool{}
	for delay := 100 * time.Millisecond; delay < 365*24*time.Hour; delay += min(delay/50+time.Millisecond, time.Hour) {
		bucket := parkBucket(delay)
		buckets[bucket] = true
		if delay > parkExact && delay <= parkLongest && (bucket > delay || float64(bucket) < float64(delay)*0.83) {
			t.Fatalf("a delay of %v waits in the queue of %v", delay, bucket)
		}
	}
	if len(buckets) > 250 {
		t.Errorf("%d delay queues, want a small series", len(buckets))
	}
}

func TestHopsOfALongDelayAreFewAndEndInTime(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour, 10*24*time.Hour + 12345*time.Millisecond} {
		hops, rest := 0, delay
		for ; rest > 0; hops++ {
			rest -= parkBucket(rest)
		}
		if hops > 9 || rest < -parkStep {
			t.Errorf("%v takes %d hops and is %v late", delay, hops, -rest)
		}
	}
}

func TestEncodedHeadersAreWhatTheLibraryTakes(t *testing.T) {
	t.Parallel()
	headers := broker.Table{
		"nil": nil, "bool": true, "string": "s", "bytes": []byte("b"), "int32": int32(-1), "int64": int64(1), "float": 1.5,
		"time": time.Now(), "list": []any{nil, []any{}, broker.Table(nil)}, "table": broker.Table{"k": broker.Table{}},
	}
	p, err := encode(broker.Address{RoutingKey: "q"}, broker.Message{Headers: headers}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.wire.Headers.Validate(); err != nil {
		t.Errorf("the client library would refuse them: %v", err)
	}
}

func TestDecimalsKeepTheirDigits(t *testing.T) {
	t.Parallel()
	for d, want := range map[amqp091.Decimal]string{
		{Scale: 0, Value: 7}: "7", {Scale: 2, Value: 314}: "3.14", {Scale: 3, Value: 5}: "0.005", {Scale: 1, Value: -25}: "-2.5",
	} {
		if got := decimalText(d); got != want {
			t.Errorf("%+v = %s, want %s", d, got, want)
		}
	}
}

func TestCapabilityIsAddedToStartOKOnly(t *testing.T) {
	t.Parallel()
	payload := func(capabilities []byte) []byte {
		properties := append(entry("product", block('S', []byte("taskq"))...), entry("capabilities", block('F', capabilities)...)...)
		out := append([]byte{0, 10, 0, 11}, block('F', properties)[1:]...)
		return append(out, "\x05PLAIN\x00\x00\x00\x01x\x05en_US"...)
	}
	nack := entry("basic.nack", 't', 1)
	got := withCapability(frame(typeMethod, payload(nack)))
	want := frame(typeMethod, payload(append(entry(capability, 't', 1), nack...)))
	if !bytes.Equal(got, want) {
		t.Errorf("start-ok = %q\nwant %q", got, want)
	}
	for _, other := range [][]byte{
		[]byte("AMQP\x00\x00\x09\x01"), frame(typeMethod, []byte{0, 10, 0, 31, 0, 0, 0, 0}), frame(typeMethod, payload(nack)[:20]),
		{1},
		frame(typeMethod, append([]byte{0, 10, 0, 11}, block('F', entry("product", 'V'))[1:]...)),
	} {
		if got := withCapability(bytes.Clone(other)); !bytes.Equal(got, other) {
			t.Errorf("%q was changed to %q", other, got)
		}
	}
}
