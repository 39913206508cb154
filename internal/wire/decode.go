package wire

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// Decode reads a task message of protocol 2, 1 or the hybrid form. The arguments stay encoded and alias the delivery's body. The
// error is a *MalformedError.
//
// Times without a zone are UTC. A protocol 1 message without an id takes its correlation id.
func Decode(d *broker.Delivery, accept codec.Set, limits Limits) (*task.Request, error) {
	req := delivered(d)
	body, err := open(d, accept, limits)
	if err == nil {
		err = body.read(req, d)
	}
	if err != nil {
		if req.Protocol == 0 { // the fields were not read
			identify(req, d.Headers)
		}
		bad := blame(err, req)
		body.salvage(bad, d)
		return nil, bad
	}
	if req.RootID == "" {
		req.RootID = req.ID
	}
	if req.CorrelationID == "" {
		req.CorrelationID = req.ID
	}
	return req, nil
}

// Identify reads whose message it is and who waits for it, without a look at the body: what cannot be read is left empty.
func Identify(d *broker.Delivery) *task.Request {
	req := delivered(d)
	identify(req, d.Headers)
	(&reader{table: d.Headers}).wish(req)
	if req.ID == "" { // protocol 1 keeps its id in the body, and here
		req.ID = d.CorrelationID
	}
	if req.CorrelationID == "" {
		req.CorrelationID = req.ID
	}
	return req
}

// delivered is a request of which only the properties have been read.
func delivered(d *broker.Delivery) *task.Request {
	req := &task.Request{
		GroupIndex: -1,
		ReplyTo:    d.ReplyTo, CorrelationID: d.CorrelationID,
		Queue: d.Queue, Exchange: d.Exchange, RoutingKey: d.RoutingKey,
		Priority: d.Priority, Redelivered: d.Redelivered,
		Properties: task.Properties{MessageID: d.MessageID, Type: d.Type, AppID: d.AppID, Timestamp: d.Timestamp},
	}
	return req
}

// blame makes err the *MalformedError of the request, as far as that is known. An err of another type is about a field.
func blame(err error, req *task.Request) *MalformedError {
	bad, ok := errors.AsType[*MalformedError](err)
	if !ok {
		bad = &MalformedError{Kind: Invalid, Err: err}
	}
	bad.ID, bad.Task = req.ID, req.Name
	bad.ReplyTo, bad.CorrelationID = req.ReplyTo, req.CorrelationID
	bad.RootID, bad.ParentID, bad.GroupID, bad.GroupIndex = req.RootID, req.ParentID, req.Group, req.GroupIndex
	if bad.CorrelationID == "" {
		bad.CorrelationID = req.ID
	}
	return bad
}

// salvage reads what waits for the task of a message that is malformed elsewhere, as far as it can be read.
func (p payload) salvage(bad *MalformedError, d *broker.Delivery) {
	if p.codec == nil {
		return // the body was not opened
	}
	embed := p.bytes // of protocol 1, among the rest
	if parts, err := codec.Elements(p.codec, p.bytes, nil); err == nil && len(parts) == 3 {
		embed = parts[2]
	}
	req := &task.Request{}
	if err := p.readEmbed(req, embed); err != nil {
		return
	}
	bad.Embed, bad.Codec, bad.Envelope = req.Embed, p.codec, p.envelope
	if i := (&reader{table: d.Headers}).integer("group_index", -1); bad.GroupIndex < 0 {
		bad.GroupIndex = i
	}
}

// read fills the request. Which protocol it is shows in the headers, then in the body (celery/worker/strategy.py).
func (p payload) read(req *task.Request, d *broker.Delivery) error {
	req.Codec, req.Envelope, req.Compression = p.codec, p.envelope, p.compression
	var r reader
	req.Headers = r.sort(d.Headers)
	if _, ok := d.Headers["task"]; !ok {
		return p.readObject(req, d)
	}
	if p.readUsual(req) {
		req.Protocol = 2
		return r.read(req)
	}
	var room [3]codec.Raw
	parts, err := codec.Elements(p.codec, p.bytes, room[:])
	if err != nil {
		return p.readObject(req, d)
	}
	if len(parts) != 3 {
		return fmt.Errorf("the body has %d elements, want [args, kwargs, embed]", len(parts))
	}
	req.Protocol = 2
	if err := r.read(req); err != nil {
		return err
	}
	if err := p.readCall(req, parts[0], parts[1]); err != nil {
		return err
	}
	if err := p.readEmbed(req, parts[2]); err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	return nil
}

