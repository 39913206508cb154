package wire

import (
	"cmp"
	"fmt"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// EncodeReply makes the message that carries an outcome to its caller's reply queue, in the serializer of the result
// (celery/backends/rpc.py, store_result). As in Celery it may be lost when the broker restarts, unless it is persistent.
func EncodeReply(m task.Meta, persistent bool) (broker.Message, error) {
	c := orJSON(m.Codec)
	body, err := EncodeResult(m, c)
	if err != nil {
		return broker.Message{}, err
	}
	return broker.Message{
		ContentType: c.ContentType(), ContentEncoding: c.ContentEncoding(), CorrelationID: cmp.Or(m.CorrelationID, m.ID),
		Transient: !persistent, Body: body,
	}, nil
}

// DecodeReply reads the message of EncodeReply, also a compressed one.
func DecodeReply(d *broker.Delivery, accept codec.Set, limits Limits) (task.Meta, error) {
	body, err := open(d, accept, limits)
	if err != nil {
		return task.Meta{}, fmt.Errorf("wire: decode reply: %w", err)
	}
	return DecodeResult(body.bytes, body.codec)
}
