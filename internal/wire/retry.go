package wire

import (
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// Retry writes the message that runs the request again at eta: the same id, arguments and followers, one retry more, in the codec,
// envelope and compression that the request came in; a compression that is only read is left out. A zero eta means at once. A request
// of protocol 1 goes out as protocol 2.
func Retry(req *task.Request, eta, now time.Time) (broker.Message, error) {
	next := *req
	next.Retries++
	next.ETA = eta
	if next.ParentID == "" { // as Celery: a retry counts as sent by the task itself
		next.ParentID = req.ID
	}
	if next.RootID == "" {
		next.RootID = req.ID
	}
	if next.Codec == nil {
		next.Codec = codec.JSON{}
	}
	next.Headers = Living(req.Headers)
	args := make([]any, len(req.Args))
	for i, raw := range req.Args {
		args[i] = raw
	}
	kwargs := make(map[string]any, len(req.Kwargs))
	for k, raw := range req.Kwargs {
		kwargs[k] = raw
	}
	var err error
	if req.ArgsRepr == "" && req.KwargsRepr == "" {
		next.ArgsRepr, next.KwargsRepr, err = reprs(next.Codec, args, kwargs)
	}
	var msg broker.Message
	if err == nil {
		p := packing{codec: next.Codec, envelope: req.Envelope}
		p.compression, _ = codec.ParseCompression(req.Compression)
		msg, err = message(&next, p, args, kwargs, now)
	}
	if err != nil {
		return broker.Message{}, fmt.Errorf("wire: retry %s[%s]: %w", req.Name, req.ID, err)
	}
	return msg, nil
}

// Repark returns the delivered message again, to wait elsewhere: the same body, the same headers without those of a dead-letter
// exchange, and what is left of its time to live.
func Repark(d *broker.Delivery, now time.Time) broker.Message {
	msg := d.Message
	msg.Headers = Living(d.Headers)
	if s, ok := d.Headers["expires"].(string); ok {
		if expires, err := codec.ParseTime(s); err == nil {
			msg.Expiration = expiration(expires, now)
		}
	}
	return msg
}

// Postpone says on a message when its task may start, in place of what it said before. Celery's workers look at it as well; of a message
// of protocol 1, whose body says it, only ours do.
func Postpone(msg *broker.Message, eta time.Time) {
	if msg.Headers == nil {
		msg.Headers = broker.Table{}
	}
	msg.Headers["eta"] = isoformat(eta)
}

// Living returns the headers that are the message's own, in types that can be sent.
func Living(headers map[string]any) map[string]any {
	if headers == nil {
		return nil
	}
	own := make(map[string]any, len(headers))
	for k, v := range headers {
		if deadLettered(k) {
			continue
		}
		if p, err := portable(v); err == nil {
			v = p
		}
		own[k] = v
	}
	return own
}
