// Command bare is the limit: the bare client, amqp091-go, with acknowledgements coalesced by half the prefetch (at most 128), and
// bodies decoded. As a sender it writes the messages that Celery's apply_async would send.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/bench/internal/ledger"
	"github.com/seed-399731e2/taskq/bench/internal/order"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func run() error {
	o, err := order.Read()
	if err != nil {
		return err
	}
	l, err := ledger.Open(o.Ledger)
	if err != nil {
		return err
	}
	defer l.Close()
	conn, err := amqp091.Dial(o.Broker)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if o.Role == order.Work {
		return work(ctx, conn, o, l)
	}
	return fmt.Errorf("role %q is not known", o.Role)
}

func work(ctx context.Context, conn *amqp091.Connection, o order.Order, l *ledger.Ledger) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(o.Prefetch, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, o.Queues[0], "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	var meter order.Meter
	meter.Begin()
	fmt.Println(order.Ready)
	together := min(max(o.Prefetch/2, 1), 128)
	unacked, seen := 0, 0
	var last amqp091.Delivery
	for d := range deliveries {
		if err := handle(d, l); err != nil {
			return err
		}
		last = d
		seen++
		if unacked++; unacked == together || seen == o.Tasks {
			if err := last.Ack(true); err != nil {
				return err
			}
			unacked = 0
		}
	}
	var a order.Account
	meter.End(&a)
	return a.Write(os.Stdout)
}

func handle(d amqp091.Delivery, l *ledger.Ledger) error {
	var body []json.RawMessage
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return err
	}
	if len(body) != 3 {
		return fmt.Errorf("the body has %d elements", len(body))
	}
	var call struct {
		X int `json:"x"`
		Y int `json:"y"`
	}
	if err := json.Unmarshal(body[1], &call); err != nil {
		return err
	}
	return l.Ran(call.X)
}
