package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestManyAcksBecomeFewAndNoneCoversWhatIsUnfinished(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, b, broker.Queue{})
	const messages = 400
	for n := range messages {
		publish(t, b, queue, fmt.Sprint(n))
	}
	c := consume(t, b, 200, queue)
	var unfinished *broker.Delivery
	for n := range messages {
		d := next(t, c)
		if n == messages/2 {
			unfinished = d
			continue
		}
		ack(t, d)
	}
	if err := c.Close(timeout(t, patience)); err != nil {
		t.Fatal(err)
	}
	stats := b.Stats()
	if stats.Acked != messages-1 || stats.Acks >= stats.Acked {
		t.Errorf("%d acknowledgements were written for %d deliveries, want fewer for %d", stats.Acks, stats.Acked, messages-1)
	}
	d := next(t, consume(t, b, 2, queue))
	if string(d.Body) != string(unfinished.Body) {
		t.Errorf("left in the queue: %q, want the unfinished %q", d.Body, unfinished.Body)
	}
	ack(t, d)
	if left, err := b.Measure(t.Context(), queue); err != nil || left.Messages != 0 {
		t.Errorf("%d more messages are left, %v", left.Messages, err)
	}
}

func TestAnAckNowIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, b, broker.Queue{})
	publish(t, b, queue, "only")
	c := consume(t, b, 100, queue) // an ordinary acknowledgement would wait for others
	if err := next(t, c).Settle(t.Context(), broker.AckNow); err != nil {
		t.Fatal(err)
	}
	if acks := b.Stats().Acks; acks != 1 {
		t.Errorf("%d acknowledgements were written when Settle returned, want 1", acks)
	}
}

func TestLoneAckIsWrittenSoon(t *testing.T) {
	t.Parallel()
	b, other := open(t, config(t, testserver.AMQP(t))), open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, b, broker.Queue{})
	publish(t, b, queue, "only")
	c := consume(t, b, 100, queue) // far from full: nothing but time gets it written
	ack(t, next(t, c))
	eventually(t, "the acknowledgement reaches the broker", func() bool { return b.Stats().Acks == 1 })
	if err := c.Close(timeout(t, patience)); err != nil {
		t.Fatal(err)
	}
	if left, err := other.Measure(t.Context(), queue); err != nil || left.Messages != 0 {
		t.Errorf("%d messages are left, %v", left.Messages, err)
	}
}

// A delivery that outlives the broker's delivery timeout costs its channel. The deliveries that came after it must not go with it.
func TestLongDeliveryTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	server.Eval(`application:set_env(rabbit, consumer_timeout, 2000), application:set_env(rabbit, channel_tick_interval, 100)`)
	cfg := config(t, server.URL)
	cfg.DeliveryTimeout = 2 * time.Second
	b := open(t, cfg)
	queue, second := declared(t, b, broker.Queue{}), declared(t, b, broker.Queue{})
	publish(t, b, queue, "long")
	c := consume(t, b, 4, queue)
	long := next(t, c)
	elsewhere := consume(t, b, 1, second)
	eventually(t, "the long delivery is left on a channel of its own", func() bool { return b.Stats().Apart > 0 })
	for held := (*broker.Delivery)(nil); ; {
		publish(t, b, queue, "short")
		publish(t, b, second, "of another queue")
		d, other := next(t, c), next(t, elsewhere)
		ack(t, other)
		if held != nil {
			ack(t, held) // fails when the channel has gone
		}
		if string(d.Body) == "long" {
			if !d.Redelivered {
				t.Error("the long delivery came again without saying so")
			}
			ack(t, d)
			ack(t, next(t, c))
			break
		}
		held = d
	}
	if err := long.Settle(t.Context(), broker.Ack); !errors.Is(err, broker.ErrStale) {
		t.Errorf("ack of the delivery that was taken back = %v, want %v", err, broker.ErrStale)
	}
	if lost := b.Stats().Lost; lost != 0 {
		t.Errorf("%d connections were lost, want none", lost)
	}
}

