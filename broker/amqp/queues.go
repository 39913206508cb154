package amqp

import (
	"context"
	"errors"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// Purge implements broker.Purger.
func (b *Broker) Purge(ctx context.Context, queue string) (int, error) {
	return ask(ctx, b, "purge", queue, func(ch *amqp091.Channel) (int, error) { return ch.QueuePurge(queue, false) })
}

// DeleteQueue implements broker.Deleter.
func (b *Broker) DeleteQueue(ctx context.Context, queue string) error {
	b.topology.forget(queue)
	_, err := ask(ctx, b, "delete", queue, func(ch *amqp091.Channel) (int, error) {
		return ch.QueueDelete(queue, false, false, false)
	})
	if errors.Is(err, broker.ErrNoQueue) {
		return nil
	}
	return err
}

// Measure implements broker.Measurer.
func (b *Broker) Measure(ctx context.Context, queue string) (broker.QueueStats, error) {
	q, err := ask(ctx, b, "measure", queue, func(ch *amqp091.Channel) (amqp091.Queue, error) {
		return ch.QueueDeclarePassive(queue, false, false, false, false, nil) // properties do not count when passive
	})
	return broker.QueueStats{Messages: q.Messages, Consumers: q.Consumers}, err
}

// ask makes one request about a queue.
func ask[T any](ctx context.Context, b *Broker, doing, queue string, do func(*amqp091.Channel) (T, error)) (T, error) {
	var none T
	if err := checkName("queue name", queue); err != nil {
		return none, err
	}
	link := b.requests()
	if b.topology.queue(queue).Exclusive {
		link = b.consuming
	}
	answer := make(chan T, sessionTries) // the request may outlive its caller, so it shares no variable with it
	err := b.request(ctx, link, func(ch *amqp091.Channel) error {
		value, err := do(ch)
		if err != nil {
			return missingOrRefused(err)
		}
		answer <- value
		return nil
	})
	if err != nil {
		return none, fmt.Errorf("amqp: %s queue %q: %w", doing, queue, err)
	}
	return <-answer, nil
}
