package wire

import (
	"errors"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// Limits bound what Decode takes. A field that is 0 has its default.
type Limits struct {
	BodyBytes int // of the body, also when it is unpacked; 64 MiB
	Depth     int // of nested arrays and objects in JSON; codec.MaxDepth
}

// Decode reads a task message of protocol 2, 1 or the hybrid form. The arguments stay encoded and alias the delivery's body. The
// error is a *MalformedError.
func Decode(d *broker.Delivery, accept codec.Set, limits Limits) (*task.Request, error) {
	return nil, &MalformedError{Kind: Unknown, Err: errors.ErrUnsupported}
}
