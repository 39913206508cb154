package amqp_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestDeletedQueueIsNotDeclaredAgainByAPassiveConsumer(t *testing.T) {
	t.Parallel()
	log := newJournal(t)
	cfg := config(t, testserver.AMQP(t))
	cfg.Declare, cfg.Logger = broker.DeclarePassive, log.logger()
	passive, other := open(t, cfg), open(t, config(t, testserver.AMQP(t)))
	queue := declared(t, other, broker.Queue{MaxPriority: 3})
	topology := broker.TaskQueue(broker.Queue{Name: queue})
	if err := passive.Declare(t.Context(), topology.In(broker.DeclarePassive)); err != nil {
		t.Fatal(err)
	}
	c := consume(t, passive, 1, queue)
	publish(t, other, queue, "first")
	ack(t, next(t, c))
	if err := other.DeleteQueue(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	log.await(3, "Consumer of queue lost") // when it was deleted, and with each attempt since
	if _, err := other.Measure(t.Context(), queue); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("measure = %v, want %v", err, broker.ErrNoQueue)
	}
	if err := other.Declare(t.Context(), broker.Topology{Queues: []broker.Queue{{Name: queue}}}); err != nil {
		t.Fatal(err)
	}
	publish(t, other, queue, "again")
	d := next(t, c)
	if string(d.Body) != "again" {
		t.Errorf("body = %q, want again", d.Body)
	}
	ack(t, d)
}

func TestPassiveBrokerStillDeclaresItsOwnQueues(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, testserver.AMQP(t))
	cfg := config(t, proxy.URL)
	cfg.Declare = broker.DeclareNever
	b := open(t, cfg)
	replies := declared(t, b, broker.Queue{Exclusive: true, AutoDelete: true})
	c, err := b.Consume(t.Context(), broker.ConsumeConfig{Queues: []string{replies}, Prefetch: 1, AutoAck: true})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	// what is published before the server has noticed the loss goes with the old queue
	eventually(t, "the queue is consumed again", func() bool { return b.Stats().Streams == 2 })
	other := open(t, config(t, testserver.AMQP(t)))
	for ctx := timeout(t, patience); ; {
		err := other.Publish(ctx, broker.Address{RoutingKey: replies}, broker.Message{Body: []byte("reply")})
		if err == nil {
			break
		}
		if !errors.Is(err, broker.ErrUnroutable) || errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("publish: %v", err)
		}
	}
	if d := next(t, c); string(d.Body) != "reply" {
		t.Errorf("body = %q, want reply", d.Body)
	}
}
