package amqp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestWhatWouldEndTheConnectionIsRefusedBeforeTheWire(t *testing.T) {
	t.Parallel()
	cfg := config(t, testserver.AMQP(t))
	cfg.MaxBody = 1000
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	long := strings.Repeat(secret, 50)
	deep := broker.Table{}
	for range 40 {
		deep = broker.Table{"k": deep}
	}
	wide := broker.Table{}
	for n := range 8193 {
		wide[fmt.Sprint(n)] = nil
	}
	for field, msg := range map[string]broker.Message{
		"content type":     {ContentType: long},
		"content encoding": {ContentEncoding: long},
		"correlation id":   {CorrelationID: long},
		"reply to":         {ReplyTo: long},
		"message id":       {MessageID: long},
		"type":             {Type: long},
		"app id":           {AppID: long},
		`header "in" name`: {Headers: broker.Table{"in": []any{broker.Table{long: nil}}}},
		"headers":          {Headers: broker.Table{"large": strings.Repeat(secret, 22000)}},
		`header "number"`:  {Headers: broker.Table{"number": 1}},
		`header "nan"`:     {Headers: broker.Table{"nan": math.NaN()}}, // RabbitMQ 3.10 fails on it: 541, connection closed
		`header "inf"`:     {Headers: broker.Table{"inf": math.Inf(-1)}},
		`header "k"`:       {Headers: deep},
		"header":           {Headers: wide},
		`header "never"`:   {Headers: broker.Table{"never": time.Time{}}}, // Python's client fails on it
		"timestamp":        {Timestamp: time.Unix(-1, 0)},
		"body":             {Body: make([]byte, 1001)},
		"expiration":       {Expiration: 11 * 365 * 24 * time.Hour},
	} {
		err := b.Publish(t.Context(), broker.Address{RoutingKey: queue}, msg)
		if !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: publish = %v, want ErrInvalid that names the field", field, err)
		} else if len(err.Error()) > 500 || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error holds the value: %.100s…", field, err)
		}
	}
	largest := broker.Table{"large": strings.Repeat("x", 130_900)}
	if err := b.Publish(t.Context(), broker.Address{RoutingKey: queue}, broker.Message{Headers: largest}); err != nil {
		t.Errorf("publish headers that just fit: %v", err)
	}
}

func TestCallersTablesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQP(t)))
	arguments := broker.Table{"x-max-length": int32(10)}
	queue := declared(t, b, broker.Queue{Arguments: arguments, Type: broker.Classic})
	headers := broker.Table{"x-death": []any{broker.Table{"count": int64(1)}}, "id": "1"}
	before := maps.Clone(headers)
	err := b.Publish(t.Context(), broker.Address{RoutingKey: queue}, broker.Message{Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	if len(headers) != len(before) || len(arguments) != 1 {
		t.Errorf("headers = %v, queue arguments = %v, want %v and one", headers, arguments, before)
	}
	d := next(t, consume(t, b, 1, queue))
	if _, ok := d.Headers["x-death"]; ok {
		t.Error("the broker's own header was published again")
	}
}

func TestEachReturnFindsItsMessage(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, b, broker.Queue{})
	// An exchange that routes by header, so that messages which differ in nothing else have different outcomes.
	exchange := broker.Exchange{Name: "taskq.test." + rand.Text(), Kind: "headers", AutoDelete: true}
	binding := broker.Binding{Exchange: exchange.Name, Queue: queue, Arguments: broker.Table{"x-match": "all", "taken": true}}
	err := b.Declare(t.Context(), broker.Topology{Exchanges: []broker.Exchange{exchange}, Bindings: []broker.Binding{binding}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 400 {
		wg.Go(func() {
			msg, want := broker.Message{Headers: broker.Table{"taken": true}}, error(nil)
			if n%3 == 0 {
				msg.Headers["taken"], want = false, broker.ErrUnroutable
			}
			if err := b.Publish(timeout(t, patience), broker.Address{Exchange: exchange.Name}, msg); !errors.Is(err, want) {
				t.Errorf("publish %d = %v, want %v", n, err, want)
			}
		})
	}
	wg.Wait()
	if stats, err := b.Measure(t.Context(), queue); err != nil || stats.Messages != 266 {
		t.Errorf("queue holds %d messages, %v, want 266", stats.Messages, err)
	}
}

func TestMissingExchangeDoesNotDisturbOthers(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQP(t)))
	name := "taskq.test." + rand.Text()
	topology := broker.TaskQueue(broker.Queue{Name: declared(t, b, broker.Queue{})})
	topology.Exchanges[0].Name, topology.Exchanges[0].AutoDelete, topology.Bindings[0].Exchange = name, true, name
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 60 {
		wg.Go(func() {
			to, want := broker.Address{Exchange: name, RoutingKey: topology.Bindings[0].Key}, error(nil)
			if n%20 == 0 {
				to.Exchange, want = name+".missing", broker.ErrUnroutable
			}
			if err := b.Publish(timeout(t, patience), to, broker.Message{Body: fmt.Append(nil, n)}); !errors.Is(err, want) {
				t.Errorf("publish to %s = %v, want %v", to.Exchange, err, want)
			}
		})
	}
	wg.Wait()
}

