package wire

import (
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
)

// Revoke asks workers not to run tasks (celery/app/control.py, revoke).
type Revoke struct {
	IDs       []string
	Terminate bool
	Signal    string // for Terminate; "" means SIGTERM
	Clock     int32  // of the sender, Lamport's
	Now       time.Time
}

// controlPatience is how long Celery's senders wait for answers, and with it how long a request is of use; workers do not look.
const controlPatience = time.Second

// command is a request to workers (kombu/pidbox.py). Nobody waits for an answer.
type command struct {
	Method      string   `json:"method"`
	Arguments   any      `json:"arguments"`
	Destination []string `json:"destination"` // null: all
	Pattern     *string  `json:"pattern"`
	Matcher     *string  `json:"matcher"`
}

type revokeArguments struct {
	TaskID    any    `json:"task_id"` // one id, or a list of them
	Terminate bool   `json:"terminate"`
	Signal    string `json:"signal"`
}

// ControlExchange is where Celery's workers hear commands. It is declared by whoever sends one: when no worker ever was there, the
// command goes nowhere, as it should.
func ControlExchange() broker.Exchange {
	return broker.Exchange{Name: "celery.pidbox", Kind: broker.Fanout, Transient: true}
}

// EncodeRevoke writes the command to revoke tasks, for ControlExchange and an empty routing key.
func EncodeRevoke(r Revoke) (broker.Message, error) {
	args := revokeArguments{TaskID: r.IDs, Terminate: r.Terminate, Signal: r.Signal}
	if len(r.IDs) == 1 {
		args.TaskID = r.IDs[0]
	}
	if args.Signal == "" {
		args.Signal = "SIGTERM"
	}
	body, err := codec.JSON{}.Marshal(command{Method: "revoke", Arguments: args})
	if err != nil {
		return broker.Message{}, fmt.Errorf("wire: encode revoke: %w", err)
	}
	return broker.Message{
		ContentType: codec.JSON{}.ContentType(), ContentEncoding: codec.JSON{}.ContentEncoding(), Body: body,
		Headers: broker.Table{"clock": r.Clock, "expires": float64(r.Now.Add(controlPatience).UnixNano()) / 1e9},
	}, nil
}
