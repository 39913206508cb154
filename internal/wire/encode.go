package wire

import (
	"errors"
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
	Now        time.Time
	RootID     string // "": the task's own id
	ParentID   string
	Group      string
	GroupIndex int // position in Group; negative: none
	Retries    int
	ReplyTo    string
	Origin     string // who sends: "gen<pid>@<host>"
	Embed      task.Embed
	Codec      codec.Codec // nil means JSON
}

// Encode writes the call as a message of protocol 2.
func Encode(o Outgoing) (broker.Message, error) {
	return broker.Message{}, errors.ErrUnsupported
}

// Retry writes the message that runs the request again at eta: the same id, arguments and followers, one retry more. A request of
// protocol 1 goes out as protocol 2.
func Retry(req *task.Request, eta, now time.Time) (broker.Message, error) {
	return broker.Message{}, errors.ErrUnsupported
}

// Repark returns the delivered message again, without the headers that a dead-letter exchange added and with what is left of its
// time to live.
func Repark(d *broker.Delivery, now time.Time) broker.Message {
	return d.Message
}