func TestQueueThatRejectsPublishesIsRefused(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, b, broker.Queue{Arguments: broker.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"}})
	publish(t, b, queue, "fits")
	err := b.Publish(t.Context(), broker.Address{RoutingKey: queue}, broker.Message{})
	if !errors.Is(err, broker.ErrRefused) {
		t.Errorf("publish to a full queue = %v, want %v", err, broker.ErrRefused)
	}
}

func TestDelayedMessageNeedsItsQueue(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQP(t)))
	to := broker.Address{RoutingKey: "taskq.test.nowhere"}
	if err := b.PublishDelayed(t.Context(), to, broker.Message{}, time.Second); !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("delay for a missing queue = %v, want %v", err, broker.ErrUnroutable)
	}
	to.Exchange = "taskq.test.nowhere"
	err := b.PublishDelayed(t.Context(), to, broker.Message{}, time.Second)
	if !errors.Is(err, broker.ErrUnroutable) || !strings.Contains(err.Error(), `exchange "taskq.test.nowhere", which does not exist`) {
		t.Errorf("delay for a missing exchange = %v, want %v", err, broker.ErrUnroutable)
	}
}

func TestDeletedDelayQueueIsDeclaredAgain(t *testing.T) {
	t.Parallel()
	server := testserver.AMQP(t)
	b, other := open(t, config(t, server)), open(t, config(t, server))
	queue := declared(t, b, broker.Queue{})
	c := consume(t, b, 1, queue)
	const delay = 400 * time.Millisecond // a delay queue that no other test uses
	for range 2 {
		err := b.PublishDelayed(t.Context(), broker.Address{RoutingKey: queue}, broker.Message{Expiration: time.Millisecond}, delay)
		if err != nil {
			t.Fatalf("publish delayed: %v", err)
		}
		ack(t, next(t, c))
		if err := other.DeleteQueue(t.Context(), "taskq.delay.queue.400"); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkPublishConcurrently(b *testing.B) {
	br, err := amqp.Open(b.Context(), amqp.Config{URL: testserver.AMQP(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = br.Close(b.Context()) })
	queue := declared(b, br, broker.Queue{})
	body := make([]byte, 300)
	b.SetParallelism(100)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := br.Publish(b.Context(), broker.Address{RoutingKey: queue}, broker.Message{Body: body}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkConsumeAndAck(b *testing.B) {
	br, err := amqp.Open(b.Context(), amqp.Config{URL: testserver.AMQP(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = br.Close(b.Context()) })
	queue := declared(b, br, broker.Queue{})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for range b.N/100 + 1 {
				if err := br.Publish(b.Context(), broker.Address{RoutingKey: queue}, broker.Message{Body: make([]byte, 300)}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c := consume(b, br, 100, queue)
	b.ResetTimer()
	for range b.N {
		d, err := c.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Settle(b.Context(), broker.Ack); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBatchOutlivesLostConnections(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	cfg := config(t, proxy.URL)
	cfg.ConfirmWindow = 50
	b := open(t, cfg)
	queue := declared(t, b, broker.Queue{})
	const messages = 3000
	batch := make([]broker.Posting, messages)
	for n := range batch {
		batch[n] = broker.Posting{To: broker.Address{RoutingKey: queue}, Message: broker.Message{Body: fmt.Append(nil, n)}}
	}
	done := make(chan []error, 1)
	go func() { done <- b.PublishBatch(timeout(t, patience), batch) }()
	for range 3 {
		sessions := b.Stats().Sessions
		eventually(t, "the connection is used", func() bool { return b.Stats().Sessions >= sessions })
		proxy.Cut()
		eventually(t, "a new connection", func() bool { return b.Stats().Sessions > sessions })
	}
	if errs := <-done; errs != nil {
		t.Fatalf("errors = %v", errs)
	}
	c := consume(t, open(t, config(t, testserver.AMQP(t))), 200, queue)
	got := map[string]bool{}
	for len(got) < messages { // some come twice
		d := next(t, c)
		got[string(d.Body)] = true
		ack(t, d)
	}
}

func TestFailFastDoesNotWaitForABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	b := open(t, config(t, proxy.URL))
	queue := declared(t, b, broker.Queue{})
	fast, patient := broker.Address{RoutingKey: queue, FailFast: true}, broker.Address{RoutingKey: queue}
	if err := b.Publish(t.Context(), fast, broker.Message{Body: []byte("up")}); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	eventually(t, "the loss is noticed", func() bool { return b.Probe() != nil })
	waits := make(chan error, 1)
	go func() {
		waits <- b.Publish(timeout(t, patience), patient, broker.Message{Body: []byte("patient")})
	}()
	for range 20 {
		err := b.Publish(t.Context(), fast, broker.Message{Body: []byte("lost")}) // the context has no deadline
		if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUnconfirmed) {
			t.Fatalf("publish = %v, want ErrUnavailable and no doubt about the outcome", err)
		}
		if err := b.PublishDelayed(t.Context(), fast, broker.Message{}, time.Second); !errors.Is(err, broker.ErrUnavailable) {
			t.Fatalf("delayed publish = %v, want ErrUnavailable", err)
		}
	}
	proxy.Resume()
	if err := <-waits; err != nil {
		t.Errorf("publish that waited: %v", err)
	}
	if err := b.Publish(t.Context(), fast, broker.Message{Body: []byte("up again")}); err != nil {
		t.Errorf("publish after the outage: %v", err)
	}
}

func TestUnansweredMessageIsReportedAsUnconfirmed(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	b := open(t, config(t, proxy.URL))
	queue := declared(t, b, broker.Queue{})
	publish(t, b, queue, "answered")
	proxy.Stall()
	err := b.Publish(timeout(t, 50*time.Millisecond), broker.Address{RoutingKey: queue}, broker.Message{})
	if !errors.Is(err, broker.ErrUnconfirmed) || !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publish without an answer = %v, want ErrUnavailable, ErrUnconfirmed and the context's error", err)
	}
	fast := make(chan error, 1)
	go func() {
		fast <- b.Publish(t.Context(), broker.Address{RoutingKey: queue, FailFast: true}, broker.Message{})
	}()
	eventually(t, "the message is on its way", func() bool { return b.Probe() == nil })
	proxy.Cut()
	if err := <-fast; err != nil && !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("publish whose connection was lost = %v, want ErrUnavailable", err)
	}
	proxy.Resume()
	publish(t, b, queue, "after")
}

func TestAMessageMayWaitForTenYears(t *testing.T) {
	t.Parallel()
	b := open(t, config(t, testserver.AMQP(t)))
	to := broker.Address{RoutingKey: declared(t, b, broker.Queue{})}
	const tenYears = 3650 * 24 * time.Hour
	if err := b.Publish(t.Context(), to, broker.Message{Expiration: tenYears}); err != nil {
		t.Errorf("ten years: %v", err)
	}
	if err := b.Publish(t.Context(), to, broker.Message{Expiration: tenYears + time.Millisecond}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("more: %v, want ErrInvalid", err)
	}
}
