package lab

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/seed-399731e2/taskq/bench/internal/message"
	"github.com/seed-399731e2/taskq/bench/internal/order"
)

const (
	fillers     = 2         // channels that fill a queue
	fillWindow  = 1000      // messages of each that are not confirmed yet, at most
	fillBytes   = 16 << 20  // of these
	replies     = "replies" // where the results of rpc:// go
	settleDelay = 20 * time.Millisecond
)

// declare declares the queues of an order.
func declare(url string, o order.Order, quorum bool) error {
	return withChannel(url, func(ch *amqp091.Channel) error {
		args := amqp091.Table{}
		if quorum {
			args["x-queue-type"] = "quorum"
		}
		for _, q := range o.Queues {
			if _, err := ch.QueueDeclare(q, true, false, false, false, args); err != nil {
				return fmt.Errorf("lab: declare %s: %w", q, err)
			}
		}
		if o.Results != "" {
			_, err := ch.QueueDeclare(replies, true, false, false, false, nil)
			return err
		}
		return nil
	})
}

func withChannel(url string, do func(*amqp091.Channel) error) error {
	conn, err := amqp091.Dial(url)
	if err != nil {
		return fmt.Errorf("lab: RabbitMQ: %w", err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("lab: RabbitMQ: %w", err)
	}
	return do(ch)
}

// fill publishes the tasks of an order, each of them confirmed.
func fill(ctx context.Context, url string, o order.Order) error {
	f := &filler{order: o, writer: message.New(o, replies)}
	group, ctx := errgroup.WithContext(ctx)
	for range fillers {
		group.Go(func() error {
			return withChannel(url, func(ch *amqp091.Channel) error { return f.run(ctx, ch) })
		})
	}
	return group.Wait()
}

// filler publishes the tasks of an order on several channels.
type filler struct {
	order  order.Order
	writer *message.Writer
	next   atomic.Int64 // task
}

func (f *filler) run(ctx context.Context, ch *amqp091.Channel) error {
	if err := ch.Confirm(false); err != nil {
		return err
	}
	window := max(min(fillWindow, fillBytes/(f.order.Body+1)), 1)
	unconfirmed := make([]*amqp091.DeferredConfirmation, 0, window)
	for {
		i := int(f.next.Add(1)) - 1
		if i >= f.order.Tasks || len(unconfirmed) == window {
			if err := confirmed(ctx, unconfirmed); err != nil {
				return err
			}
			unconfirmed = unconfirmed[:0]
		}
		if i >= f.order.Tasks {
			return nil
		}
		m, err := f.writer.Publishing(i)
		if err != nil {
			return err
		}
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", f.order.Queue(i), true, false, m)
		if err != nil {
			return fmt.Errorf("lab: publish: %w", err)
		}
		unconfirmed = append(unconfirmed, c)
	}
}

// publish publishes one task, confirmed.
func publish(ctx context.Context, url string, o order.Order, i int) error {
	return withChannel(url, func(ch *amqp091.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		m, err := message.New(o, replies).Publishing(i)
		if err != nil {
			return err
		}
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", o.Queue(i), true, false, m)
		if err != nil {
			return fmt.Errorf("lab: publish: %w", err)
		}
		return confirmed(ctx, []*amqp091.DeferredConfirmation{c})
	})
}

func confirmed(ctx context.Context, all []*amqp091.DeferredConfirmation) error {
	for _, c := range all {
		ok, err := c.WaitContext(ctx)
		if err != nil {
			return fmt.Errorf("lab: wait for confirms: %w", err)
		}
		if !ok {
			return fmt.Errorf("lab: RabbitMQ refused a message")
		}
	}
	return nil
}

// holds waits until the queues have n messages together that nobody works at. What a worker has not acknowledged comes back when it
// has ended.
func (l *Lab) holds(ctx context.Context, url string, queues []string, n int) error {
	return withChannel(url, func(ch *amqp091.Channel) error {
		deadline := time.Now().Add(l.cfg.Patience)
		ticker := time.NewTicker(settleDelay)
		defer ticker.Stop()
		for {
			count, err := waiting(ch, queues)
			if err != nil || count == n {
				return err
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("lab: there are %d messages in %v, want %d", count, queues, n)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

func waiting(ch *amqp091.Channel, queues []string) (n int, err error) {
	for _, name := range queues {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		if err != nil {
			return 0, fmt.Errorf("lab: count %s: %w", name, err)
		}
		n += q.Messages
	}
	return n, nil
}
