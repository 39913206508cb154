package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
)

// Command is a request to workers (kombu/pidbox.py, Mailbox._publish).
type Command struct {
	Method string
	// Arguments by keyword; a value that is encoded already is a codec.Raw in JSON.
	Arguments map[string]any
	// Destination are the node names of the workers it is for; none means all, or those that Pattern matches.
	Destination []string
	// Pattern of node names, and what kind it is: glob or pcre.
	Pattern, Matcher string
	// Ticket is what the answers are known by, and ReplyTo the routing key on ReplyExchange that they go to; "" when nobody waits.
	Ticket, ReplyTo string
	Clock           int32     // of the sender, Lamport's
	Expires         time.Time // when nobody waits any longer; zero: never. Workers do not look
}

type command struct {
	Method      string         `json:"method"`
	Arguments   map[string]any `json:"arguments"`
	Destination []string       `json:"destination"` // null: all
	Pattern     *string        `json:"pattern"`
	Matcher     *string        `json:"matcher"`
}

type commandWithReply struct {
	command
	Ticket  string  `json:"ticket"`
	ReplyTo replyTo `json:"reply_to"`
}

type replyTo struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

// The names are those of Celery's default control_exchange.
const (
	controlExchange = "celery.pidbox"
	replyExchange   = "reply.celery.pidbox"
)

// ControlExchange is where workers hear commands. It is declared by whoever sends one: when no worker ever was there, the command goes
// nowhere, as it should.
func ControlExchange() broker.Exchange {
	return broker.Exchange{Name: controlExchange, Kind: broker.Fanout, Transient: true}
}

// Mailbox is what a worker hears commands from: a queue of its own, bound to ControlExchange.
//
// Celery's is named after the node alone, so that of two workers with one name each hears half of the commands, or, since 5.7, the second
// dies. Nobody looks for the name: with the worker's instance in it both hear all. It is durable as far as RabbitMQ is concerned, because
// 4.3 denies queues that are neither that nor exclusive, and an exclusive one stays locked after a connection was lost; it goes with its
// consumer all the same.
func Mailbox(node, instance string) broker.Topology {
	return mailbox(node+"."+instance+"."+controlExchange, ControlExchange(), "")
}

// ReplyMailbox is what a client reads the answers to its commands from.
func ReplyMailbox(key string) broker.Topology {
	return mailbox(key+"."+replyExchange, broker.Exchange{Name: replyExchange, Kind: broker.Direct, Transient: true}, key)
}

// mailbox has Celery's control_queue_expires and control_queue_ttl: 10 s without a consumer, 300 s for a message.
func mailbox(queue string, exchange broker.Exchange, key string) broker.Topology {
	return broker.Topology{
		Exchanges: []broker.Exchange{exchange},
		Queues: []broker.Queue{{
			Name: queue, AutoDelete: true,
			Arguments: broker.Table{broker.ArgExpires: int32(10_000), broker.ArgMessageTTL: int32(300_000)},
		}},
		Bindings: []broker.Binding{{Exchange: exchange.Name, Queue: queue, Key: key}},
	}
}

// EncodeCommand writes a command, for ControlExchange and an empty routing key.
func EncodeCommand(c Command) (broker.Message, error) {
	body := command{Method: c.Method, Arguments: c.Arguments, Destination: c.Destination}
	if body.Arguments == nil {
		body.Arguments = map[string]any{}
	}
	if c.Pattern != "" {
		body.Pattern, body.Matcher = &c.Pattern, &c.Matcher
	}
	var whole any = body
	if c.Ticket != "" {
		whole = commandWithReply{body, c.Ticket, replyTo{replyExchange, c.ReplyTo}}
	}
	encoded, err := codec.JSON{}.Marshal(whole)
	if err != nil {
		return broker.Message{}, fmt.Errorf("wire: encode command %s: %w", c.Method, err)
	}
	var expires any = int32(0)
	if !c.Expires.IsZero() {
		expires = float64(c.Expires.UnixNano()) / 1e9
	}
	return broker.Message{
		ContentType: codec.JSON{}.ContentType(), ContentEncoding: codec.JSON{}.ContentEncoding(), Body: encoded,
		Headers: broker.Table{"clock": c.Clock, "expires": expires},
	}, nil
}

// ReceivedCommand is a command as a worker gets it.
type ReceivedCommand struct {
	Method           string
	Arguments        map[string]codec.Raw // in JSON
	Destination      []string
	Pattern, Matcher string
	Ticket           string
	ReplyTo          *broker.Address // nil: nobody waits
	Clock            int64
}

