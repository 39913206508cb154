package wire_test

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
)

// fixture is one message captured from Celery, see testdata/README.md.
type fixture struct {
	Exchange     string           `json:"exchange"`
	RoutingKey   string           `json:"routing_key"`
	Properties   properties       `json:"properties"`
	Headers      map[string]any   `json:"headers"`
	Typed        map[string]typed `json:"headers_typed"`
	Body         []byte           `json:"body_base64"`
	Text         string           `json:"body_text"`
	Decompressed string           `json:"body_decompressed_text"`
}

type properties struct {
	ContentType     string `json:"content_type"`
	ContentEncoding string `json:"content_encoding"`
	DeliveryMode    int    `json:"delivery_mode"`
	Priority        uint8  `json:"priority"`
	CorrelationID   string `json:"correlation_id"`
	ReplyTo         string `json:"reply_to"`
	Expiration      string `json:"expiration"`
	MessageID       string `json:"message_id"`
	Timestamp       int64  `json:"timestamp"`
	Type            string `json:"type"`
	AppID           string `json:"app_id"`
}

// typed is a header field with its AMQP type tag.
type typed struct {
	Tag   string          `json:"t"`
	Value json.RawMessage `json:"v"`
}

func (f typed) value(tb testing.TB) any {
	tb.Helper()
	switch f.Tag {
	case "V":
		return nil
	case "S":
		return decoded[string](tb, f.Value)
	case "t":
		return decoded[bool](tb, f.Value)
	case "I":
		return decoded[int32](tb, f.Value)
	case "L", "l":
		return decoded[int64](tb, f.Value)
	case "d":
		return decoded[float64](tb, f.Value)
	case "T":
		return time.Unix(decoded[int64](tb, f.Value), 0).UTC()
	case "A":
		list := []any{}
		for _, e := range decoded[[]typed](tb, f.Value) {
			list = append(list, e.value(tb))
		}
		return list
	case "F":
		return table(tb, decoded[map[string]typed](tb, f.Value))
	}
	tb.Fatalf("unknown tag %q", f.Tag)
	return nil
}

func table(tb testing.TB, fields map[string]typed) broker.Table {
	tb.Helper()
	out := broker.Table{}
	for k, v := range fields {
		out[k] = v.value(tb)
	}
	return out
}

func decoded[T any](tb testing.TB, data []byte) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		tb.Fatalf("%.200s: %v", data, err)
	}
	return v
}

// message is the captured message as a broker adapter hands it out.
func (f *fixture) message(tb testing.TB) broker.Message {
	tb.Helper()
	msg := broker.Message{
		ContentType: f.Properties.ContentType, ContentEncoding: f.Properties.ContentEncoding,
		Transient: f.Properties.DeliveryMode == 1, Priority: f.Properties.Priority,
		CorrelationID: f.Properties.CorrelationID, ReplyTo: f.Properties.ReplyTo, MessageID: f.Properties.MessageID,
		Type: f.Properties.Type, AppID: f.Properties.AppID,
		Headers: table(tb, f.Typed), Body: f.Body,
	}
	if n := f.Properties.Timestamp; n != 0 {
		msg.Timestamp = time.Unix(n, 0).UTC()
	}
	if s := f.Properties.Expiration; s != "" {
		ms, err := strconv.Atoi(s)
		if err != nil {
			tb.Fatal(err)
		}
		// a message that is late already has "0" from Celery and one millisecond from us
		msg.Expiration = max(time.Duration(ms)*time.Millisecond, time.Millisecond)
	}
	return msg
}

func (f *fixture) delivery(tb testing.TB) *broker.Delivery {
	tb.Helper()
	d := broker.NewDelivery(f.message(tb), nil)
	d.Queue, d.Exchange, d.RoutingKey = f.RoutingKey, f.Exchange, f.RoutingKey
	return d
}

// body is the body as text, unpacked. Where the recording has no unpacked text, the code under test unpacks; body_test.go holds that to
// the recording of another compression.
func (f *fixture) body() string {
	if f.Decompressed != "" {
		return f.Decompressed
	}
	body, err := codec.Unpack(strings.Trim(string(f.Typed["compression"].Value), `"`), f.Body, 1<<20)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func load(tb testing.TB, path string) *fixture {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", path))
	if err != nil {
		tb.Fatal(err)
	}
	f := decoded[fixture](tb, data)
	return &f
}

// paths lists the files of a directory below testdata, as paths that load takes.
func paths(tb testing.TB, dir string) []string {
	tb.Helper()
	var list []string
	err := filepath.WalkDir(filepath.Join("testdata", dir), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(path, ".json") {
			list = append(list, strings.TrimPrefix(path, "testdata"+string(filepath.Separator)))
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// malformed is one of the odd messages that Celery's workers were tried with.
type malformed struct {
	Headers    map[string]any `json:"headers"`
	Properties properties     `json:"properties"`
	Body       any            `json:"body"` // text, or {"base64": …}
	Results    []struct {
		Payload struct {
			Status string `json:"status"`
		} `json:"payload"`
	} `json:"results"`
}

func malformedCases(tb testing.TB, version string) map[string]malformed {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "malformed", version+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		Cases map[string][]malformed `json:"cases"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		tb.Fatal(err)
	}
	cases := map[string]malformed{}
	for name, tries := range file.Cases {
		cases[name] = tries[len(tries)-1]
	}
	return cases
}

func (m malformed) delivery(tb testing.TB) *broker.Delivery {
	tb.Helper()
	msg := broker.Message{
		ContentType: m.Properties.ContentType, ContentEncoding: m.Properties.ContentEncoding,
		CorrelationID: m.Properties.CorrelationID, ReplyTo: m.Properties.ReplyTo, Priority: m.Properties.Priority,
	}
	msg.Headers, _ = amqpValue(m.Headers).(broker.Table)
	switch body := m.Body.(type) {
	case string:
		msg.Body = []byte(body)
	case map[string]any:
		b, err := base64.StdEncoding.DecodeString(body["base64"].(string))
		if err != nil {
			tb.Fatal(err)
		}
		msg.Body = b
	}
	return broker.NewDelivery(msg, nil)
}

// amqpValue turns a JSON value into what py-amqp sends for it.
func amqpValue(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) {
			return int32(v)
		}
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, amqpValue(e))
		}
		return list
	case map[string]any:
		table := broker.Table{}
		for k, e := range v {
			table[k] = amqpValue(e)
		}
		return table
	}
	return v
}
