package amqp_test

import (
	"sync"
	"sync/atomic"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

const (
	callID   = "5f0cdd5b-4c1f-4c2e-9df2-7f9d1f5b3b1c"
	callBody = `[[], {"x": 1, "y": 2}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`
)

// call is a message such as Celery sends.
func call() broker.Message {
	return broker.Message{
		ContentType: "application/json", ContentEncoding: "utf-8", CorrelationID: callID, ReplyTo: callID, Body: []byte(callBody),
		Headers: broker.Table{
			"lang": "py", "task": "tasks.add", "id": callID, "shadow": nil, "eta": nil, "expires": nil, "group": nil, "group_index": nil,
			"retries": int32(0), "timelimit": []any{nil, nil}, "root_id": callID, "parent_id": nil, "argsrepr": "()",
			"kwargsrepr": "{'x': 1, 'y': 2}", "origin": "gen1234@host.example", "ignore_result": false,
		},
	}
}

// BenchmarkSend compares with the client library alone, which encodes and does the same and nothing more.
func BenchmarkSend(b *testing.B) {
	server := testserver.AMQP(b)
	br, err := amqp.Open(b.Context(), amqp.Config{URL: server})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = br.Close(b.Context()) })
	to, msg := broker.Address{RoutingKey: declared(b, br, broker.Queue{})}, call()
	bare := newBareSender(b, server, to.RoutingKey, msg)
	b.Run("pipelined/bare", func(b *testing.B) {
		b.ReportAllocs()
		bare.pipeline(b)
	})
	b.Run("pipelined/taskq", func(b *testing.B) {
		b.ReportAllocs()
		batch := make([]broker.Posting, b.N)
		for n := range batch {
			batch[n] = broker.Posting{To: to, Message: msg}
		}
		b.ResetTimer()
		if errs := br.PublishBatch(b.Context(), batch); errs != nil {
			b.Fatal(errs)
		}
	})
	b.Run("64 wait/bare", func(b *testing.B) { inParallel(b, 64, bare.send) })
	b.Run("64 wait/taskq", func(b *testing.B) {
		inParallel(b, 64, func() error { return br.Publish(b.Context(), to, msg) })
	})
}

// inParallel runs send b.N times on some goroutines.
func inParallel(b *testing.B, goroutines int, send func() error) {
	b.Helper()
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := send(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// bareSender publishes with the client library alone.
type bareSender struct {
	ch    *amqp091.Channel
	queue string
	msg   amqp091.Publishing
}

func newBareSender(b *testing.B, server, queue string, msg broker.Message) *bareSender {
	b.Helper()
	conn, err := amqp091.Dial(server)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		b.Fatal(err)
	}
	return &bareSender{ch, queue, amqp091.Publishing{
		Headers: amqp091.Table(msg.Headers), ContentType: msg.ContentType, ContentEncoding: msg.ContentEncoding,
		DeliveryMode: amqp091.Persistent, CorrelationId: msg.CorrelationID, ReplyTo: msg.ReplyTo, Body: msg.Body,
	}}
}

func (s *bareSender) publish() (*amqp091.DeferredConfirmation, error) {
	return s.ch.PublishWithDeferredConfirm("", s.queue, false, false, s.msg)
}

func (s *bareSender) send() error {
	confirm, err := s.publish()
	if err == nil && !confirm.Wait() {
		err = broker.ErrRefused
	}
	return err
}

// pipeline publishes b.N messages, of which as many may wait for their confirm as Config.ConfirmWindow lets by default.
func (s *bareSender) pipeline(b *testing.B) {
	b.Helper()
	window := make(chan *amqp091.DeferredConfirmation, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for confirm := range window {
			confirm.Wait()
		}
	})
	for range b.N {
		confirm, err := s.publish()
		if err != nil {
			b.Error(err)
			break
		}
		window <- confirm
	}
	close(window)
	wg.Wait()
}
