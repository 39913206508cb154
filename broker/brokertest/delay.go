package brokertest

import (
	"time"

	"github.com/seed-399731e2/taskq/broker"
)

func delayClaims() []claim {
	return []claim{
		{"DelayedMessageComesNotEarly", delayNotEarly},
		{"DelayedMessagesComeInTheOrderOfTheirTimes", delayOrder},
		{"DelayedMessageOutlivesItsPublisher", delaySurvives},
		{"ZeroDelayIsNone", delayZero},
	}
}

func (f *fixture) delay(b full, queue, body string, delay time.Duration) {
	f.Helper()
	err := b.PublishDelayed(f.Context(), broker.Address{RoutingKey: queue}, broker.Message{Body: []byte(body), MessageID: body}, delay)
	f.ok(err, "publish delayed")
}

func delayNotEarly(f *fixture) {
	queue := f.queue(broker.Queue{})
	c := f.consume(f, 1, queue)
	start := time.Now()
	f.delay(f, queue, "later", delay)
	d := f.nextBody(c, "later")
	f.notEarly(start)
	if d.MessageID != "later" {
		f.Errorf("message id = %q, want later", d.MessageID)
	}
	f.settle(d, broker.Ack)
}

// delay of the claims that use one only.
const delay = 200 * time.Millisecond

func (f *fixture) notEarly(published time.Time) {
	f.Helper()
	if took := time.Since(published); took < delay {
		f.Errorf("came after %v, before its delay of %v", took, delay)
	}
}

func delayOrder(f *fixture) {
	queue := f.queue(broker.Queue{})
	c := f.consume(f, 3, queue)
	f.delay(f, queue, "third", 600*time.Millisecond)
	f.delay(f, queue, "second", 300*time.Millisecond)
	f.publish(queue, "first")
	for _, body := range []string{"first", "second", "third"} {
		f.settle(f.nextBody(c, body), broker.Ack)
	}
}

func delaySurvives(f *fixture) {
	queue := f.queue(broker.Queue{})
	other := f.open()
	start := time.Now()
	f.delay(other, queue, "survives", delay)
	f.ok(other.Close(f.Context()), "close")
	d := f.nextBody(f.consume(f, 1, queue), "survives")
	f.notEarly(start)
	f.settle(d, broker.Ack)
}

func delayZero(f *fixture) {
	queue := f.queue(broker.Queue{})
	f.delay(f, queue, "now", 0)
	f.delay(f, queue, "in the past", -time.Second)
	c := f.consume(f, 2, queue)
	f.settle(f.nextBody(c, "now"), broker.Ack)
	f.settle(f.nextBody(c, "in the past"), broker.Ack)
}