func TestDeliveriesThatNobodyTakesGoBack(t *testing.T) {
	t.Parallel()
	cfg := config(t, testserver.AMQP(t))
	cfg.DeliveryTimeout = 400 * time.Millisecond
	b, other := open(t, cfg), open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, b, broker.Queue{})
	publish(t, b, queue, "hoarded")
	consume(t, b, 10, queue) // and nobody calls Next
	eventually(t, "it was sent to the consumer", func() bool {
		stats, err := other.Measure(t.Context(), queue)
		return err == nil && stats.Messages == 0
	})
	d := next(t, consume(t, other, 1, queue))
	if string(d.Body) != "hoarded" {
		t.Errorf("body = %q, want hoarded", d.Body)
	}
	ack(t, d)
}

func TestConsumerThatTheBrokerForgotIsReplaced(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	cfg := config(t, server.URL)
	cfg.WatchInterval = 100 * time.Millisecond
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	publish(t, b, queue, "before")
	ack(t, next(t, c))
	// the queue drops its consumer without a word to the channel
	server.Eval(fmt.Sprintf(`begin {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"%s">>)),
		[{Ch, Tag} | _] = [{element(1, C), element(2, C)} || C <- rabbit_amqqueue:consumers(Q)],
		gen_server2:call(amqqueue:get_pid(Q), {basic_cancel, Ch, Tag, undefined, <<"test">>}, infinity) end`, queue))
	publish(t, b, queue, "after")
	d := next(t, c)
	if string(d.Body) != "after" {
		t.Errorf("body = %q, want after", d.Body)
	}
	ack(t, d)
	if b.Stats().Silent != 1 {
		t.Errorf("stats = %+v, want one silent consumer", b.Stats())
	}
}

func TestARedeliveryToAConsumerThatStartsAfterALossIsMarked(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	b := open(t, config(t, proxy.URL))
	queue := declared(t, b, broker.Queue{})
	publish(t, b, queue, "x")
	first := consume(t, b, 1, queue)
	next(t, first)
	proxy.Cut()
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message is back", func() bool {
		stats, err := b.Measure(t.Context(), queue)
		return err == nil && stats.Messages == 1
	})
	if d := next(t, consume(t, b, 1, queue)); !d.Redelivered || !d.Recovered {
		t.Errorf("redelivered %v, recovered %v; want both", d.Redelivered, d.Recovered)
	}
}

// While the deliveries of a lost connection are still worked on, the broker must not send as many again: they would wait here.
func TestStaleDeliveriesKeepTheirPlacesUntilTheyAreSettled(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	b, other := open(t, config(t, proxy.URL)), open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, other, broker.Queue{})
	for n := range 10 {
		publish(t, other, queue, fmt.Sprint(n))
	}
	c := consume(t, b, 4, queue)
	old := []*broker.Delivery{next(t, c), next(t, c), next(t, c), next(t, c)}
	proxy.Cut()
	ready := func(n int) func() bool {
		return func() bool {
			stats, err := other.Measure(t.Context(), queue)
			return err == nil && stats.Consumers == 1 && stats.Messages <= n
		}
	}
	eventually(t, "the next connection consumes", ready(9))
	if stats, err := other.Measure(t.Context(), queue); err != nil || stats.Messages != 9 {
		t.Errorf("%d messages wait while all places are taken, %v, want 9", stats.Messages, err)
	}
	if d, err := c.Next(timeout(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("next while all places are taken = %v, %v", d, err)
	}
	for _, d := range old {
		if err := d.Settle(t.Context(), broker.Ack); !errors.Is(err, broker.ErrStale) {
			t.Errorf("ack of a stale delivery = %v", err)
		}
	}
	eventually(t, "more are sent once the places are free", ready(6))
	for range 10 {
		d := next(t, c)
		if d.Redelivered != d.Recovered {
			t.Errorf("delivery %q: redelivered %v, recovered %v", d.Body, d.Redelivered, d.Recovered)
		}
		ack(t, d)
	}
	if got := b.Stats().Stale; got != 4 {
		t.Errorf("%d stale deliveries were counted, want 4", got)
	}
}
