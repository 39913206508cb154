package wire

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// Outgoing is a call that is about to be sent.
type Outgoing struct {
	// Signature is what to call; its ID is the task's id and must be set. Args and Kwargs may hold codec.Raw, which goes out as it
	// is. ETA and Expires win over Countdown and ExpiresIn, which count from Now.
	task.Signature
	Now    time.Time
	Origin string // who sends: "gen<pid>@<host>"
	// Embed passes on what is encoded already, by Codec; a part of it wins over Link, LinkError, Chain or Chord.
	Embed task.Embed
	// Codec encodes the body, nil means JSON; an Envelope as codec wraps what its inner one encodes.
	Codec       codec.Codec
	Envelope    codec.Envelope    // wraps what Codec encodes; nil: none
	Compression codec.Compression // nil: none
}

// Address is where the call goes: to its exchange with its routing key, else through the default exchange to its queue, else to the
// queue that the routing key names.
func (o *Outgoing) Address() broker.Address {
	if o.Exchange == "" && o.Queue != "" {
		return broker.Address{RoutingKey: o.Queue}
	}
	return broker.Address{Exchange: o.Exchange, RoutingKey: o.RoutingKey}
}

// Encode writes the call as a message of protocol 2, as Celery 5.6 does. The error names what cannot be sent.
func Encode(o Outgoing) (broker.Message, error) {
	msg, err := encode(o)
	if err != nil {
		return broker.Message{}, fmt.Errorf("wire: encode %s: %w", o.Task, err)
	}
	return msg, nil
}

func encode(o Outgoing) (broker.Message, error) {
	switch {
	case o.Task == "":
		return broker.Message{}, errors.New("the call names no task")
	case o.ID == "":
		return broker.Message{}, errors.New("the call has no id")
	}
	if err := o.CallOptions.Validate(); err != nil {
		return broker.Message{}, err
	}
	p := packing{codec: orJSON(o.Codec), envelope: o.Envelope, compression: o.Compression}
	if e, ok := p.codec.(codec.Envelope); ok {
		p.codec, p.envelope = e.Inner(), e
	}
	c := p.codec
	req := o.request(c)
	var err error
	if o.Args, o.Kwargs, err = callsIn(o.Args, o.Kwargs, c); err != nil {
		return broker.Message{}, err
	}
	if req.Embed, err = o.embed(c); err != nil {
		return broker.Message{}, err
	}
	if err = o.show(req); err != nil {
		return broker.Message{}, err
	}
	args, kwargs := o.Args, o.Kwargs
	if args == nil {
		args = []any{}
	}
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	msg, err := message(req, p, args, kwargs, o.Now)
	msg.Transient = o.Transient
	msg.MessageID, msg.Type, msg.AppID, msg.Timestamp = o.Properties.MessageID, o.Properties.Type, o.Properties.AppID, o.Properties.Timestamp
	return msg, err
}

