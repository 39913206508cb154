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

func TestReturnedHeadersAreComparedWithThoseThatWereSent(t *testing.T) {
	t.Parallel()
	now := time.Now()
	headers := func() broker.Table {
		return broker.Table{
			"nil": nil, "true": true, "false": false, "string": "s", "bytes": []byte("b"), "int32": int32(-1), "int64": int64(1), "float": 1.5,
			"time": now, "list": []any{nil, []any{}, broker.Table(nil), int32(2)}, "table": broker.Table{"k": broker.Table{}},
		}
	}
	p, err := encode(broker.Address{RoutingKey: "q"}, broker.Message{Headers: headers()}, 1)
	if err != nil {
		t.Fatal(err)
	}
	j := job{publishing: p}
	returned := func(headers broker.Table) amqp091.Table {
		table, err := encodeTable(headers, "header", 0)
		if err != nil || table.Validate() != nil {
			t.Fatal(err)
		}
		return table
	}
	if !j.sameHeaders(returned(headers())) {
		t.Error("the same headers were told apart")
	}
	for name, other := range map[string]any{
		"nil": false, "true": false, "false": nil, "string": []byte("s"), "bytes": []byte("c"), "int32": int64(1), "int64": int64(2),
		"float": 1.25, "time": now.Add(time.Second), "list": []any{nil, []any{}, broker.Table(nil), int32(3)}, "more": nil,
		"table": broker.Table{"k": broker.Table{"more": nil}},
	} {
		changed := headers()
		changed[name] = other
		if j.sameHeaders(returned(changed)) {
			t.Errorf("another %s was taken for the same", name)
		}
	}
	fewer := headers()
	delete(fewer, "nil")
	if j.sameHeaders(returned(fewer)) || j.sameHeaders(nil) {
		t.Error("fewer headers were taken for the same")
	}
	changed := headers()
	changed["list"] = []any{nil, []any{}, broker.Table(nil)}
	if j.sameHeaders(returned(changed)) {
		t.Error("a shorter list was taken for the same")
	}
	none := job{publishing: &publishing{content: make([]byte, headerFixed)}}
	if !none.sameHeaders(nil) || none.sameHeaders(returned(headers())) {
		t.Error("none were compared wrongly")
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
