package deadletter_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/deadletter"
)

func delivery() *broker.Delivery {
	d := broker.NewDelivery(broker.Message{
		ContentType: "application/json", CorrelationID: "c", ReplyTo: "r", Priority: 3, Expiration: time.Minute, Body: []byte("[[], {}, {}]"),
		Headers: broker.Table{
			"id": "1", "task": "tasks.add", "tenant": "acme", "retries": int64(2),
			"x-death": []any{broker.Table{"reason": "rejected"}}, "x-delivery-count": int64(4), "x-taskq-deliveries": int32(2), "x-taskq-queue": "old",
		},
	}, nil)
	d.Queue, d.Exchange, d.RoutingKey = "celery", "web", "visits"
	return d
}

func sample() deadletter.Letter {
	return deadletter.Letter{
		Reason: deadletter.Failed, Error: "boom", Worker: "w1@box", At: time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC), Deliveries: 3,
		Origin: deadletter.Origin{Queue: "celery", Exchange: "web", RoutingKey: "visits"},
	}
}

// arrived is the message as it comes out of the queue of dead letters.
func arrived(msg broker.Message) *broker.Delivery {
	d := broker.NewDelivery(msg, nil)
	d.Queue, d.RoutingKey = "celery.dead", "celery.dead"
	return d
}

func TestALetterIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	d := delivery()
	msg := sample().Write(d)
	if diff := cmp.Diff(sample(), deadletter.Read(arrived(msg))); diff != "" {
		t.Error(diff)
	}
	if msg.Headers["tenant"] != "acme" || msg.Headers["x-death"] != nil || msg.Headers["x-delivery-count"] != nil || msg.Expiration != 0 {
		t.Errorf("message = %+v, want its own headers, none of the broker's, and no expiration", msg)
	}
	if d.Headers["x-taskq-queue"] != "old" || d.Expiration == 0 {
		t.Error("the delivery was changed")
	}
}

func TestARevivedMessageIsTheOriginal(t *testing.T) {
	t.Parallel()
	msg := deadletter.Revive(arrived(sample().Write(delivery())))
	want := delivery().Message
	want.Expiration = 0
	want.Headers = broker.Table{"id": "1", "task": "tasks.add", "tenant": "acme", "retries": int32(2)}
	if diff := cmp.Diff(want, msg); diff != "" {
		t.Error(diff)
	}
}

func TestABareLetterKeepsTheCallAndTheReason(t *testing.T) {
	t.Parallel()
	msg := sample().WriteBare(delivery())
	if diff := cmp.Diff(sample(), deadletter.Read(arrived(msg))); diff != "" {
		t.Error(diff)
	}
	if msg.Headers["id"] != "1" || msg.Headers["task"] != "tasks.add" || msg.Headers["tenant"] != nil || string(msg.Body) != "[[], {}, {}]" {
		t.Errorf("message = %+v", msg)
	}
}

func TestErrorsAreShortValidAndFreeOfPasswords(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("访问", 1000), "bad \xff byte", strings.Repeat("\xe8", 3000)} {
		l := sample()
		l.Error = text
		got := deadletter.Read(arrived(l.Write(delivery()))).Error
		if !utf8.ValidString(got) || got == "" || len(strings.ReplaceAll(got, "\uFFFD", "?")) > 1<<10 {
			t.Errorf("%d bytes became %d: %.40q", len(text), len(got), got)
		}
	}
	l := sample()
	l.Error = `dial "postgres://me:hush@h/db": refused (password=hush)`
	if got := deadletter.Read(arrived(l.Write(delivery()))).Error; strings.Contains(got, "hush") {
		t.Errorf("error = %q", got)
	}
}

func TestTheBrokersOwnDeadLettersAreRead(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC)
	d := arrived(broker.Message{Headers: broker.Table{"x-death": []any{
		broker.Table{"reason": "expired", "queue": "celery", "exchange": "web", "routing-keys": []any{"visits"}, "time": at, "count": int64(1)},
		broker.Table{"reason": "rejected", "queue": "older"},
	}}})
	want := deadletter.Letter{Reason: "expired", At: at, Deliveries: -1, Origin: deadletter.Origin{Queue: "celery", Exchange: "web", RoutingKey: "visits"}}
	if diff := cmp.Diff(want, deadletter.Read(d)); diff != "" {
		t.Error(diff)
	}
	for _, odd := range []any{nil, "x", []any{}, []any{"x"}, []any{broker.Table{"reason": 1, "routing-keys": "x"}}} {
		if l := deadletter.Read(arrived(broker.Message{Headers: broker.Table{"x-death": odd}})); l.Reason != "unknown" {
			t.Errorf("%v gives %+v", odd, l)
		}
	}
}

func TestAStampTravelsAndALetterIsNone(t *testing.T) {
	t.Parallel()
	stamp := deadletter.Stamp{Deaths: 2, Origin: sample().Origin}
	msg := stamp.Write(delivery(), time.Now())
	got, ok := deadletter.ReadStamp(msg.Headers)
	if !ok || got != stamp {
		t.Errorf("stamp = %+v, %t; want %+v", got, ok, stamp)
	}
	if msg.Headers["tenant"] != "acme" || msg.Expiration != time.Minute {
		t.Errorf("message = %+v, want the rest as it was", msg)
	}
	for _, headers := range []broker.Table{nil, {}, {"x-taskq-deliveries": "2"}, {"x-taskq-deliveries": int32(-1)}, sample().Write(delivery()).Headers} {
		if got, ok := deadletter.ReadStamp(headers); ok {
			t.Errorf("%v is a stamp: %+v", headers, got)
		}
	}
}
