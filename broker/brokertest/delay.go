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
	type span struct{ from, to time.Time } // within which it is due, as publishing takes its time
	due := map[string]span{}
	for body, delay := range map[string]time.Duration{"third": 600 * time.Millisecond, "second": 300 * time.Millisecond, "first": 0} {
		began := time.Now()
		f.delay(f, queue, body, delay)
		due[body] = span{began.Add(delay), time.Now().Add(delay)}
	}
	var before []string
	for range len(due) {
		d := f.next(c)
		f.settle(d, broker.Ack)
		for _, earlier := range before {
			if due[string(d.Body)].to.Add(lateness).Before(due[earlier].from) {
				f.Errorf("%s came before %s", earlier, d.Body)
			}
		}
		before = append(before, string(d.Body))
	}
}

// lateness is what a broker may be late by.
const lateness = 100 * time.Millisecond

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
