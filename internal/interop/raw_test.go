package interop_test

import (
	"errors"
	"testing"

	"github.com/rabbitmq/amqp091-go"
)

// channel is a channel of a plain AMQP client, which may send what broker/amqp refuses.
func channel(t *testing.T, url string) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal("dial: ", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil && !errors.Is(err, amqp091.ErrClosed) {
			t.Error(err)
		}
	})
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// declareQueue declares a queue as Celery does.
func declareQueue(t *testing.T, ch *amqp091.Channel, name string) {
	t.Helper()
	err := ch.ExchangeDeclare(name, "direct", true, false, false, false, nil)
	if err == nil {
		_, err = ch.QueueDeclare(name, true, false, false, false, nil)
	}
	if err == nil {
		err = ch.QueueBind(name, name, name, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func publishRaw(t *testing.T, ch *amqp091.Channel, queue string, p amqp091.Publishing) {
	t.Helper()
	if err := ch.PublishWithContext(t.Context(), "", queue, false, false, p); err != nil {
		t.Fatal(err)
	}
}

func consumeRaw(t *testing.T, ch *amqp091.Channel, queue string) <-chan amqp091.Delivery {
	t.Helper()
	deliveries, err := ch.Consume(queue, queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return deliveries
}