// DecodeCommand reads a command in any of the formats that are accepted; JSON always is.
func DecodeCommand(d *broker.Delivery, accept codec.Set, limits Limits) (ReceivedCommand, error) {
	c, err := decodeCommand(d, accept, limits)
	if err != nil {
		return c, fmt.Errorf("wire: decode command: %w", err)
	}
	return c, nil
}

func decodeCommand(d *broker.Delivery, accept codec.Set, limits Limits) (c ReceivedCommand, err error) {
	body, err := openControl(d, accept, limits)
	if err != nil {
		return c, err
	}
	c.Clock, _ = integer(d.Headers["clock"])
	fields, err := object(body, body.bytes)
	if err != nil {
		return c, err
	}
	var to *replyTo
	var arguments codec.Raw
	for _, f := range []struct {
		name string
		into any
	}{
		{"method", &c.Method},
		{"arguments", &arguments},
		{"destination", &c.Destination},
		{"pattern", &c.Pattern},
		{"matcher", &c.Matcher},
		{"ticket", &c.Ticket},
		{"reply_to", &to},
	} {
		if err := optional(body, fields[f.name], f.into); err != nil {
			return c, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if c.Method == "" {
		return c, &MalformedError{Kind: Undecodable, Err: errors.New("there is no method")}
	}
	if to != nil {
		c.ReplyTo = &broker.Address{Exchange: to.Exchange, RoutingKey: to.RoutingKey}
	}
	c.Arguments, err = inJSON(body, arguments)
	return c, err
}

// EncodeAnswer writes a worker's answer to a command (kombu/pidbox.py, Mailbox._publish_reply).
func EncodeAnswer(node string, value any, ticket string, clock int32) (broker.Message, error) {
	body, err := codec.JSON{}.Marshal(map[string]any{node: value})
	if err != nil {
		return broker.Message{}, fmt.Errorf("wire: encode answer: %w", err)
	}
	return broker.Message{
		ContentType: codec.JSON{}.ContentType(), ContentEncoding: codec.JSON{}.ContentEncoding(), Body: body, Transient: true,
		Headers: broker.Table{"ticket": ticket, "clock": clock},
	}, nil
}

// Answer is a message with a worker's answer.
type Answer struct {
	Nodes  map[string]codec.Raw // the one node that it is from, in JSON
	Ticket string
	Clock  int64
}

// DecodeAnswer reads an answer in any of the formats that are accepted; JSON always is.
func DecodeAnswer(d *broker.Delivery, accept codec.Set, limits Limits) (a Answer, err error) {
	body, err := openControl(d, accept, limits)
	if err == nil {
		a.Nodes, err = inJSON(body, body.bytes)
	}
	if err != nil {
		return a, fmt.Errorf("wire: decode answer: %w", err)
	}
	a.Ticket, _ = d.Headers["ticket"].(string)
	a.Clock, _ = integer(d.Headers["clock"])
	return a, nil
}

func openControl(d *broker.Delivery, accept codec.Set, limits Limits) (payload, error) {
	if d.ContentType == (codec.JSON{}).ContentType() {
		accept = codec.NewSet(codec.JSON{})
	}
	return open(d, accept, limits)
}

// object splits an encoded object into its fields.
func object(p payload, raw codec.Raw) (map[string]codec.Raw, error) {
	var fields map[string]codec.Raw
	if err := p.codec.Unmarshal(raw, &fields); err != nil {
		return nil, &MalformedError{Kind: Undecodable, Err: err}
	}
	return fields, nil
}

// optional decodes a field that may be missing or null.
func optional(p payload, raw codec.Raw, into any) error {
	if codec.IsNull(p.codec, raw) {
		return nil
	}
	if part, ok := into.(*codec.Raw); ok {
		*part = raw
		return nil
	}
	if err := p.codec.Unmarshal(raw, into); err != nil {
		return &MalformedError{Kind: Undecodable, Err: err}
	}
	return nil
}

// inJSON returns the fields of an encoded object, each in JSON whatever it came in; nil for none.
func inJSON(p payload, raw codec.Raw) (map[string]codec.Raw, error) {
	if codec.IsNull(p.codec, raw) {
		return nil, nil
	}
	fields, err := object(p, raw)
	if err != nil || p.codec.ContentType() == (codec.JSON{}).ContentType() {
		return fields, err
	}
	for name, field := range fields {
		decoded, err := value(field, p.codec)
		if err == nil {
			fields[name], err = codec.JSON{}.Marshal(decoded)
		}
		if err != nil {
			return nil, &MalformedError{Kind: Undecodable, Err: fmt.Errorf("%s: %w", name, err)}
		}
	}
	return fields, nil
}
