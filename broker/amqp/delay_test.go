package amqp_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// When the server comes back, what has expired meanwhile goes on before the destination has a leader again.
func TestMessagesWhoseTimeComesDuringAnOutageAreNotLost(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	b := open(t, config(t, server.URL))
	queues := []string{declared(t, b, broker.Queue{Type: broker.Quorum}), declared(t, b, broker.Queue{})}
	const messages, delay = 20, time.Second
	for n := range messages {
		for _, queue := range queues {
			err := b.PublishDelayed(timeout(t, patience), broker.Address{RoutingKey: queue}, broker.Message{Body: fmt.Append(nil, n)}, delay)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	// RabbitMQ 3.10 notes new quorum queues a few seconds late, and a killed one would begin them anew, empty
	server.Eval(`[dets:sync(Table) || Table <- dets:all()]`)
	sent := time.Now()
	server.Kill()
	eventually(t, "their time comes", func() bool { return time.Since(sent) > delay })
	server.Start()
	for _, queue := range queues {
		c := consume(t, b, messages, queue)
		got := map[string]bool{}
		for len(got) < messages {
			d := next(t, c)
			got[string(d.Body)] = true
			ack(t, d)
		}
	}
}

// delay parks n messages, whose bodies are numbers.
func delay(t testing.TB, b *amqp.Broker, to broker.Address, n int, delay time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			msg := broker.Message{Body: fmt.Append(nil, i), Headers: broker.Table{"n": int32(i)}}
			if err := b.PublishDelayed(timeout(t, patience), to, msg, delay); err != nil {
				t.Errorf("publish delayed: %v", err)
			}
		})
	}
	wg.Wait()
}

// take makes sure that n different messages come from the queue.
func take(t testing.TB, b *amqp.Broker, queue string, n int) {
	t.Helper()
	c := consume(t, b, n, queue)
	for got := map[string]bool{}; len(got) < n; {
		d := next(t, c)
		got[string(d.Body)] = true
		if _, ours := d.Headers["x-taskq-due"]; ours || d.Headers["n"] == nil {
			t.Errorf("headers = %v, want what was published", d.Headers)
		}
		ack(t, d)
	}
	if err := c.Close(timeout(t, patience)); err != nil {
		t.Error(err)
	}
}

func depth(t testing.TB, b *amqp.Broker, queue string) int {
	t.Helper()
	stats, err := b.Measure(timeout(t, patience), queue)
	if err != nil && !errors.Is(err, broker.ErrNoQueue) {
		t.Fatal(err)
	}
	return stats.Messages
}

func deleteQueue(t testing.TB, b *amqp.Broker, queue string) {
	t.Helper()
	if err := b.DeleteQueue(timeout(t, patience), queue); err != nil {
		t.Fatal(err)
	}
}

// RabbitMQ keeps 32 messages that no queue takes and hands over nothing else meanwhile.
const stuck = 50

func TestMessagesForADeletedQueueBlockNobodyAndComeWhenItIsBack(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQPVhost(t)))
	for _, kind := range []broker.QueueType{broker.Classic, broker.Quorum} {
		gone, other := declared(t, b, broker.Queue{Type: kind}), declared(t, b, broker.Queue{Type: kind})
		delay(t, b, broker.Address{RoutingKey: gone}, 1, time.Hour) // now it is believed to exist
		deleteQueue(t, b, gone)
		delay(t, b, broker.Address{RoutingKey: gone}, stuck, 600*time.Millisecond)
		delay(t, b, broker.Address{RoutingKey: other}, 5, 600*time.Millisecond)
		take(t, b, other, 5)
		eventually(t, "what has no queue is in the queue for lost messages", func() bool { return depth(t, b, amqp.LostQueue) == stuck })
		if err := b.Declare(timeout(t, patience), broker.Topology{Queues: []broker.Queue{{Name: gone, Type: kind}}}); err != nil {
			t.Fatal(err)
		}
		take(t, b, gone, stuck)
		if left := depth(t, b, amqp.LostQueue); left != 0 {
			t.Errorf("%d messages are still lost", left)
		}
	}
}

