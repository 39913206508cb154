package brokertest

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-399731e2/taskq/broker"
)

func batchClaims() []claim {
	return []claim{
		{"BatchKeepsItsOrder", batchOrder},
		{"BatchTellsWhichMessagesWereNotTaken", batchErrors},
		{"BatchAfterCloseIsRefused", batchAfterClose},
		{"BatchUnderAContextThatEndedIsRefused", batchCancelled},
		{"ProbeFindsAnOpenBroker", probeOpen},
	}
}

func batchOrder(f *fixture) {
	queue := f.queue(broker.Queue{})
	const messages = 2500 // more than a window of confirms
	batch := make([]broker.Posting, messages)
	for n := range batch {
		batch[n] = broker.Posting{To: broker.Address{RoutingKey: queue}, Message: broker.Message{Body: fmt.Append(nil, n)}}
	}
	if errs := f.PublishBatch(f.Context(), batch); errs != nil {
		f.Fatalf("errors = %v, want nil when all were taken", errs)
	}
	if errs := f.PublishBatch(f.Context(), nil); errs != nil {
		f.Errorf("errors of an empty batch = %v", errs)
	}
	c := f.consume(f, 100, queue)
	for n := range messages {
		f.settle(f.nextBody(c, fmt.Sprint(n)), broker.Ack)
	}
}

func batchErrors(f *fixture) {
	queue := f.queue(broker.Queue{})
	missing := f.name()
	errs := f.PublishBatch(f.Context(), []broker.Posting{
		{To: broker.Address{RoutingKey: queue}, Message: broker.Message{Body: []byte("first")}},
		{To: broker.Address{RoutingKey: missing}, Message: broker.Message{Body: []byte("unroutable")}},
		{To: broker.Address{RoutingKey: queue}, Message: broker.Message{MessageID: strings.Repeat("x", 256)}},
		{To: broker.Address{RoutingKey: missing, Optional: true}},
		{To: broker.Address{RoutingKey: queue}, Message: broker.Message{Body: []byte("last")}},
	})
	want := []error{nil, broker.ErrUnroutable, broker.ErrInvalid, nil, nil}
	if len(errs) != len(want) {
		f.Fatalf("errors = %v, want one for each message", errs)
	}
	for i := range want {
		f.is(errs[i], want[i], fmt.Sprintf("message %d", i))
	}
	c := f.consume(f, 2, queue)
	f.settle(f.nextBody(c, "first"), broker.Ack)
	f.settle(f.nextBody(c, "last"), broker.Ack)
	f.none(c)
}

func batchAfterClose(f *fixture) {
	queue := f.queue(broker.Queue{})
	other := f.open()
	if err := other.Close(f.Context()); err != nil {
		f.Fatalf("close: %v", err)
	}
	errs := other.PublishBatch(f.Context(), []broker.Posting{{To: broker.Address{RoutingKey: queue}}})
	if len(errs) != 1 {
		f.Fatalf("errors = %v, want one", errs)
	}
	f.is(errs[0], broker.ErrClosed, "batch after close")
	f.is(other.Probe(), broker.ErrClosed, "probe after close")
	f.waiting(queue, 0)
}

func batchCancelled(f *fixture) {
	queue := f.queue(broker.Queue{})
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	batch := []broker.Posting{{To: broker.Address{RoutingKey: queue}}, {To: broker.Address{RoutingKey: queue}}}
	errs := f.PublishBatch(ctx, batch)
	if len(errs) != len(batch) {
		f.Fatalf("errors = %v, want one for each message", errs)
	}
	for _, err := range errs {
		f.is(err, context.Canceled, "batch under a context that ended")
	}
}

func probeOpen(f *fixture) {
	if err := f.Probe(); err != nil {
		f.Errorf("probe before any use: %v", err)
	}
	queue := f.queue(broker.Queue{})
	to := broker.Address{RoutingKey: queue, FailFast: true}
	f.publishTo(to, broker.Message{Body: []byte("now")})
	if err := f.Probe(); err != nil {
		f.Errorf("probe: %v", err)
	}
	f.settle(f.nextBody(f.consume(f, 1, queue), "now"), broker.Ack)
}
