package main

import (
	"context"
	"errors"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/bench/internal/message"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
)

// sender publishes on one channel.
type sender struct {
	job     *subject.Job
	conn    *amqp091.Connection
	channel *amqp091.Channel
	writer  *message.Writer
}

func open(_ context.Context, j *subject.Job) (subject.Sender, error) {
	conn, err := amqp091.Dial(j.Broker)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &sender{job: j, conn: conn, channel: ch, writer: message.New(j.Order, "")}, nil
}

// Send implements subject.Sender. All are published before the first confirm is waited for.
func (s *sender) Send(ctx context.Context, first, end int) error {
	sent := make([]*amqp091.DeferredConfirmation, 0, end-first)
	for i := first; i < end; i++ {
		m, err := s.writer.Publishing(i)
		if err != nil {
			return err
		}
		c, err := s.channel.PublishWithDeferredConfirmWithContext(ctx, "", s.job.Queue(i), true, false, m)
		if err != nil {
			return err
		}
		sent = append(sent, c)
	}
	for _, c := range sent {
		if ok, err := c.WaitContext(ctx); err != nil || !ok {
			return errors.Join(err, errors.New("a message was not confirmed"))
		}
	}
	return nil
}

// Close implements subject.Sender.
func (s *sender) Close() error { return s.conn.Close() }