// usualArgs is how many positional arguments are read without memory beside theirs.
const usualArgs = 8

// readUsual reads the body of nearly all messages. What it reports false for is read step by step, which tells what is wrong with it.
func (p payload) readUsual(req *task.Request) bool {
	var room [usualArgs]codec.Raw
	var embed [4]codec.Raw
	args, kwargs, ok := codec.Nested(p.codec, p.bytes, room[:], embedded(), embed[:])
	if ok {
		req.Args, req.Kwargs = slices.Clone(args), kwargs
		p.keep(&req.Embed, embed)
	}
	return ok
}

// readObject reads a body of protocol 1: an object with everything in it. In the hybrid form, headers are laid over it.
func (p payload) readObject(req *task.Request, d *broker.Delivery) error {
	var members map[string]codec.Raw
	if err := p.codec.Unmarshal(p.bytes, &members); err != nil {
		return p.noObject(d, err)
	}
	_, hybrid := d.Headers["task"]
	switch {
	case hybrid && members["args"] == nil:
		return errors.New("the body is not [args, kwargs, embed]")
	case !hybrid && members["task"] == nil:
		return &MalformedError{Kind: Unknown, Err: errors.New("no task header, and no task in the body")}
	}
	table, err := p.table(members)
	if err != nil {
		return err
	}
	maps.Copy(table, d.Headers)
	if table["id"] == nil && d.CorrelationID != "" {
		table["id"] = d.CorrelationID
	}
	req.Protocol = 1
	if err := (&reader{table: table}).read(req); err != nil {
		return err
	}
	if err := p.readCall(req, members["args"], members["kwargs"]); err != nil {
		return err
	}
	return p.readEmbed(req, p.bytes)
}

// noObject tells a body that cannot be decoded from one that is something else.
func (p payload) noObject(d *broker.Delivery, err error) error {
	var value codec.Raw
	if broken := p.codec.Unmarshal(p.bytes, &value); broken != nil {
		return &MalformedError{Kind: Undecodable, Err: broken}
	}
	if _, ok := d.Headers["task"]; ok {
		return fmt.Errorf("the body is not [args, kwargs, embed]: %w", err)
	}
	return &MalformedError{Kind: Unknown, Err: fmt.Errorf("no task header, and the body is no object: %w", err)}
}

// table decodes the members of a protocol 1 body that are headers in protocol 2.
func (p payload) table(members map[string]codec.Raw) (broker.Table, error) {
	table := make(broker.Table, len(members))
	for name, raw := range members {
		if !known(name) && name != "taskset" {
			continue
		}
		var v any
		if err := p.codec.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		table[name] = v
	}
	if set, ok := table["taskset"]; ok { // the name of groups before Celery 3
		table["group"] = set
	}
	return table, nil
}

// readCall splits the arguments; nil ones are missing, which protocol 1 allows.
func (p payload) readCall(req *task.Request, args, kwargs codec.Raw) error {
	if args != nil {
		var room [usualArgs]codec.Raw
		list, err := codec.Elements(p.codec, args, room[:])
		if err != nil || list == nil {
			return &task.ArgumentError{Text: "argument after * must be a list: " + shape(err)}
		}
		req.Args = slices.Clone(list)
	}
	if kwargs != nil {
		if err := p.codec.Unmarshal(kwargs, &req.Kwargs); err != nil || req.Kwargs == nil {
			return fmt.Errorf("task keyword arguments must be a mapping: %s", shape(err))
		}
	}
	return nil
}

func shape(err error) string {
	if err == nil {
		return "got null"
	}
	return err.Error()
}

// readEmbed reads what follows the task from an object that has it among its members.
func (p payload) readEmbed(req *task.Request, object codec.Raw) error {
	var values [4]codec.Raw
	if err := codec.Members(p.codec, object, embedded(), values[:]); err != nil {
		return err
	}
	p.keep(&req.Embed, values)
	return nil
}

// embedded are the members of the embed, in the order of keep.
func embedded() []string { return []string{"callbacks", "errbacks", "chain", "chord"} }

func (p payload) keep(embed *task.Embed, values [4]codec.Raw) {
	for i, value := range values {
		if codec.IsNull(p.codec, value) {
			values[i] = nil
		}
	}
	embed.Callbacks, embed.Errbacks, embed.Chain, embed.Chord = values[0], values[1], values[2], values[3]
}