// embed encodes what is to happen after the task.
func (o *Outgoing) embed(c codec.Codec) (task.Embed, error) {
	if o.Link == nil && o.LinkError == nil && o.Chain == nil && o.Chord == nil {
		return o.Embed, nil
	}
	embed := o.Embed
	chain := slices.Clone(o.Chain)
	slices.Reverse(chain) // the last step is first on the wire
	for _, part := range []struct {
		name string
		list []task.Signature
		dst  *codec.Raw
	}{{"link", o.Link, &embed.Callbacks}, {"link_error", o.LinkError, &embed.Errbacks}, {"chain", chain, &embed.Chain}} {
		if *part.dst != nil || part.list == nil || len(part.list) == 0 && part.name != "chain" {
			continue
		}
		var err error
		if *part.dst, err = EncodeSignatures(part.list, c); err != nil {
			return embed, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if o.Chord != nil && embed.Chord == nil {
		var err error
		if embed.Chord, err = EncodeSignature(*o.Chord, c); err != nil {
			return embed, fmt.Errorf("chord: %w", err)
		}
	}
	return embed, nil
}

// show prints the arguments for people, as far as the call does not say what they shall see.
func (o *Outgoing) show(req *task.Request) (err error) {
	if o.ArgsRepr == "" || o.KwargsRepr == "" {
		req.ArgsRepr, req.KwargsRepr, err = reprs(req.Codec, o.Args, o.Kwargs)
	}
	req.ArgsRepr, req.KwargsRepr = cmp.Or(o.ArgsRepr, req.ArgsRepr), cmp.Or(o.KwargsRepr, req.KwargsRepr)
	return err
}

// request is the call as its receiver will see it, without the arguments.
func (o *Outgoing) request(c codec.Codec) *task.Request {
	eta, expires := o.Times(o.Now)
	req := &task.Request{
		ID: o.ID, Name: o.Task, RootID: o.RootID, ParentID: o.ParentID, Group: o.GroupID, GroupIndex: o.GroupIndex,
		Arguments: task.Arguments{Codec: c},
		Retries:   o.Retries, ETA: eta, Expires: expires,
		TimeLimit: o.TimeLimit, SoftTimeLimit: o.SoftTimeLimit, IgnoreResult: o.IgnoreResult,
		ReplyTo: o.ReplyTo, CorrelationID: o.ID, Shadow: o.Shadow, Origin: o.Origin,
		ReplacedNesting: o.ReplacedNesting, StampedHeaders: stampNames(o.StampedHeaders, o.Stamps), Stamps: o.Stamps,
		Headers: o.Headers, Priority: o.Priority,
	}
	if req.RootID == "" {
		req.RootID = o.ID
	}
	if req.Group == "" {
		req.GroupIndex = -1
	}
	return req
}

// message writes a request in protocol 2.
func message(req *task.Request, p packing, args, kwargs any, now time.Time) (broker.Message, error) {
	headers, err := headers(req)
	if err != nil {
		return broker.Message{}, err
	}
	msg, err := p.body([]any{args, kwargs, map[string]any{
		"callbacks": part(req.Embed.Callbacks), "errbacks": part(req.Embed.Errbacks),
		"chain": part(req.Embed.Chain), "chord": part(req.Embed.Chord),
	}})
	if err != nil {
		return broker.Message{}, err
	}
	maps.Copy(headers, msg.Headers)
	msg.Headers = headers
	msg.Priority, msg.CorrelationID, msg.ReplyTo = req.Priority, req.CorrelationID, req.ReplyTo
	if !req.Expires.IsZero() && !Chorded(req) {
		msg.Expiration = expiration(req.Expires, now)
	}
	return msg, nil
}

func part(raw codec.Raw) any {
	if raw == nil {
		return nil
	}
	return raw
}

// expiration is how long the message may wait. Celery sends "0" for one that is late already; the next best thing is the shortest
// time that a message can carry. A time that RabbitMQ refuses to measure is left to the expires header.
func expiration(expires, now time.Time) time.Duration {
	left := max(expires.Sub(now), time.Millisecond)
	if expires.IsZero() || left > longestExpiration {
		return 0
	}
	return left
}

// longestExpiration is RabbitMQ's longest timer, ten years; beyond it a message closes the channel.
const longestExpiration = 315_360_000_000 * time.Millisecond

// reprs prints the arguments for people. Encoded ones are decoded for that.
func reprs(c codec.Codec, args []any, kwargs map[string]any) (string, string, error) {
	shown := args
	for i, a := range args {
		raw, ok := a.(codec.Raw)
		if !ok {
			continue
		}
		if &shown[0] == &args[0] {
			shown = append([]any(nil), args...)
		}
		if err := c.Unmarshal(raw, &shown[i]); err != nil {
			return "", "", fmt.Errorf("args[%d]: %w", i, err)
		}
	}
	named, cloned := kwargs, false
	for k, v := range kwargs {
		raw, ok := v.(codec.Raw)
		if !ok {
			continue
		}
		if !cloned {
			named, cloned = maps.Clone(kwargs), true
		}
		v = nil
		if err := c.Unmarshal(raw, &v); err != nil {
			return "", "", fmt.Errorf("kwargs[%q]: %w", k, err)
		}
		named[k] = v
	}
	return task.ReprArgs(shown), task.ReprKwargs(named), nil
}