func TestAQueueThatIsMadeAnewGetsWhatIsParked(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	b, other := open(t, config(t, url)), open(t, config(t, url))
	queue := declared(t, b, broker.Queue{})
	delay(t, b, broker.Address{RoutingKey: queue}, 1, time.Hour) // now it is believed to exist
	deleteQueue(t, b, queue)
	delay(t, b, broker.Address{RoutingKey: queue}, stuck, 5*time.Second)
	if err := other.Declare(timeout(t, patience), broker.Topology{Queues: []broker.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	take(t, b, queue, stuck)
	if lost := depth(t, b, amqp.LostQueue); lost != 0 {
		t.Errorf("%d messages were lost meanwhile", lost)
	}
}

// routed declares an exchange with a queue that takes what has the key a.b, and the header n.
func routed(t testing.TB, b *amqp.Broker, kind broker.ExchangeKind) (name, queue string) {
	t.Helper()
	queue = declared(t, b, broker.Queue{})
	name = "taskq.test." + rand.Text()
	err := b.Declare(timeout(t, patience), broker.Topology{
		Exchanges: []broker.Exchange{{Name: name, Kind: kind}},
		Bindings:  []broker.Binding{{Exchange: name, Queue: queue, Key: "a.b", Arguments: broker.Table{"n": nil}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return name, queue
}

func TestMessagesThatAnExchangeRoutesNowhereBlockNobody(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQPVhost(t)))
	name, queue := routed(t, b, broker.Topic)
	delay(t, b, broker.Address{Exchange: name, RoutingKey: "no.b"}, stuck, 600*time.Millisecond)
	delay(t, b, broker.Address{Exchange: name, RoutingKey: "a.b"}, 5, 600*time.Millisecond)
	take(t, b, queue, 5)
	for _, kept := range []string{amqp.LostQueue, "taskq.delay.taken"} {
		if n := depth(t, b, kept); n != 0 {
			t.Errorf("%s keeps %d messages, want none", kept, n)
		}
	}
}

func TestMessagesForADeletedExchangeComeWhenItIsBack(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	b := open(t, config(t, server.URL))
	name, queue := routed(t, b, broker.Topic)
	to := broker.Address{Exchange: name, RoutingKey: "a.b"}
	delay(t, b, to, 1, time.Hour) // now it is believed to exist
	server.Eval(fmt.Sprintf(`rabbit_exchange:delete(rabbit_misc:r(<<"/">>, exchange, <<%q>>), false, <<"test">>)`, name))
	delay(t, b, to, stuck, 600*time.Millisecond)
	eventually(t, "what has no exchange is in the queue for lost messages", func() bool { return depth(t, b, amqp.LostQueue) == stuck })
	err := b.Declare(timeout(t, patience), broker.Topology{
		Exchanges: []broker.Exchange{{Name: name, Kind: broker.Topic}},
		Bindings:  []broker.Binding{{Exchange: name, Queue: queue, Key: "a.b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	delay(t, open(t, config(t, server.URL)), to, 1, 100*time.Millisecond) // whoever delays for it next binds it again
	take(t, b, queue, stuck)
}

// Brokers before RabbitMQ 4 drop a message without a word that comes to a queue for the second time with the mark of the first.
func TestAMessageMayBeDelayedTenTimes(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	own := open(t, config(t, url))
	cfg := config(t, url)
	cfg.Delays = amqp.DelaysCelery
	celery := open(t, cfg)
	toQueue := declared(t, own, broker.Queue{})
	ours, throughOurs := routed(t, own, broker.Topic)
	theirs, throughTheirs := routed(t, celery, broker.Topic)
	for name, c := range map[string]struct {
		b     *amqp.Broker
		to    broker.Address
		queue string
		delay time.Duration
	}{
		"to a queue":                      {own, broker.Address{RoutingKey: toQueue}, toQueue, 100 * time.Millisecond},
		"through an exchange":             {own, broker.Address{Exchange: ours, RoutingKey: "a.b"}, throughOurs, 100 * time.Millisecond},
		"through Celery's delayed queues": {celery, broker.Address{Exchange: theirs, RoutingKey: "a.b"}, throughTheirs, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			msg := broker.Message{Headers: broker.Table{"n": int32(0)}}
			consumer := consume(t, c.b, 1, c.queue)
			for range 10 {
				if err := c.b.PublishDelayed(timeout(t, patience), c.to, msg, c.delay); err != nil {
					t.Fatal(err)
				}
				d := next(t, consumer)
				if d.Headers["x-death"] == nil {
					t.Error("it does not bear the mark of the delay queue")
				}
				msg = d.Message // with all that RabbitMQ has added
				ack(t, d)
			}
		})
	}
}

func TestNothingParkedIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	b := open(t, config(t, server.URL))
	queues := map[string]broker.Address{}
	for _, kind := range []broker.QueueType{broker.Classic, broker.Quorum} {
		queue := declared(t, b, broker.Queue{Type: kind})
		queues[queue] = broker.Address{RoutingKey: queue}
	}
	for _, kind := range []broker.ExchangeKind{broker.Topic, broker.Direct, broker.Fanout, broker.Headers} {
		name, queue := routed(t, b, kind)
		queues[queue] = broker.Address{Exchange: name, RoutingKey: "a.b"}
	}
	const all, wait = 2000, 15 * time.Second // longer than it takes to start again, mostly
	for _, to := range queues {
		delay(t, b, to, all/len(queues), wait)
	}
	server.Eval(`[dets:sync(Table) || Table <- dets:all()]`) // as above
	server.Restart()
	for queue := range queues {
		take(t, b, queue, all/len(queues))
	}
}

func TestUnparkLosesNothingWhenTheConnectionIsCut(t *testing.T) {
	t.Parallel()
	url := testserver.AMQPVhost(t)
	b := open(t, config(t, url))
	proxy := testserver.StartProxy(t, url)
	far := open(t, config(t, proxy.URL))
	queue := declared(t, b, broker.Queue{})
	const messages = 300
	delay(t, b, broker.Address{RoutingKey: queue}, messages, 10*time.Second)
	seen := 0
	removed, err := far.Unpark(timeout(t, patience), func(broker.Parked) bool {
		if seen++; seen == messages/2 {
			proxy.Cut()
		}
		return seen%3 == 0
	})
	if !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("unpark over a cut connection = %d, %v, want ErrUnavailable", removed, err)
	}
	left := map[string]bool{}
	eventually(t, "the broker has taken back what was looked at", func() bool {
		clear(left)
		err := b.Parked(timeout(t, patience), func(p broker.Parked) bool {
			left[string(p.Body)] = true
			return true
		})
		return err == nil && len(left) >= messages-removed
	})
	take(t, b, queue, len(left))
	if rest := depth(t, b, queue); rest != 0 {
		t.Errorf("%d more messages came than were parked", rest)
	}
}

// These are more acknowledgements than RabbitMQ's channel sends on at once.
func TestUnparkFindsEachAmongThousands(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQPVhost(t)))
	queue := declared(t, b, broker.Queue{})
	const messages = 3000
	delay(t, b, broker.Address{RoutingKey: queue}, messages, time.Hour)
	order := func() (bodies []string) {
		err := b.Parked(timeout(t, patience), func(p broker.Parked) bool {
			bodies = append(bodies, string(p.Body))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return bodies
	}
	var want []string
	unwanted := func(body string) bool { return body[len(body)-1] < '3' }
	for _, body := range order() {
		if !unwanted(body) {
			want = append(want, body)
		}
	}
	n, err := b.Unpark(timeout(t, patience), func(p broker.Parked) bool { return unwanted(string(p.Body)) })
	if err != nil || n != messages-len(want) {
		t.Errorf("%d were unparked, %v, want %d", n, err, messages-len(want))
	}
	if got := order(); !slices.Equal(got, want) {
		t.Errorf("%d are left, want the other %d in the order of before", len(got), len(want))
	}
	if n, err := b.Unpark(timeout(t, patience), func(broker.Parked) bool { return true }); err != nil || n != len(want) || len(order()) != 0 {
		t.Errorf("%d were unparked, %v, want all", n, err)
	}
}

func TestTheConsumerOfHigherPriorityGetsTheMessagesWhileItTakesThem(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, b, broker.Queue{})
	low := consume(t, b, 10, queue)
	high, err := b.Consume(timeout(t, patience), broker.ConsumeConfig{Queues: []string{queue}, Prefetch: 3, Priority: 7})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		publish(t, b, queue, fmt.Sprint(n))
	}
	var held []*broker.Delivery
	for n := range 3 {
		d := next(t, high)
		if string(d.Body) != fmt.Sprint(n) {
			t.Errorf("the higher consumer got %q, want %d", d.Body, n)
		}
		held = append(held, d)
	}
	if d := next(t, low); string(d.Body) != "3" { // the higher one holds as much as it takes
		t.Errorf("the lower consumer got %q, want 3", d.Body)
	}
	ack(t, held[0])
	eventually(t, "the place is free again", func() bool { return b.Stats().Acks > 0 })
	publish(t, b, queue, "4")
	if d := next(t, high); string(d.Body) != "4" {
		t.Errorf("the higher consumer got %q, want 4", d.Body)
	}
}
