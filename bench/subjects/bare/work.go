package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
)

const (
	ackMost = 128              // deliveries that are acknowledged together
	ackWait = time.Millisecond // and how long one of them waits for the others
)

func work(ctx context.Context, j *subject.Job) error {
	conn, err := amqp091.Dial(j.Broker)
	if err != nil {
		return err
	}
	defer conn.Close()
	n, err := channels(j)
	if err != nil {
		return err
	}
	var group errgroup.Group
	for i := range n {
		c, err := consume(ctx, conn, j, j.Queues[i%len(j.Queues)], max(j.Prefetch/n, 1))
		if err != nil {
			return err
		}
		group.Go(c.run)
	}
	j.Ready()
	return group.Wait()
}

// channels is how many there are: one for each queue, or as many as the pool says.
func channels(j *subject.Job) (int, error) {
	if j.Pool == "" {
		return len(j.Queues), nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(j.Pool, " channels"))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("pool %q: want, say, 2 channels", j.Pool)
	}
	return n, nil
}

// consumer takes the tasks of one queue on a channel of its own.
type consumer struct {
	job        *subject.Job
	channel    *amqp091.Channel
	deliveries <-chan amqp091.Delivery // closed when the job is over
	together   int

	last    amqp091.Delivery
	unacked int
	flush   *time.Timer // set while there are some
}

func consume(ctx context.Context, conn *amqp091.Connection, j *subject.Job, queue string, prefetch int) (*consumer, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	flush := time.NewTimer(ackWait)
	flush.Stop()
	return &consumer{job: j, channel: ch, deliveries: deliveries, together: min(max(prefetch/2, 1), ackMost), flush: flush}, nil
}

func (c *consumer) run() error {
	for {
		select {
		case d, ok := <-c.deliveries:
			if !ok {
				return c.ack()
			}
			if err := c.handle(d); err != nil {
				return err
			}
		case <-c.flush.C:
			if err := c.ack(); err != nil {
				return err
			}
		}
	}
}

func (c *consumer) handle(d amqp091.Delivery) error {
	answer, err := call(c.job, d)
	if err != nil {
		return err
	}
	if c.job.Results != "" {
		if err := c.answer(d, answer); err != nil {
			return err
		}
	}
	c.last = d
	if c.unacked++; c.unacked == 1 {
		c.flush.Reset(ackWait)
	}
	if c.unacked >= c.together {
		return c.ack()
	}
	return nil
}

func (c *consumer) ack() error {
	c.flush.Stop()
	if c.unacked == 0 {
		return nil
	}
	c.unacked = 0
	return c.last.Ack(true)
}

// answer publishes an outcome as rpc:// does.
func (c *consumer) answer(d amqp091.Delivery, sum int) error {
	body, err := json.Marshal(map[string]any{
		"task_id": d.CorrelationId, "status": "SUCCESS", "result": sum, "traceback": nil, "children": []any{},
	})
	if err != nil {
		return err
	}
	return c.channel.Publish("", d.ReplyTo, false, false, amqp091.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", CorrelationId: d.CorrelationId, Body: body,
	})
}

// call decodes a task and does its work.
func call(j *subject.Job, d amqp091.Delivery) (int, error) {
	var body []json.RawMessage
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return 0, err
	}
	if len(body) != 3 {
		return 0, fmt.Errorf("the body has %d elements", len(body))
	}
	if j.Work != order.Visit {
		var args subject.Args
		if err := json.Unmarshal(body[1], &args); err != nil {
			return 0, err
		}
		return j.Add(args.X, args.Y)
	}
	var kwargs struct{ Data *subject.Visit }
	if err := json.Unmarshal(body[1], &kwargs); err != nil {
		return 0, err
	}
	if kwargs.Data == nil {
		return 0, errors.New("the task has no visit")
	}
	n, err := kwargs.Data.Number()
	if err != nil {
		return 0, err
	}
	return 0, j.Visited(n)
}
