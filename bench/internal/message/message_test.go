package message_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/seed-399731e2/taskq/bench/internal/message"
	"github.com/seed-399731e2/taskq/bench/internal/order"
)

// recorded is a message of Celery, as the fixtures keep it.
type recorded struct {
	Properties struct {
		ContentType     string `json:"content_type"`
		ContentEncoding string `json:"content_encoding"`
		DeliveryMode    uint8  `json:"delivery_mode"`
		Priority        uint8  `json:"priority"`
	} `json:"properties"`
	Headers map[string]struct {
		Type string `json:"t"`
	} `json:"headers_typed"`
	Body string `json:"body_text"`
}

func TestMessagesAreThoseOfApplyAsync(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../internal/wire/testdata/tasks/5.2.6/kwargs_only.json")
	if err != nil {
		t.Fatal(err)
	}
	var want recorded
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got, err := message.New(order.Order{Names: 1}, "").Publishing(7)
	if err != nil {
		t.Fatal(err)
	}
	p := want.Properties
	if got.ContentType != p.ContentType || got.ContentEncoding != p.ContentEncoding || got.DeliveryMode != p.DeliveryMode || got.Priority != p.Priority {
		t.Errorf("properties = %+v, want %+v", got, p)
	}
	if got, want := slices.Sorted(maps.Keys(got.Headers)), slices.Sorted(maps.Keys(want.Headers)); !slices.Equal(got, want) {
		t.Errorf("headers = %v, want %v", got, want)
	}
	for name, h := range want.Headers {
		if got := wireType(got.Headers[name]); got != h.Type {
			t.Errorf("header %s has the type %s, want %s", name, got, h.Type)
		}
	}
	if got.Headers["id"] != got.CorrelationId || got.ReplyTo == "" {
		t.Errorf("id %v, correlation id %s, reply to %q", got.Headers["id"], got.CorrelationId, got.ReplyTo)
	}
	wantBody := `[[], {"x": 7, "y": 2}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`
	if string(got.Body) != wantBody {
		t.Errorf("body = %s, want %s", got.Body, wantBody)
	}
}

// wireType is the letter of a value in an AMQP table.
func wireType(v any) string {
	switch v.(type) {
	case nil:
		return "V"
	case string:
		return "S"
	case bool:
		return "t"
	case int32:
		return "I"
	case []any:
		return "A"
	}
	return "?"
}

func TestMessagesOfVisitsAndPaddingAreJSON(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]order.Order{"visit": {Work: order.Visit}, "padded": {Body: 1000}, "delayed": {Delay: 60}} {
		m, err := message.New(o, "replies").Publishing(3)
		if err != nil {
			t.Fatal(err)
		}
		var body []any
		if err := json.Unmarshal(m.Body, &body); err != nil || len(body) != 3 || m.ReplyTo != "replies" {
			t.Errorf("%s: body %s, reply to %s: %v", name, m.Body, m.ReplyTo, err)
		}
		if len(m.Body) < o.Body {
			t.Errorf("%s: %d bytes, want more than %d", name, len(m.Body), o.Body)
		}
		if _, eta := m.Headers["eta"].(string); eta != (o.Delay > 0) {
			t.Errorf("%s: eta = %v", name, m.Headers["eta"])
		}
		if err := m.Headers.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
