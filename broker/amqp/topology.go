package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

// sessionTries is how many sessions a request may lose before its error is returned: one that the broker answers by closing the
// connection would otherwise be repeated for ever.
const sessionTries = 3

// Declare implements broker.Broker. What was declared is remembered: what a broker forgets with a connection or a restart is
// declared again on the next session.
func (b *Broker) Declare(ctx context.Context, topology broker.Topology) error {
	if err := checkTopology(topology); err != nil {
		return err
	}
	link := b.requests()
	for _, q := range topology.Queues {
		if q.Exclusive {
			link = b.consuming // it is for the connection that consumes from it
		}
	}
	vhost := b.endpoints[0].vhost
	err := b.request(ctx, link, func(ch *amqp091.Channel) error { return declareOn(ch, topology, vhost) })
	if err != nil {
		return b.withDepth(ctx, err)
	}
	if topology.Passive {
		return nil
	}
	b.topology.remember(topology)
	if err := b.expectCelerys(ctx, topology); err != nil {
		return err
	}
	return b.expectDelayed(ctx, topology)
}

// requests is the link for what is neither consuming nor publishing: one that is open anyway, and rather the one that no alarm
// blocks.
func (b *Broker) requests() *link {
	if b.consuming.isStarted() {
		return b.consuming
	}
	return b.publishing
}

// request lets do work on a channel of its own, on the next session again when the session was lost meanwhile, and again later when
// a queue is away, until ctx ends.
func (b *Broker) request(ctx context.Context, on *link, do func(*amqp091.Channel) error) error {
	var err, away error
	for lost, failures := 0, 0; lost < sessionTries; {
		if b.isClosing() {
			return fmt.Errorf("amqp: %w", broker.ErrClosed)
		}
		var s *session
		if s, err = on.session(ctx); err != nil {
			return fmt.Errorf("amqp: %w", err)
		}
		switch err = s.withChannel(ctx, do); {
		case errors.Is(err, errLost):
			lost++
		case errors.Is(err, errAway):
			if end := b.awaitQueue(ctx, err, failures); end != nil {
				return end
			}
			away = err
			failures++
		case away != nil && ctx.Err() != nil:
			return fmt.Errorf("%w: %w", away, ctx.Err())
		default:
			return err
		}
	}
	return fmt.Errorf("amqp: %w: %w", broker.ErrUnavailable, err)
}

// declareOn declares exchanges, then queues, then bindings and links, and stops at the first that fails: its failure closes the channel.
func declareOn(ch *amqp091.Channel, topology broker.Topology, vhost string) error {
	for _, x := range topology.Exchanges {
		if err := declareExchange(ch, x, topology.Passive); err != nil {
			return declareError("exchange", x.Name, vhost, err)
		}
	}
	for _, q := range topology.Queues {
		if err := declareQueue(ch, q, topology.Passive); err != nil {
			return declareError("queue", q.Name, vhost, err)
		}
	}
	if topology.Passive {
		return nil
	}
	for _, bind := range topology.Bindings {
		args, err := encodeTable(bind.Arguments, "binding argument", 0)
		if err != nil {
			return err
		}
		if err := ch.QueueBind(bind.Queue, bind.Key, bind.Exchange, false, args); err != nil {
			return declareError("binding of exchange "+bind.Exchange+" to queue", bind.Queue, vhost, err)
		}
	}
	for _, link := range topology.Links {
		args, err := encodeTable(link.Arguments, "link argument", 0)
		if err != nil {
			return err
		}
		if err := ch.ExchangeBind(link.Destination, link.Key, link.Source, false, args); err != nil {
			return declareError("link of exchange "+link.Source+" to exchange", link.Destination, vhost, err)
		}
	}
	return nil
}

func declareExchange(ch *amqp091.Channel, x broker.Exchange, passive bool) error {
	args, err := encodeTable(x.Arguments, "exchange argument", 0)
	if err != nil {
		return err
	}
	declare := ch.ExchangeDeclare
	if passive {
		declare = ch.ExchangeDeclarePassive
	}
	return declare(x.Name, string(x.Kind), !x.Transient, x.AutoDelete, false, false, args)
}

func declareQueue(ch *amqp091.Channel, q broker.Queue, passive bool) error {
	args, err := encodeTable(q.WireArguments(), "queue argument", 0)
	if err != nil {
		return err
	}
	declare := ch.QueueDeclare
	if passive {
		declare = ch.QueueDeclarePassive
	}
	_, err = declare(q.Name, !q.Transient, q.AutoDelete, q.Exclusive, false, args)
	return err
}

// missingOrRefused gives the broker's 403 and 404 the errors of package broker; others stay as they are.
func missingOrRefused(err error) error {
	text := replyText(err)
	switch {
	case isAway(err):
		return fmt.Errorf("%w: %w: %s", broker.ErrUnavailable, errAway, text)
	case isReply(err, codeNotFound) && strings.Contains(text, "no exchange '"):
		return fmt.Errorf("%w: %s", broker.ErrUnroutable, text)
	case isReply(err, codeNotFound):
		return fmt.Errorf("%w: %s", broker.ErrNoQueue, text)
	case isReply(err, codeAccessRefused), isReply(err, codeLocked):
		return fmt.Errorf("%w: %s", broker.ErrAccess, text)
	}
	return err
}

// checkTopology refuses what RabbitMQ would answer by closing the connection, or what the client library cannot write.
func checkTopology(topology broker.Topology) error {
	for _, x := range topology.Exchanges {
		if err := checkExchange(x, topology.Passive); err != nil {
			return err
		}
	}
	for _, q := range topology.Queues {
		if err := checkName("queue name", q.Name); err != nil {
			return err
		}
		if err := checkArguments("queue argument", q.WireArguments()); err != nil {
			return err
		}
	}
	for _, bind := range topology.Bindings {
		if err := errors.Join(checkName("bound queue", bind.Queue), checkName("bound exchange", bind.Exchange),
			checkShort("binding key", bind.Key), checkArguments("binding argument", bind.Arguments)); err != nil {
			return err
		}
	}
	for _, link := range topology.Links {
		if err := errors.Join(checkName("link's source", link.Source), checkName("link's destination", link.Destination),
			checkShort("link's key", link.Key), checkArguments("link argument", link.Arguments)); err != nil {
			return err
		}
	}
	return nil
}

func checkExchange(x broker.Exchange, passive bool) error {
	if err := checkName("exchange name", x.Name); err != nil {
		return err
	}
	known := x.Kind == broker.Direct || x.Kind == broker.Fanout || x.Kind == broker.Topic || x.Kind == broker.Headers
	if !known && !strings.HasPrefix(string(x.Kind), "x-") && !passive {
		return invalid(fmt.Sprintf("exchange %q", x.Name), fmt.Sprintf("unknown kind %q; use direct, fanout, topic or headers", x.Kind))
	}
	return checkArguments("exchange argument", x.Arguments)
}

func checkArguments(what string, args broker.Table) error {
	_, err := encodeTable(args, what, 0)
	return err
}

func checkName(field, name string) error {
	if name == "" {
		return invalid(field, "it is empty")
	}
	return checkShort(field, name)
}
